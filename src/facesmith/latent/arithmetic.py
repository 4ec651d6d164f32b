"""Sums of latents, such as 29 - 3 + 34: the first face, without what the second has, with what the third has.

Source: Radford et al. 2016, arXiv:1511.06434, section 6.3.2; and the text "Face synthesis with GANs in PyTorch".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from facesmith.errors import BadOption
from facesmith.gan.contracts import Generator
from facesmith.io.seeds import MAX_SEED_COUNT, parse_seeds
from facesmith.latent.from_seeds import latents
from facesmith.latent.latent_file import LATENT_SUFFIX, load_latent

MAX_TERMS = 32
# A latent file's path, bare or in quotes; a seed; and whatever else stands there, to be told of. A bare path goes on to
# the first ".latent" behind which the sum may go on: it may hold - and /, but no space, + or *.
NAME = r"""
    "(?P<double>[^"]+)" | '(?P<single>[^']+)'
    | (?P<seed>\d+)(?=\s*(?:[-+*\u2212\u2013\u00d7]|$))
    | (?P<path>[^\s"'+*]+?\.latent)(?=\s*(?:[-+*\u2212\u2013\u00d7]|$))
    | (?P<other>[^\s"'+*\u2212\u2013\u00d7-]+)
"""
TERM = re.compile(
    rf"""\s*(?P<sign>[-+\u2212\u2013])?\s*
    (?:(?P<number>\d{{1,6}}(?:\.\d{{0,9}})?|\.\d{{1,9}})\s*[*\u00d7]\s*)?
    (?:{NAME})\s*""",
    re.VERBOSE | re.IGNORECASE,
)
SEED = re.compile(r"[0-9]{1,19}")
MINUS = ("-", "\u2212", "\u2013")  # as word processors and people write it
HOW = (
    "Write seeds or latent files with + and - between them, such as 29 - 3 + 34, 0.5*29 + 0.5*me.latent or "
    "29 + 'my face.latent'."
)


@dataclass(frozen=True)
class Term:
    """A latent by its name, and how often it is taken."""

    coefficient: float
    name: str


def parse_terms(text: str) -> list[Term]:
    """The terms of a sum, in its order; what their names stand for is not looked at.

    A name is a seed or the path of a latent file; paths with spaces, + or * stand in quotes, and those that begin like
    a difference (3-me.latent) too, or after ./ in front.

    Raises:
        BadOption: the text is no sum; the message says where.
    """
    terms: list[Term] = []
    at = 0
    while at < len(text) or not terms:
        found = TERM.match(text, at)
        if found is not None and terms and not found["sign"]:
            raise BadOption(f"{text!r} lacks a sign between {terms[-1].name} and {_name(found)}. {HOW}")
        if found is None:
            where = f"from {text[at:].strip()!r} on" if text[at:].strip() else "at its end"
            raise BadOption(f"{text!r} can't be read {where}. {HOW}")
        coefficient = float(found["number"] or 1) * (-1 if found["sign"] in MINUS else 1)
        terms.append(Term(coefficient, _name(found)))
        at = found.end()
    if len(terms) > MAX_TERMS:
        raise BadOption(f"A sum of {len(terms)} terms is too long; {MAX_TERMS} are the most.")
    return terms


def _name(found: re.Match[str]) -> str:
    return next(name for kind in ("double", "single", "seed", "path", "other") if (name := found[kind]) is not None)


def parse_face_names(text: str) -> list[str]:
    """Names of faces from a text such as `3,me.latent,7-9`, in its order: seeds, ranges of them, latent files.

    Raises:
        BadOption: a part is neither.
    """
    names: list[str] = []
    for part in text.split(","):
        if is_latent_file(name := part.strip()):
            names.append(name)
        else:
            names += map(str, parse_seeds(part))
        if len(names) > MAX_SEED_COUNT:
            raise BadOption(f"--seeds names more than {MAX_SEED_COUNT} faces.")
    return names


def is_latent_file(name: str) -> bool:
    """Whether a face's name is that of a latent file, not a seed."""
    return name.lower().endswith(LATENT_SUFFIX)


def without_folders(names: Sequence[str]) -> list[str]:
    """Names for provenance: latent files without the folders that they lie in, which are nobody's business."""
    return [Path(name).name if is_latent_file(name) else name for name in names]


def latent_file_description(names: Sequence[str]) -> dict[str, str]:
    """What provenance has to say otherwise of pictures of latent files: their faces may be somebody's."""
    if not any(map(is_latent_file, names)):
        return {}
    return {
        "Description": "A synthetic picture, made of a latent file: its face may be like that of a person who exists."
    }


def resolve(
    G: Generator, names: Sequence[str], model_hash: str | None = None, condition: Tensor | None = None
) -> Tensor:
    """`w` `[N, w_dim]` that names stand for; `[N, num_ws, w_dim]` where a latent file holds one for each layer.

    The one place that knows which names there are: seeds, and paths of latent files.

    Args:
        model_hash: the sha256 of G's file, against which latent files are checked; without it only seeds are names.
        given: labels that seeds are to have (`latent.labels.draw_labels`); a latent file has its own.

    Raises:
        BadOption: a name stands for nothing.
        BadModel: a latent file is damaged, or of another model.
    """
    for name in names:
        if not SEED.fullmatch(name) and not (model_hash and is_latent_file(name)):
            raise BadOption(f"{name!r} is no seed and no {LATENT_SUFFIX} file. {HOW}")
    seeds = [int(name) for name in names if SEED.fullmatch(name)]
    of_seeds = iter(latents(G, seeds, condition))
    w = [next(of_seeds) if SEED.fullmatch(name) else load_latent(Path(name), G, model_hash or "") for name in names]
    if any(each.ndim > 1 for each in w):
        w = [each.expand(G.num_ws, -1) for each in w]
    return torch.stack(w) if w else torch.empty(0, G.w_dim, device=G.w_avg.device)


def combine(G: Generator, w: Tensor, coefficients: Sequence[float], *, plain: bool = False) -> Tensor:
    """The weighted sum `[1, ...]` of latents `[N, w_dim]` or `[N, num_ws, w_dim]`, where this generator knows faces.

    Where latents lie near a sphere, a plain sum is too long (of three terms √3 times) or, as a mean, too short: its
    face is glaring, or pale. It gets the length of its terms. Elsewhere the sum is taken around the average latent.

    Args:
        plain: leave the sum as it is.

    Raises:
        BadOption: the terms cancel out, so there is no direction to go.
    """
    weights = torch.tensor(coefficients, dtype=w.dtype, device=w.device)
    total: Tensor = torch.einsum("n,n...->...", weights, w)[None]
    if plain:
        return total
    if not G.spherical:
        around: Tensor = G.w_avg + torch.einsum("n,n...->...", weights, w - G.w_avg)[None]
        return around
    lengths = w.flatten(1).norm(dim=1)
    length, usual = total.norm(), ((weights * lengths).square().sum() / weights.square().sum()).sqrt()
    if not length > 1e-5 * usual:  # nor is it where all weights are 0, and the usual length no number
        raise BadOption("The terms cancel each other out: no direction is left. --plain draws the face in the middle.")
    return total.mul(usual / length)


def parse_layers(text: str, num_ws: int) -> list[int]:
    """Layers of a text such as 2 or 0-1 or 0,3, counted from the coarsest, 0.

    Raises:
        BadOption: the generator takes one latent for all its layers, or has no such layer.
    """
    if num_ws == 1:
        raise BadOption("This model takes one latent for all its layers, so --layers has nothing to mix.")
    if re.fullmatch(r"[0-9]{1,3}(-[0-9]{1,3})?(,[0-9]{1,3}(-[0-9]{1,3})?)*", text) is None:
        raise BadOption(f"--layers {text!r} can't be read. Write layers like 2 or 0-1 or 0,3.")
    layers: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        layers += range(int(first), int(last or first) + 1)
    if not layers or max(layers) >= num_ws:
        raise BadOption(f"--layers {text}: this model has layers 0 to {num_ws - 1}, the coarsest first.")
    return layers


def mix_layers(G: Generator, w: Tensor, coefficients: Sequence[float], layers: Sequence[int]) -> Tensor:
    """The first face's latents with these layers of the second, `[1, num_ws, w_dim]`.

    Raises:
        BadOption: there are not two faces, simply added.

    Source: Karras et al. 2019, arXiv:1812.04948, section 3.1 (style mixing).
    """
    if list(coefficients) != [1, 1]:
        raise BadOption("--layers takes layers of a second face: write two of them, such as '29 + 3'.")
    both = w if w.ndim == 3 else w[:, None].expand(-1, G.num_ws, -1)
    mixed = both[:1].clone()
    mixed[:, list(layers)] = both[1:, list(layers)]
    return mixed
