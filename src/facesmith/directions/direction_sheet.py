"""What each direction does: a few faces with it taken away, as they are, and with it added."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from facesmith.gan.contracts import Generator
from facesmith.io.captions import with_caption, with_heading
from facesmith.io.images import Pixels, enlarge, grid
from facesmith.latent import latents
from facesmith.latent.synthesis import synthesize

STRENGTHS = (-1, 0, 1)
FACE_PX = 64
GAP_PX = 6


def directions_sheet(
    G: Generator, directions: Mapping[str, NDArray[np.float32]], seeds: Sequence[int], notes: Mapping[str, str]
) -> Pixels:
    """One picture `[H, W, 3]`: a row for each direction, with each face at strengths -1, 0 and 1.

    Args:
        notes: a few words below a direction's name.
    """
    with torch.inference_mode():
        w = latents(G, seeds)
        rows = []
        for name, direction in directions.items():
            steps = torch.stack([w + strength * torch.from_numpy(direction) for strength in STRENGTHS], dim=1)
            faces = enlarge(synthesize(G, steps.flatten(0, 1)), max(1, FACE_PX // G.resolution))
            signs = [f"{strength:+d}" if strength else "0" for strength in STRENGTHS] * len(w)
            cells = np.stack([with_caption(face, sign) for face, sign in zip(faces, signs, strict=True)])
            rows.append(with_heading(grid(cells, len(cells), GAP_PX), name, notes.get(name, "")))
    return grid(np.stack(rows), 1, GAP_PX)
