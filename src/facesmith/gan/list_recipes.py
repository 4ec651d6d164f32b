"""The command `facesmith recipes`: all recipes with size and cost, or one recipe in detail."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from facesmith.gan.contracts import Generator
from facesmith.gan.recipe import LARGE, find_recipe, make_recipe, recipes
from facesmith.gan.recipe_options import options_of

COUNTED_IMAGES = 2  # BatchNorm needs more than one


def recipe_table() -> Iterator[str]:
    """A table of all recipes, line by line.

    The cost of a face is counted in multiply-adds, not measured, so that it is the same on every machine.
    """
    yield f"{'recipe':<16} {'images':<12} {'parameters':<28} {'MMAC/face':>9}  source"
    for name, cls in recipes().items():
        recipe = make_recipe(name, {})
        with torch.device("meta"):
            G = recipe.networks()["G"]
        size = f"{recipe.resolution}x{recipe.resolution}x{recipe.channels}"
        parameters = " ".join(f"{key} {count:,}" for key, count in recipe.parameter_counts().items())
        yield f"{name:<16} {size:<12} {parameters:<28} {multiply_adds(G) / 1e6:>9.0f}  {cls.source}"
    yield "Options of a recipe: facesmith recipes NAME"


def describe_recipe(name: str) -> Iterator[str]:
    """The documentation of a recipe's module, then its options with defaults and meaning, line by line."""
    cls = find_recipe(name)
    yield (import_module(cls.__module__).__doc__ or "").strip()
    yield ""
    if cls.text is not None:
        yield from cls.text.described()
        yield ""
    yield "Options, changed by --set name=value:"
    for option in options_of(cls).values():
        large = cls.large_images.get(option.name, option.default)
        note = f"; {large} from {LARGE} px on" if large != option.default else ""
        yield f"  {option.name:<17} {option.default!s:<8} {option.help}{note}"


def multiply_adds(G: nn.Module) -> float:
    """Multiply-adds per image of a generator on the device "meta", which holds no weights."""
    assert isinstance(G, Generator)
    with FlopCounterMode(display=False) as counter:
        G(torch.empty(COUNTED_IMAGES, G.z_dim, device="meta"))
    return float(counter.get_total_flops()) / 2 / COUNTED_IMAGES
