"""Edits such as smiling=1.5: attribute directions, scaled by a strength and added to latents."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facesmith.errors import BadOption, UnknownDirection

MAX_STRENGTH = 10.0  # at strength 1 an attribute is clearly visible; ten times that is no longer a face
EDIT = re.compile(r"(?P<name>[^=]+)=(?P<strength>[+-]?(?:\d{1,3}(?:\.\d{0,9})?|\.\d{1,9}))")
EDIT_SYNTAX = "Write the name of a direction and its strength, such as smiling=1, and repeat --edit for further ones."


def parse_edits(texts: Sequence[str]) -> dict[str, float]:
    """Return strength by direction name for texts such as `smiling=1.5`, in their order.

    Whether the model has such directions is not checked here (see `check_edits`).

    Raises:
        BadOption: a text has another form, a strength is too large, or a direction is named twice.
    """
    edits: dict[str, float] = {}
    for text in texts:
        # Accept the typographic minus sign and spaces around "=".
        match = EDIT.fullmatch(re.sub(r"\s*=\s*", "=", text.replace("\N{MINUS SIGN}", "-").strip()))
        if match is None:
            raise BadOption(f"--edit {text!r} can't be read. {EDIT_SYNTAX}")
        name, strength = match["name"].lower().replace(" ", "_"), float(match["strength"])
        if abs(strength) > MAX_STRENGTH:
            raise BadOption(f"--edit {text!r}: strengths go from {-MAX_STRENGTH:g} to {MAX_STRENGTH:g}.")
        if name in edits:
            raise BadOption(f"--edit names {name!r} twice. Name it once, with the sum of the strengths.")
        edits[name] = strength
    return edits


def check_edits(names: Sequence[str], directions: Mapping[str, object]) -> None:
    """Raise UnknownDirection if a name is not among a model's directions."""
    for name in names:
        if name in directions:
            continue
        if not directions:
            raise UnknownDirection(
                f"This model has no directions, so there is no {name!r}. "
                "Make them with: facesmith directions --model MODEL --data LABELED_FACES"
            )
        close = get_close_matches(name, directions, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise UnknownDirection(f"This model has no direction {name!r}.{hint} It has: {', '.join(directions)}.")


def apply_edits(w: Tensor, directions: Mapping[str, NDArray[np.float32]], edits: Mapping[str, float]) -> Tensor:
    """Return latents with `strength * direction` added for each edit; `w` itself is not changed.

    Args:
        w: `[N, w_dim]` or `[N, num_ws, w_dim]`; with a latent per layer, every layer gets the same edit.
        directions: `[w_dim]` by name, as in `Model.directions`.
        edits: strength by name.

    Raises:
        BadOption: there is no such direction.
    """
    check_edits(list(edits), directions)
    for name, strength in edits.items():
        w = w + strength * torch.as_tensor(directions[name], dtype=w.dtype, device=w.device)
    return w
