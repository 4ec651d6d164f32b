"""The Python API of a model: draw faces, edit latents, invert photos."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import NoReturn

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console

from facesmith.attributes.conditioning import condition_labels
from facesmith.distortion.scorer import distortion_scores
from facesmith.errors import BadData, BadModel, BadOption
from facesmith.gan.contracts import Encoder, Generator
from facesmith.gan.recipe import condition_of
from facesmith.inversion.face_template import locate_face
from facesmith.inversion.inverter import Inverter, open_inverter
from facesmith.io.argument_types import checked_arguments
from facesmith.io.files import user_path
from facesmith.io.given_arrays import as_array
from facesmith.io.json_files import as_schema
from facesmith.io.messages import shorten
from facesmith.latent import latents
from facesmith.latent.edits import check_edits
from facesmith.latent.synthesis import synthesize, synthesize_seeds
from facesmith.modelfiles.checkpoint import LoadedModel, load_model
from facesmith.modelfiles.sidecar import load_sidecar, sidecar_path
from facesmith.pictures.images import Pixels
from facesmith.pictures.provenance import synthetic_metadata
from facesmith.watermark.embed import watermarked

DISTORTED_SHARE = 0.1
REFERENCE_SEEDS = range(4_000_000_000, 4_000_000_300)  # these decide which scores are the worst tenth


class Model:
    """A trained generator. `facesmith.load` opens one.

    All methods take and return NumPy arrays: images are uint8 `[N, H, W, C]` with C = 3 (or 1 for gray models), latents
    are float32 `[N, w_dim]`.

    Example:
        >>> import facesmith
        >>> model = facesmith.load()  # the bundled generator
        >>> model.sample([1, 2, 3]).shape
        (3, 128, 128, 3)

    Attributes:
        G: the generator, a `torch.nn.Module` in evaluation mode.
        E: the recipe's own encoder, if it has one; else None.
        recipe: the recipe that the model was trained with.
        header: the header of the model file, as plain values.
        hash: sha256 of the model file.
        path: the model file.
    """

    def __init__(self, loaded: LoadedModel) -> None:
        G, E = (dict(loaded.nets.items()).get(name) for name in "GE")
        assert isinstance(G, Generator)
        assert E is None or isinstance(E, Encoder)
        self.G, self.E, self.recipe, self.header = G, E, loaded.recipe, loaded.header
        self.hash, self.path = loaded.hash, loaded.path
        self._distortion_limits: dict[tuple[float, ...], float] = {}

    @property
    def resolution(self) -> int:
        """Height and width of its images."""
        return self.G.resolution

    @property
    def conditions(self) -> tuple[str, ...]:
        """Names of the attributes that `condition` can set; empty for an unconditional model."""
        return condition_of(self.recipe)

    def sample(
        self,
        seeds: Sequence[int],
        psi: float = 1.0,
        condition: Mapping[str, float] | None = None,
        *,
        watermark: bool = False,
    ) -> Pixels:
        """Draw one face per seed.

        The same model, seed, psi and condition always give the same face, whatever else is drawn with it.

        Args:
            seeds: whole numbers from 0 to 2**32 - 1.
            psi: truncation from 0 (the average face) to 1 (full variety).
            condition: for a conditional model, attributes that all faces get, each 0 or 1. Other attributes are drawn
                as often as they occur in the training set.
            watermark: add the invisible watermark, as `facesmith sample` does.

        Returns:
            uint8 `[N, H, W, C]`.

        Raises:
            BadOption: a seed or psi is out of range, or `condition` names an attribute that is not in `conditions`.

        Example:
            >>> faces = model.sample(range(16), psi=0.8)
            >>> PIL.Image.fromarray(faces[0]).save("face.png")
        """
        faces = synthesize_seeds(self.G, seeds, psi, condition_labels(self.conditions, condition))
        return watermarked(faces) if watermark else faces

    def latents(self, seeds: Sequence[int], condition: Mapping[str, float] | None = None) -> NDArray[np.float32]:
        """Return the latents of seeds: `model.synthesize(model.latents(seeds))` equals `model.sample(seeds)`.

        Args:
            seeds: whole numbers from 0 to 2**32 - 1.
            condition: as in `sample`.

        Returns:
            float32 `[N, w_dim]`.

        Raises:
            BadOption: a seed is out of range, or `condition` names an attribute that is not in `conditions`.

        Example:
            >>> w = model.latents([3, 17])
            >>> halfway = model.synthesize(w.mean(axis=0, keepdims=True))
        """
        with torch.inference_mode():
            w: NDArray[np.float32] = latents(self.G, seeds, condition_labels(self.conditions, condition)).numpy()
        return w

    def synthesize(self, w: NDArray[np.float32], psi: float = 1.0, *, watermark: bool = False) -> Pixels:
        """Return the images of latents.

        Args:
            w: `[N, w_dim]`, or `[N, num_ws, w_dim]` with one latent per layer, as some recipes support.
            psi: truncation, 0-1, as in `sample`.
            watermark: add the invisible watermark.

        Returns:
            uint8 `[N, H, W, C]`.

        Raises:
            BadData: the latents have another shape, or are not finite.
            BadOption: psi is out of range.

        Example:
            >>> w = model.latents(range(4)) + 1.5 * model.directions["smiling"]
            >>> smiling = model.synthesize(w)
        """
        layers = self.G.num_ws
        w = as_array(w, "The latents")
        if w.ndim not in (2, 3) or w.shape[1:] not in ((self.G.w_dim,), (layers, self.G.w_dim)):
            expected = f"[N, {self.G.w_dim}] or [N, {layers}, {self.G.w_dim}]"
            raise BadData(f"Latents of shape {list(w.shape)} don't fit this model; expected {expected}.")
        latent = np.ascontiguousarray(w, np.float32)
        if not np.isfinite(latent).all():
            raise BadData("The latents contain numbers that are not finite.")
        faces = synthesize(self.G, torch.from_numpy(latent), psi)
        return watermarked(faces) if watermark else faces

    def distorted(self, seeds: Sequence[int], condition: Mapping[str, float] | None = None) -> NDArray[np.bool_]:
        """Return whether each seed is among the tenth of all seeds whose faces look most distorted.

        A small network scores the faces at psi 1, so psi and edits do not change the answer. It misses some distorted
        faces, and finds some that are not: docs/research/distorted-faces.md. The first call for a condition draws 300
        other faces, to estimate the limit of the worst tenth.

        Args:
            seeds, condition: as in `sample`.

        Returns:
            bool `[N]`.

        Raises:
            BadOption: as in `sample`.

        Example:
            >>> seeds = np.arange(64)
            >>> faces = model.sample(seeds[~model.distorted(seeds)])
        """
        labels = condition_labels(self.conditions, condition)
        key = () if labels is None else tuple(labels.tolist())
        if key not in self._distortion_limits:
            scores = distortion_scores(self.sample(REFERENCE_SEEDS, condition=condition))
            self._distortion_limits[key] = float(np.quantile(scores, 1 - DISTORTED_SHARE))
        distorted: NDArray[np.bool_] = (
            distortion_scores(self.sample(seeds, condition=condition)) > self._distortion_limits[key]
        )
        return distorted

    def with_normal_prior(self) -> Model:
        """Return this model with latents drawn from N(0, I), as its text draws them.

        Some models, such as those of `vae64`, draw latents from a Gaussian that was fitted to training faces.

        Raises:
            BadOption: this model has no such Gaussian.

        Example:
            >>> faces = vae.with_normal_prior().sample(range(16))
        """
        if not self.G.fits_prior:
            raise BadOption(
                f"{self.path} has no fitted prior to replace. Leave out --prior normal or with_normal_prior()."
            )
        model = copy.copy(self)
        model._distortion_limits = {}
        model.__dict__.pop("inverter", None)  # it belongs to the other generator
        model.G = copy.deepcopy(self.G)
        model.G.reset_prior()
        return model

    @cached_property
    def directions(self) -> Mapping[str, NDArray[np.float32]]:
        """Attribute directions, float32 `[w_dim]` by name.

        Adding a direction to a latent makes the attribute clearly visible; subtracting it removes the attribute. The
        mapping is empty if there is no `directions.safetensors` next to the model, which `facesmith directions` writes.

        Raises:
            BadModel: the file is damaged, or belongs to another model.

        Example:
            >>> sorted(model.directions)[:3]
            ['arched_eyebrows', 'bangs', 'black_hair']
        """
        path = sidecar_path(self.path, "directions")
        return read_directions(path, self) if path.exists() else Directions()

    @checked_arguments
    def invert(self, pictures: Pixels, *, face: int = 1, optimize: bool = True) -> NDArray[np.float32]:
        """Return latents whose images are as similar as possible to given faces.

        Args:
            pictures: a photo, uint8 `[H, W, C]`, in which the face is found and aligned; or aligned faces of this
                model's size, `[N, H, W, C]`. A photo of exactly the model's size counts as an aligned face.
            face: which face of a photo; 1 is the largest.
            optimize: improve the encoder's guess by gradient descent, which takes seconds per face.

        Returns:
            float32 `[N, w_dim]`; after optimization `[N, num_ws, w_dim]` for a generator with a latent per layer.

        Raises:
            BadModel: the model has no encoder. `facesmith train-inverter` makes one.
            BadOption: `face` is below 1.
            BadPicture: the photo shows no face, or fewer than `face`.
            BadData: the array has another shape or type.

        Example:
            >>> photo = np.asarray(PIL.Image.open("me.jpg").convert("RGB"))
            >>> w = model.invert(photo)
            >>> reconstruction = model.synthesize(w)
        """
        inverter, shape = self.inverter, (self.G.resolution, self.G.resolution, self.G.channels)
        pictures = as_array(pictures, "The pictures")
        if pictures.ndim not in (3, 4) or pictures.dtype != np.uint8 or pictures.shape[-1] not in (1, 3):
            raise BadData(
                f"Pictures are {pictures.dtype} {list(pictures.shape)}; expected uint8, a photo [H, W, 3] or faces "
                f"[N, {', '.join(map(str, shape))}]."
            )
        if pictures.ndim == 3 and pictures.shape != shape:
            pictures = locate_face(pictures, inverter.template, shape[0], shape[2], which=face).face
        faces = pictures[None] if pictures.ndim == 3 else pictures
        if faces.shape[1:] != shape:
            raise BadData(f"Pictures are uint8 {list(pictures.shape)}; expected uint8 [N, *{list(shape)}].")
        w: NDArray[np.float32] = inverter.invert(faces, optimize=optimize, console=Console(quiet=True)).numpy()
        return w

    @cached_property
    def inverter(self) -> Inverter:
        """The encoder, face template and optimization that `invert` uses.

        Raises:
            BadModel: the model has no encoder, or its file is damaged or belongs to another model.
        """
        return open_inverter(self.G, self.E, self.header, self.path, self.hash)

    @checked_arguments
    def provenance(self, entries: Mapping[str, str]) -> dict[str, str]:
        """Return metadata that marks an image of this model as synthetic, to be written into its file.

        Args:
            entries: how the image was made, such as its seeds; they are added to the metadata.

        Example:
            >>> model.provenance({"Seeds": "[1]"})["Synthetic"]
            'true'
        """
        return synthetic_metadata(self.recipe.name, self.hash, entries)


def load(path: str | Path | None = None) -> Model:
    """Open a trained model.

    Model files contain weights and plain values only. Opening one never runs code from it.

    Args:
        path: a run folder or a model file (`model.safetensors`); None for the bundled generator.

    Raises:
        BadModel: there is no model, or its file is damaged.

    Example:
        >>> import facesmith
        >>> model = facesmith.load("runs/first")
    """
    if path is not None and not isinstance(path, str | PathLike):
        raise BadModel(f"{shorten(repr(path), 40)} is not the path of a model. Give a text or a Path.")
    return Model(load_model(None if path is None else user_path(path)))


class Directions(dict[str, NDArray[np.float32]]):
    """Directions by name. An unknown name raises UnknownDirection, which says what there is."""

    def __missing__(self, name: str) -> NoReturn:
        check_edits([name], self)
        raise KeyError(name)


def read_directions(path: Path, model: Model) -> Mapping[str, NDArray[np.float32]]:
    """Return the directions in a file, float32 `[w_dim]` by name, in the order of the file.

    Raises:
        BadModel: the file is missing or damaged, or belongs to another model.
    """
    tensors, header = load_sidecar(path, "directions", model.hash)
    try:
        names = as_schema(header.get("names"), list[str])
    except ValueError as error:
        raise BadModel(f"{path}: the names of the directions in its header are damaged: {error}.") from None
    if sorted(names) != sorted(tensors):
        raise BadModel(f"{path}: the names in the header differ from the directions in the file.")
    if any(t.shape != (model.G.w_dim,) or t.dtype != torch.float32 for t in tensors.values()):
        raise BadModel(f"{path} does not fit this model; expected directions of float32 [{model.G.w_dim}].")
    return Directions({name: tensors[name].numpy() for name in names})
