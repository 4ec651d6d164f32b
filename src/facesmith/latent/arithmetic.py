"""Sums of latents, such as 29 - 3 + 34: the first face, without what the second has, with what the third has.

Source: Radford et al. 2016, arXiv:1511.06434, section 6.3.2; and the text "Face synthesis with GANs in PyTorch".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from facesmith.contracts import Generator
from facesmith.errors import BadOption
from facesmith.latent.seeds import latents

MOST_TERMS = 32
TERM = re.compile(r"(?P<sign>[+-])?(?:(?P<number>\d{1,6}(?:\.\d{0,9})?|\.\d{1,9})\*)?(?P<name>[^+*-]+)")
HOW = "Write seeds with + and - between them, such as 29 - 3 + 34 or 0.5*29 + 0.5*3."


@dataclass(frozen=True)
class Term:
    """A latent by its name, and how often it is taken."""

    coefficient: float
    name: str


def parse_terms(text: str) -> list[Term]:
    """The terms of a sum, in its order; what their names stand for is not looked at.

    Raises:
        BadOption: the text is no sum; the message says where.
    """
    # As word processors and people write signs.
    plain = text.replace("\N{MINUS SIGN}", "-").replace("\N{EN DASH}", "-").replace("\N{MULTIPLICATION SIGN}", "*")
    if gap := re.search(r"([\w.]+)\s+([\w.]+)", plain):
        raise BadOption(f"{text!r} lacks a sign between {gap[1]} and {gap[2]}. {HOW}")
    bare = re.sub(r"\s", "", plain)
    terms: list[Term] = []
    at = 0
    while at < len(bare) or not terms:
        found = TERM.match(bare, at)
        if found is None or (terms and not found["sign"]):
            where = f"from {bare[at:]!r} on" if bare[at:] else "at its end"
            raise BadOption(f"{text!r} can't be read {where}. {HOW}")
        coefficient = float(found["number"] or 1) * (-1 if found["sign"] == "-" else 1)
        terms.append(Term(coefficient, found["name"]))
        at = found.end()
    if len(terms) > MOST_TERMS:
        raise BadOption(f"A sum of {len(terms)} terms is too long; {MOST_TERMS} are the most.")
    return terms


def resolve(G: Generator, names: Sequence[str]) -> Tensor:
    """`w` `[N, w_dim]` that names stand for. The one place that knows which names there are: seeds.

    Raises:
        BadOption: a name stands for nothing.
    """
    for name in names:
        if not re.fullmatch(r"[0-9]{1,19}", name):
            raise BadOption(f"{name!r} is no seed. {HOW}")
    return latents(G, [int(name) for name in names])


def combine(G: Generator, w: Tensor, coefficients: Sequence[float], *, plain: bool = False) -> Tensor:
    """The weighted sum `[1, w_dim]` of latents `[N, w_dim]`, brought back to where this generator knows faces.

    Where latents lie near a sphere, a plain sum is too long (of three terms √3 times) or, as a mean, too short: its
    face is glaring, or pale. It gets the length of its terms. Elsewhere the sum is taken around the average latent.

    Args:
        plain: leave the sum as it is.

    Raises:
        BadOption: the terms cancel out, so there is no direction to go.
    """
    weights = torch.tensor(coefficients, dtype=w.dtype, device=w.device)
    if plain:
        return (weights @ w)[None]
    if not G.spherical:
        return (G.w_avg + weights @ (w - G.w_avg))[None]
    total = (weights @ w)[None]
    length, usual = total.norm(), ((weights * w.norm(dim=1)).square().sum() / weights.square().sum()).sqrt()
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


def exchange(G: Generator, w: Tensor, coefficients: Sequence[float], layers: Sequence[int]) -> Tensor:
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
