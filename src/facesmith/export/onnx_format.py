"""What an exported file holds, for those who write it and those who read it.

Inputs:
    z: float32 `[N, z_dim]`, latents to be mapped.
    w: float32 `[M, w_dim]` (`[M, num_ws, w_dim]` of a generator with a latent for each layer), latents that are mapped
        already, such as sums and edits. Either of z and w may be empty: shape `[0, ...]`.
    psi: float32 scalar, truncation: 1 is most varied, 0 the average face.

Outputs:
    images: float32 `[N + M, channels, resolution, resolution]` in `[-1, 1]`, of z, then of w.
    latents: what w would be for them, before truncation.
"""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict

from facesmith.errors import MissingExtra

INPUTS, OUTPUTS = ("z", "w", "psi"), ("images", "latents")
METADATA_KEY = "facesmith"  # of the metadata: one JSON text
ONNX_FORMAT = 1
SUFFIX = ".onnx"


class Metadata(TypedDict):
    """The metadata of an exported file.

    Attributes:
        model: sha256 of the model.safetensors that it was made of.
        header: that model's header: recipe, values, images seen, data fingerprint and split, alignment.
        z: how a seed becomes z, a name of `draws.DRAWS`; absent where no way without torch is known.
        seeds: the same in words.
        licence: in words.
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
    licence: str


def missing_extra(error: ImportError) -> MissingExtra:
    """What to say where a package of the extra is not there."""
    return MissingExtra(f"ONNX needs an extra ({error.name} is not installed): pip install 'facesmith[onnx]'")
