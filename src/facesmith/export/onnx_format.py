"""The format of an exported file.

Inputs:
    z: float32 `[N, z_dim]`, latents.
    w: float32 `[M, w_dim]`, or `[M, num_ws, w_dim]` for a generator with one latent per layer: intermediate latents,
        for example edited ones. z or w may be empty: shape `[0, ...]`.
    psi: float32 scalar, truncation: 1 is most varied, 0 is the average face.

Outputs:
    images: float32 `[N + M, channels, resolution, resolution]` in `[-1, 1]`; first those of z, then those of w.
    latents: the intermediate latents of these images before truncation, shaped like w.
"""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict

from facesmith.errors import MissingExtra

INPUTS, OUTPUTS = ("z", "w", "psi"), ("images", "latents")
METADATA_KEY = "facesmith"  # the metadata is one entry with this key, as JSON
ONNX_FORMAT = 1
SUFFIX = ".onnx"


class Metadata(TypedDict):
    """The metadata of an exported file.

    Attributes:
        model: sha256 of the model.safetensors that was exported.
        header: the header of that model: recipe, hyperparameters, images seen, data fingerprint and split, alignment.
        z: how a seed becomes z, a key of `seeded_noise.DRAWS`; missing if that needs torch.
        seeds: the same as a sentence.
        license: a name or a sentence.
    """

    format: int
    made_by: str
    model: str
    header: dict[str, Any]
    resolution: int
    channels: int
    z_dim: int
    w_dim: int
    num_ws: int
    z: NotRequired[str]
    seeds: str
    license: str


def missing_extra(error: ImportError) -> MissingExtra:
    """The error to raise if a package of the extra "onnx" can't be imported."""
    return MissingExtra(f"ONNX needs an extra ({error.name} is not installed): pip install 'facesmith[onnx]'")
