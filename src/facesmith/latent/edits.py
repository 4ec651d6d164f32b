"""Edits such as smiling=1.5: so much of a direction, added to a latent."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facesmith.errors import BadOption

LARGEST_STRENGTH = 10.0  # at strength 1 an attribute is clearly there; ten times that is no face any more
EDIT = re.compile(r"(?P<name>[^=]+)=(?P<strength>[+-]?(?:\d{1,3}(?:\.\d{0,9})?|\.\d{1,9}))")
HOW = "Write a direction's name and how much of it, such as smiling=1 or eyeglasses=-0.5."


def parse_edits(texts: Sequence[str]) -> dict[str, float]:
    """Strengths by name of texts such as `smiling=1.5`, in their order; whether such directions exist is not looked at.

    Raises:
        BadOption: one can't be read, is too strong, or names a direction a second time.
    """
    edits: dict[str, float] = {}
    for text in texts:
        # As word processors write a minus, and people names.
        plain = re.sub(r"\s*=\s*", "=", text.replace("\N{MINUS SIGN}", "-").strip())
        found = EDIT.fullmatch(plain)
        if found is None:
            raise BadOption(f"--edit {text!r} can't be read. {HOW}")
        name, strength = found["name"].lower().replace(" ", "_"), float(found["strength"])
        if abs(strength) > LARGEST_STRENGTH:
            raise BadOption(f"--edit {text!r}: strengths go from {-LARGEST_STRENGTH:g} to {LARGEST_STRENGTH:g}.")
        if name in edits:
            raise BadOption(f"--edit names {name!r} twice. Add the strengths up.")
        edits[name] = strength
    return edits


def check_edits(names: Sequence[str], directions: Mapping[str, object]) -> None:
    """Raise BadOption where a model has no direction of one of these names."""
    for name in names:
        if name in directions:
            continue
        if not directions:
            raise BadOption(
                f"This model has no directions, so there is no {name!r}. "
                "Make them: facesmith directions --model MODEL --data LABELLED"
            )
        near = get_close_matches(name, directions, n=1)
        meant = f" Did you mean {near[0]!r}?" if near else ""
        raise BadOption(f"This model has no direction {name!r}.{meant} It has: {', '.join(directions)}.")


def apply_edits(w: Tensor, directions: Mapping[str, NDArray[np.float32]], edits: Mapping[str, float]) -> Tensor:
    """Latents with so much of each direction added: in every layer alike, where each has a latent of its own.

    Args:
        w: `[N, w_dim]` or `[N, num_ws, w_dim]`.
        directions: `[w_dim]` by name, as `Model.directions` gives them.
        edits: strengths by name.

    Raises:
        BadOption: there is no such direction.
    """
    check_edits(list(edits), directions)
    for name, strength in edits.items():
        w = w + strength * torch.as_tensor(directions[name], dtype=w.dtype, device=w.device)
    return w
