"""Latents -> pictures: draw faces from a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console

from facesmith.attributes.conditioning import condition_labels
from facesmith.errors import BadData, BadModel
from facesmith.gan.contracts import Encoder, Generator
from facesmith.gan.recipe import condition_of
from facesmith.inversion.face_template import locate_face
from facesmith.inversion.inverter import Inverter, open_inverter
from facesmith.io.images import Pixels
from facesmith.io.provenance import synthetic_metadata
from facesmith.latent import latents
from facesmith.latent.synthesis import synthesize, synthesize_seeds
from facesmith.modelfiles.checkpoint import LoadedModel, load_model
from facesmith.modelfiles.sidecar import load_sidecar, sidecar_path


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
    def conditions(self) -> tuple[str, ...]:
        """Attributes that `condition` may set to 1 or 0; those left out are drawn as often as among training faces."""
        return condition_of(self.recipe)

    def latents(self, seeds: Sequence[int], condition: Mapping[str, float] | None = None) -> NDArray[np.float32]:
        """`w` `[N, w_dim]` of seeds.

        Raises:
            BadOption: `condition` names an attribute that is not in `conditions`.
        """
        with torch.inference_mode():
            w: NDArray[np.float32] = latents(self.G, seeds, condition_labels(self.conditions, condition)).numpy()
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

    def sample(self, seeds: Sequence[int], psi: float = 1.0, condition: Mapping[str, float] | None = None) -> Pixels:
        """One face for each seed, uint8 `[N, H, W, C]`; the same seed, and what is given, give the same face.

        Raises:
            BadOption: `condition` names an attribute that is not in `conditions`.
        """
        return synthesize_seeds(self.G, seeds, psi, condition_labels(self.conditions, condition))

    @cached_property
    def inverter(self) -> Inverter:
        """What turns pictures into latents: by the recipe's own encoder, or that of `facesmith train-inverter`.

        Raises:
            BadModel: there is neither, or it is damaged or another model's.
        """
        return open_inverter(self.G, self.E, self.header, self.path, self.hash)

    def invert(self, pictures: Pixels, *, face: int = 1, optimize: bool = True) -> NDArray[np.float32]:
        """Latents of faces: `[N, w_dim]` or, of a generator with layers, `[N, num_ws, w_dim]`.

        Args:
            pictures: a photo `[H, W, C]`, in which the face is found and framed as this model knows faces (one of this
                model's very size is taken for a face as it is); or faces framed already, `[N, S, S, C]` of its size.
            face: which of a photo's faces; 1 is the largest.
            optimize: come as near as can be, which takes seconds a face; else one glance, `[N, w_dim]`.

        Raises:
            BadModel: this model has no encoder.
            BadPicture: the photo shows no face.
            BadData: the pictures are of another size or kind.
        """
        inverter, wanted = self.inverter, (self.G.resolution, self.G.resolution, self.G.channels)
        if pictures.ndim not in (3, 4) or pictures.dtype != np.uint8 or pictures.shape[-1] not in (1, 3):
            raise BadData(
                f"Pictures are {pictures.dtype} {list(pictures.shape)}; expected uint8, a photo [H, W, 3] or faces "
                f"[N, {', '.join(map(str, wanted))}]."
            )
        if pictures.ndim == 3 and pictures.shape != wanted:
            pictures = locate_face(pictures, inverter.template, wanted[0], wanted[2], which=face).face
        faces = pictures[None] if pictures.ndim == 3 else pictures
        if faces.shape[1:] != wanted:
            raise BadData(f"Pictures are uint8 {list(pictures.shape)}; expected uint8 [N, *{list(wanted)}].")
        w: NDArray[np.float32] = inverter.invert(faces, optimize=optimize, console=Console(quiet=True)).numpy()
        return w

    def provenance(self, shown: Mapping[str, str]) -> dict[str, str]:
        """What a picture of this model carries in its metadata; `shown` says of what it was drawn."""
        return synthetic_metadata(self.recipe.name, self.hash, shown)


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
