"""The recipes in a list: where they come from, how large they are, what they cost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from importlib import import_module

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from facesmith.gan.contracts import Generator
from facesmith.gan.recipe import find_recipe, make_recipe, recipes

COUNTED = 2  # pictures in the counted pass: BatchNorm needs more than one


def recipe_table() -> Iterator[str]:
    """A table of all recipes, line by line.

    Cost is counted, not measured, so it is the same on every machine: multiply-adds to draw one face.
    """
    yield f"{'recipe':<16} {'pictures':<12} {'parameters':<28} {'MMAC/face':>9}  source"
    for name, cls in recipes().items():
        recipe = make_recipe(name, {})
        with torch.device("meta"):
            networks = recipe.networks()
        size = f"{recipe.resolution}x{recipe.resolution}x{recipe.channels}"
        parameters = " ".join(f"{key} {count_parameters(net):,}" for key, net in networks.items())
        yield f"{name:<16} {size:<12} {parameters:<28} {multiply_adds(networks['G']) / 1e6:>9.0f}  {cls.source}"
    yield "A recipe's values and their meaning: facesmith recipes NAME"


def describe_recipe(name: str) -> Iterator[str]:
    """A recipe's own words, and its values with meaning and default."""
    cls = find_recipe(name)
    yield (import_module(cls.__module__).__doc__ or "").strip()
    yield ""
    yield "Values, changed by --set name=value:"
    for each in fields(cls):
        yield f"  {each.name:<12} {each.default!s:<8} {each.metadata['help']}"


def count_parameters(net: nn.Module) -> int:
    """Parameters of a network."""
    return sum(parameter.numel() for parameter in net.parameters())


def multiply_adds(G: nn.Module) -> float:
    """Multiply-adds to draw one face by a generator whose weights need not exist (device "meta")."""
    assert isinstance(G, Generator)
    with FlopCounterMode(display=False) as counter:
        G(torch.empty(COUNTED, G.z_dim, device="meta"))
    return float(counter.get_total_flops()) / 2 / COUNTED
