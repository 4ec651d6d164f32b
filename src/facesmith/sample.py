"""Latents -> pictures: draw faces from a model."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console

from facesmith import __version__
from facesmith.checkpoint import LoadedModel, load_model
from facesmith.conditions import told
from facesmith.contracts import Encoder, Generator
from facesmith.errors import BadData, BadModel, BadOption
from facesmith.files import refuse_to_overwrite
from facesmith.images import PICTURE_SUFFIXES, Pixels, grid, read_provenance, write_png
from facesmith.latent import BATCH, LARGEST_SEED, MOST_SEEDS, latents
from facesmith.progress import bar
from facesmith.recipe import condition_of, recipes
from facesmith.sidecar import load_sidecar, sidecar_path
from facesmith.synthesis import encode, synthesize, synthesize_seeds

MOST_ON_A_SHEET = 10_000
NOTHING: Mapping[str, float] = MappingProxyType({})


class Model:
    """A generator to draw with; `facesmith.load` opens one.

    Arrays are numpy's: latents float32 `[N, w_dim]`, pictures uint8 `[N, H, W, C]`.
    """

    def __init__(self, loaded: LoadedModel) -> None:
        G, E = (dict(loaded.nets.items()).get(name) for name in "GE")
        assert isinstance(G, Generator)
        assert E is None or isinstance(E, Encoder)
        self.G, self.E, self.recipe, self.header = G, E, loaded.recipe, loaded.header
        self.hash, self.path = loaded.hash, loaded.path

    @property
    def condition(self) -> tuple[str, ...]:
        """Attributes that it can be told, as `given`: of each 1 or 0. Those left out come as among training faces."""
        return condition_of(self.recipe)

    def latents(self, seeds: Sequence[int], given: Mapping[str, float] = NOTHING) -> NDArray[np.float32]:
        """`w` `[N, w_dim]` of seeds.

        Raises:
            BadOption: what is given is not among `condition`.
        """
        with torch.inference_mode():
            w: NDArray[np.float32] = latents(self.G, seeds, told(self.condition, given)).numpy()
        return w

    def synthesize(self, w: NDArray[np.float32], psi: float = 1.0) -> Pixels:
        """Pictures `[N, H, W, C]` of latents `[N, w_dim]` or, one for each layer, `[N, num_ws, w_dim]`.

        Raises:
            BadData: the latents are of another shape, or hold numbers that are not finite.
        """
        layers = self.G.num_ws
        if w.ndim not in (2, 3) or w.shape[1:] not in ((self.G.w_dim,), (layers, self.G.w_dim)):
            wanted = f"[N, {self.G.w_dim}] or [N, {layers}, {self.G.w_dim}]"
            raise BadData(f"Latents of shape {list(w.shape)} don't fit this model, which needs {wanted}.")
        latent = np.ascontiguousarray(w, np.float32)
        if not np.isfinite(latent).all():
            raise BadData("The latents hold numbers that are not finite.")
        return synthesize(self.G, torch.from_numpy(latent), psi)

    @cached_property
    def directions(self) -> Mapping[str, NDArray[np.float32]]:
        """`[w_dim]` by name: added to a latent, it takes a face from an attribute's average to clearly having it.

        Empty where the model has no `directions.safetensors` beside it.

        Raises:
            BadModel: that file is damaged, or was made for another model.
        """
        path = sidecar_path(self.path, "directions")
        return read_directions(path, self) if path.exists() else {}

    def sample(self, seeds: Sequence[int], psi: float = 1.0, given: Mapping[str, float] = NOTHING) -> Pixels:
        """One face for each seed, uint8 `[N, H, W, C]`; the same seed, and what is given, give the same face.

        Raises:
            BadOption: what is given is not among `condition`.
        """
        return synthesize_seeds(self.G, seeds, psi, told(self.condition, given))

    def invert(self, pictures: Pixels) -> NDArray[np.float32]:
        """`w` `[N, w_dim]` of pictures `[N, H, W, C]` of this model's size, by its recipe's encoder.

        Raises:
            BadModel: the recipe has none.
            BadData: the pictures are of another size.
        """
        if self.E is None:
            able = ", ".join(name for name, each in recipes().items() if "E" in each.averaged)
            raise BadModel(
                f"Recipe {self.recipe.name} has no encoder, so its models can't invert pictures. "
                f"Recipes that have one: {able or 'none of this version'}."
            )
        wanted = (self.G.resolution, self.G.resolution, self.G.channels)
        if pictures.shape[1:] != wanted or pictures.dtype != np.uint8:
            raise BadData(f"Pictures are {pictures.dtype} {list(pictures.shape)}; expected uint8 [N, *{list(wanted)}].")
        w: NDArray[np.float32] = encode(self.G, self.E, pictures).numpy()
        return w

    def provenance(self, shown: Mapping[str, str]) -> dict[str, str]:
        """What a picture of this model carries in its metadata; `shown` says of what it was drawn."""
        return {
            "Software": f"facesmith {__version__}",
            "Synthetic": "true",
            "Description": "A synthetic picture; the person it shows does not exist.",
            "Recipe": self.recipe.name,
            "Model": self.hash,
            **shown,
        }


def load(path: str | Path | None = None) -> Model:
    """Open a run folder or a `model.safetensors`, by default the generator that ships with the package.

    Opening a model never runs code from it.

    Raises:
        BadModel: there is none, or it is damaged.
    """
    return Model(load_model(None if path is None else Path(path)))


def read_directions(path: Path, model: Model) -> Mapping[str, NDArray[np.float32]]:
    """The directions `[w_dim]` of a file, by name, in its order.

    Raises:
        BadModel: the file is missing or damaged, or was made for another model.
    """
    tensors, header = load_sidecar(path, "directions", model.hash)
    names = header.get("names")
    if not isinstance(names, list) or set(map(str, names)) != set(tensors):
        raise BadModel(f"{path} names other directions than it holds.")
    if any(t.shape != (model.G.w_dim,) or t.dtype != torch.float32 for t in tensors.values()):
        raise BadModel(f"{path} holds directions that don't fit this model, which needs float32 [{model.G.w_dim}].")
    return {name: tensors[name].numpy() for name in names}


def sample(
    path: Path | None,
    seeds: Sequence[int],
    out: Path,
    *,
    psi: float = 1.0,
    given: Mapping[str, float] = NOTHING,
    force: bool = False,
    console: Console,
) -> Iterator[Path]:
    """Draw one face for each seed: on one sheet where `out` ends in .png, else as single files in a folder.

    Args:
        given: of a conditional model: attributes of the faces, each 0 or 1.
    """
    one_sheet = out.suffix.lower() == ".png"
    if not one_sheet and out.suffix.lower() in PICTURE_SUFFIXES:
        raise BadOption(f"--out {out}: a sheet is written as .png; any other name is that of a folder of PNGs.")
    if one_sheet and len(seeds) > MOST_ON_A_SHEET:
        raise BadOption(f"{len(seeds)} faces are too many for one sheet; give a folder as --out.")
    refuse_to_overwrite(out, force)
    model = load(path)
    told(model.condition, given)
    if one_sheet:
        yield write_png(out, grid(model.sample(seeds, psi, given)), _provenance(model, seeds, psi, given))
        return
    with_bar = bar(range(0, len(seeds), BATCH), -(-len(seeds) // BATCH), f"drawing, {BATCH} at a time", console)
    for start in with_bar:
        some = seeds[start : start + BATCH]
        for seed, picture in zip(some, model.sample(some, psi, given), strict=True):
            write_png(out / f"seed{seed:06d}.png", picture, _provenance(model, [seed], psi, given))
    yield out


def sample_like(path: Path | None, like: Path, out: Path, *, force: bool = False, console: Console) -> Iterator[Path]:
    """Draw again what a picture shows that `sample` has written.

    Raises:
        BadData: it carries no provenance, or that of another model.
    """
    made = read_provenance(like)
    try:
        seeds, psi, made_by = json.loads(made["Seeds"]), float(made["Psi"]), made["Model"]
        if type(seeds) is not list or not 0 < len(seeds) <= MOST_SEEDS or not 0 <= psi <= 1:
            raise ValueError
        if not all(type(seed) is int and 0 <= seed <= LARGEST_SEED for seed in seeds):
            raise ValueError
        given = json.loads(made.get("Given", "{}"))
        if type(given) is not dict or not all(answer in (0, 1) for answer in given.values()):
            raise ValueError
    except (KeyError, ValueError, TypeError, RecursionError):
        raise BadData(f"{like} carries no seeds of a Facesmith model; only pictures that it drew do.") from None
    model = load(path)
    if model.hash != made_by:
        raise BadData(
            f"{like} was drawn by another model (hash {made_by[:12]}, recipe {made.get('Recipe')}) than {model.path}."
        )
    return sample(path, seeds, out, psi=psi, given=given, force=force, console=console)


def _provenance(model: Model, seeds: Sequence[int], psi: float, given: Mapping[str, float]) -> dict[str, str]:
    asked_for = {"Given": json.dumps(dict(given))} if given else {}
    return model.provenance({"Seeds": json.dumps(list(seeds)), "Psi": repr(psi), **asked_for})
