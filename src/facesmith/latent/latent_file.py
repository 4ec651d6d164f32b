"""Latent files: a face as a small file, such as me.latent, that stands wherever a seed does.

It is a sidecar (`sidecar.py`) with one tensor, `w` `[w_dim]` or, one for each layer, `[num_ws, w_dim]`. It carries the
hash of the model whose face it is; what else its header tells (how the photo was aligned, where the face was in it) is
for people and programs to read, and not needed to draw it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from facesmith.errors import BadModel
from facesmith.gan.contracts import Generator
from facesmith.modelfiles.sidecar import load_sidecar, save_sidecar

LATENT_SUFFIX, KIND = ".latent", "latent"


def save_latent(path: Path, w: Tensor, model_hash: str, told: Mapping[str, Any]) -> Path:
    """Write a latent `[w_dim]` or `[num_ws, w_dim]` of the model of that sha256.

    Args:
        told: plain values, where it came from.
    """
    save_sidecar(path, KIND, {"w": w.float()}, told, model_hash)
    return path


def load_latent(path: Path, G: Generator, model_hash: str) -> Tensor:
    """The latent `[w_dim]` or `[num_ws, w_dim]` of a file, for the generator of that model.

    Raises:
        BadModel: missing, damaged, made for another model, or of another shape.
    """
    tensors, _ = load_sidecar(path, KIND, model_hash)
    w = tensors.get("w")
    shapes = ((G.w_dim,), (G.num_ws, G.w_dim))
    if w is None or len(tensors) != 1 or w.dtype != torch.float32 or tuple(w.shape) not in shapes:
        held = ", ".join(f"{name} {t.dtype} {list(t.shape)}" for name, t in list(tensors.items())[:3]) or "nothing"
        raise BadModel(f"{path} holds {held[:120]}; expected w, float32 {list(shapes[0])} or {list(shapes[1])}.")
    return w.to(G.w_avg.device)
