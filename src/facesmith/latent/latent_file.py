"""Latent files: one face saved as a small file such as me.latent, which can be used wherever a seed can.

A latent file is a sidecar (`modelfiles/sidecar.py`) with one tensor: `w` `[w_dim]`, or `[num_ws, w_dim]` with one
latent per layer. It stores the hash of the model that it belongs to. The rest of its header says how the photo was
aligned and where the face was in it. That is for people and programs; drawing does not need it.
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


def save_latent(path: Path, w: Tensor, model_hash: str, details: Mapping[str, Any]) -> Path:
    """Write a latent `[w_dim]` or `[num_ws, w_dim]` and return the path.

    Args:
        model_hash: sha256 of the model that the latent belongs to.
        details: further header entries (JSON values), such as where the face comes from.
    """
    save_sidecar(path, KIND, {"w": w.float()}, details, model_hash)
    return path


def load_latent(path: Path, G: Generator, model_hash: str) -> Tensor:
    """Return the latent in a file, `[w_dim]` or `[num_ws, w_dim]`, on the generator's device.

    Raises:
        BadModel: the file is missing, damaged, made for another model, or has another shape.
    """
    tensors, _ = load_sidecar(path, KIND, model_hash)
    w = tensors.get("w")
    shapes = ((G.w_dim,), (G.num_ws, G.w_dim))
    if w is None or len(tensors) != 1 or w.dtype != torch.float32 or tuple(w.shape) not in shapes:
        content = ", ".join(f"{name} {t.dtype} {list(t.shape)}" for name, t in list(tensors.items())[:3]) or "no tensor"
        raise BadModel(f"{path} has {content[:120]}; expected w, float32 {list(shapes[0])} or {list(shapes[1])}.")
    return w.to(G.w_avg.device)
