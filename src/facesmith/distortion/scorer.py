"""Score how distorted faces look: a small network that was trained to recognize artificial distortions of real faces.

It has seen no generated face. `tools/train_distortion_scorer.py` trained it on adults of all population groups; the
page docs/research/distorted-faces.md shows what it recognizes and what it misses. No metric of `evaluate` uses it.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file

from facesmith.attributes.classifier import Classifier, predict_logits
from facesmith.errors import FacesmithError
from facesmith.pictures.images import Pixels


def distortion_scores(pictures: Pixels) -> NDArray[np.float32]:
    """How distorted each face of uint8 `[N, S, S, C]` looks, float32 `[N]`; higher is more distorted.

    The score is a logit: above 0, the network finds a distortion more likely than not. It is the mean of the picture's
    score and that of its mirror image.

    Raises:
        FacesmithError: this installation lacks the network's weights.
    """
    network = _network()
    scores, mirrored = (
        predict_logits(network, np.ascontiguousarray(each))[:, 0] for each in (pictures, pictures[:, :, ::-1])
    )
    mean: NDArray[np.float32] = ((scores + mirrored) / 2).numpy()
    return mean


def weights_file() -> Path:
    """The path of the network's weights inside the package."""
    return Path(str(files("facesmith").joinpath("distortion", "scorer.safetensors")))


@cache
def _network() -> Classifier:
    network = Classifier(1)
    try:
        weights = load_file(weights_file())
    except (OSError, SafetensorError) as error:
        raise FacesmithError(f"{weights_file()} can't be read ({error}). Install Facesmith again.") from None
    network.load_state_dict({name: t.float() if t.is_floating_point() else t for name, t in weights.items()})
    return network.eval().requires_grad_(False).to(memory_format=torch.channels_last)
