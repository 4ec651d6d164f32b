"""Sums of latents, such as 29 - 3 + 34: face 29, minus what is typical of face 3, plus what is typical of face 34.

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
from facesmith.io.messages import shorten
from facesmith.io.seeds import MAX_SEED_COUNT, parse_seed, parse_seeds
from facesmith.latent.from_seeds import latents
from facesmith.latent.latent_file import LATENT_SUFFIX, load_latent

MAX_TERMS = 32
# A name is a quoted path, a seed, or an unquoted path of a latent file. Anything else is matched, too, so that the
# error message can show it. An unquoted path may contain - and /, but no space, + or *. It ends at the first ".latent"
# that is followed by an operator or by the end of the text.
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
SEED = re.compile(r"[0-9]+")
MINUS_SIGNS = ("-", "\u2212", "\u2013")  # hyphen-minus, minus sign, en dash
SUM_SYNTAX = (
    "Write seeds or latent files with + and - between them, such as 29 - 3 + 34, 0.5*29 + 0.5*me.latent or "
    "29 + 'my face.latent'."
)


@dataclass(frozen=True)
class Term:
    """One term of a sum: a face by its name (a seed or the path of a latent file), times a coefficient."""

    coefficient: float
    name: str


def parse_terms(text: str) -> list[Term]:
    """Return the terms of a sum such as `29 - 3 + 0.5*me.latent`, in its order.

    A name is a seed or the path of a latent file. Paths with spaces, + or * need quotes. So do paths that look like a
    difference, such as 3-me.latent; ./3-me.latent works as well. Whether files exist is not checked here.

    Raises:
        BadOption: the text is not a sum; the message shows where the error is.
    """
    terms: list[Term] = []
    position = 0
    while position < len(text) or not terms:
        match = TERM.match(text, position)
        if match is not None and terms and not match["sign"]:
            raise BadOption(f"{text!r} has no sign between {terms[-1].name} and {_name(match)}. {SUM_SYNTAX}")
        if match is None:
            rest = text[position:].strip()
            raise BadOption(
                f"{text!r} can't be read, starting {f'at {rest!r}' if rest else 'at its end'}. {SUM_SYNTAX}"
            )
        coefficient = float(match["number"] or 1) * (-1 if match["sign"] in MINUS_SIGNS else 1)
        terms.append(Term(coefficient, _name(match)))
        position = match.end()
    if len(terms) > MAX_TERMS:
        raise BadOption(f"A sum of {len(terms)} terms is too long; the limit is {MAX_TERMS}.")
    return terms


def _name(match: re.Match[str]) -> str:
    return next(name for kind in ("double", "single", "seed", "path", "other") if (name := match[kind]) is not None)


def parse_face_names(text: str) -> list[str]:
    """Return the face names in a list such as `3,me.latent,7-9`, in its order: seeds one by one, and latent files.

    Raises:
        BadOption: an entry is neither a seed, a range of seeds nor a latent file, or there are too many.
    """
    names: list[str] = []
    for entry in text.split(","):
        if is_latent_file(name := entry.strip()):
            names.append(name)
        else:
            names += map(str, parse_seeds(entry))
        if len(names) > MAX_SEED_COUNT:
            raise BadOption(f"--seeds names more than {MAX_SEED_COUNT} faces.")
    return names


def is_latent_file(name: str) -> bool:
    """Return whether a face name is the path of a latent file rather than a seed."""
    return name.lower().endswith(LATENT_SUFFIX)


def without_folders(names: Sequence[str]) -> list[str]:
    """Return face names with latent files reduced to their file names: metadata must not reveal private folders."""
    return [Path(name).name if is_latent_file(name) else name for name in names]


def latent_file_description(names: Sequence[str]) -> dict[str, str]:
    """Return the metadata entry for images that were drawn from latent files, which may resemble real people.

    Empty if no name is a latent file.
    """
    if not any(map(is_latent_file, names)):
        return {}
    return {"Description": "A synthetic picture, made from a latent file: the face may resemble a person who exists."}


def resolve(
    G: Generator, names: Sequence[str], model_hash: str | None = None, condition: Tensor | None = None
) -> Tensor:
    """Return the latents of face names, `[N, w_dim]`, or `[N, num_ws, w_dim]` if a latent file has one per layer.

    Args:
        names: seeds, and paths of latent files.
        model_hash: sha256 of the generator's file, against which latent files are checked. Without it only seeds work.
        condition: labels for seeds, as in `draw_labels`; a latent file has its own.

    Raises:
        BadOption: a name is neither a seed nor a latent file, or a seed is too large.
        BadModel: a latent file is damaged or belongs to another model.
    """
    for name in names:
        if not SEED.fullmatch(name) and not (model_hash and is_latent_file(name)):
            raise BadOption(f"{shorten(name)!r} is neither a seed nor a {LATENT_SUFFIX} file. {SUM_SYNTAX}")
    seeds = [parse_seed(name) for name in names if SEED.fullmatch(name)]
    from_seeds = iter(latents(G, seeds, condition))
    w = [next(from_seeds) if SEED.fullmatch(name) else load_latent(Path(name), G, model_hash or "") for name in names]
    if any(each.ndim > 1 for each in w):
        w = [each.expand(G.num_ws, -1) for each in w]
    return torch.stack(w) if w else torch.empty(0, G.w_dim, device=G.w_avg.device)


def combine(G: Generator, w: Tensor, coefficients: Sequence[float], *, plain: bool = False) -> Tensor:
    """Return the weighted sum of latents, rescaled to the region that the generator was trained on.

    If latents lie near a sphere (`Generator.spherical`), a plain sum of three terms is √3 times too long and gives
    glaring faces; a mean is too short and gives pale ones. So the sum gets the norm of its terms: the root mean square
    of their norms, weighted by the squared coefficients. Otherwise the sum is taken relative to the average latent.

    Args:
        w: `[N, w_dim]` or `[N, num_ws, w_dim]`.
        coefficients: N numbers.
        plain: return the plain sum.

    Returns:
        `[1, w_dim]` or `[1, num_ws, w_dim]`.

    Raises:
        BadOption: the terms cancel, so the sum has no direction.
    """
    weights = torch.tensor(coefficients, dtype=w.dtype, device=w.device)
    total: Tensor = torch.einsum("n,n...->...", weights, w)[None]
    if plain:
        return total
    if not G.spherical:
        relative: Tensor = G.w_avg + torch.einsum("n,n...->...", weights, w - G.w_avg)[None]
        return relative
    norms = w.flatten(1).norm(dim=1)
    norm, target_norm = total.norm(), ((weights * norms).square().sum() / weights.square().sum()).sqrt()
    if not norm > 1e-5 * target_norm:  # also true if all weights are 0, which makes the target NaN
        raise BadOption("The terms cancel, so their sum has no direction. Use --plain to draw the unscaled sum.")
    return total.mul(target_norm / norm)


def parse_layers(text: str, num_ws: int) -> list[int]:
    """Return the layer numbers in a list such as `2` or `0-1` or `0,3`; 0 is the coarsest.

    Raises:
        BadOption: the text is not a list of layers, or the generator does not have these layers.
    """
    if num_ws == 1:
        raise BadOption("This model uses one latent for all layers, so --layers does not apply.")
    if re.fullmatch(r"[0-9]{1,3}(-[0-9]{1,3})?(,[0-9]{1,3}(-[0-9]{1,3})?)*", text) is None:
        raise BadOption(f"--layers {text!r} can't be read. Write layers like 2 or 0-1 or 0,3.")
    layers: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        layers += range(int(first), int(last or first) + 1)
    if not layers or max(layers) >= num_ws:
        raise BadOption(f"--layers {text}: this model has layers 0 (the coarsest) to {num_ws - 1}.")
    return layers


def mix_layers(G: Generator, w: Tensor, coefficients: Sequence[float], layers: Sequence[int]) -> Tensor:
    """Return the latents of the first face with some layers taken from the second, `[1, num_ws, w_dim]`.

    Args:
        w: `[2, w_dim]` or `[2, num_ws, w_dim]`.
        coefficients: of the two faces; both must be 1.

    Raises:
        BadOption: there are not exactly two faces, or one has another coefficient.

    Source: Karras et al. 2019, arXiv:1812.04948, section 3.1 (style mixing).
    """
    if list(coefficients) != [1, 1]:
        raise BadOption("--layers takes layers from a second face: write a sum of two faces, such as '29 + 3'.")
    both = w if w.ndim == 3 else w[:, None].expand(-1, G.num_ws, -1)
    mixed = both[:1].clone()
    mixed[:, list(layers)] = both[1:, list(layers)]
    return mixed
