"""Held-out faces and their reconstructions G(E(x)), for recipes with an encoder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from torch import nn

from facesmith.gan.contracts import Encoder, Generator
from facesmith.latent.synthesis import encode, synthesize
from facesmith.modelfiles.run_folder import RECONSTRUCTION_PAIRS, RECONSTRUCTIONS
from facesmith.pictures.images import Pixels, grid, write_png
from facesmith.watermark.marking import DEFAULT_MARKING

SHOWN_FACES = 16
MEASURED_FACES = 64
COLUMNS = 8


def reconstruct(nets: nn.ModuleDict, faces: Pixels) -> Pixels:
    """G(E(x)) for faces uint8 `[N, S, S, C]`, in the same shape; the latent of a face is the mean of q(z|x).

    Args:
        nets: "G" and "E", in evaluation mode.
    """
    G, E = nets["G"], nets["E"]
    assert isinstance(G, Generator)
    assert isinstance(E, Encoder)
    return synthesize(G, encode(G, E, faces))


def reconstruction_errors(faces: Pixels, reconstructed: Pixels) -> dict[str, float]:
    """Mean squared error of pixels in `[-1, 1]`, and peak signal-to-noise ratio in decibels."""
    mse = float(np.square(faces.astype(np.float64) - reconstructed).mean()) / 127.5**2
    return {"reconstruction/mse": mse, "reconstruction/psnr_db": float(10 * np.log10(4 / max(mse, 1e-12)))}


def write_reconstructions(out: Path, nets: nn.ModuleDict, faces: Pixels, seen: int) -> dict[str, float]:
    """Write faces above their reconstructions to one sheet, and the reconstructions alone to a folder.

    The first sheet contains photos of real people. So it is not marked as synthetic, and each checkpoint replaces it.

    Args:
        out: the run folder.
        faces: held-out faces `[N, S, S, C]`, N > 0; the first 16 are shown.

    Returns:
        The reconstruction errors, for the log.
    """
    reconstructed = reconstruct(nets, faces)
    shown, marked = min(len(faces), SHOWN_FACES), DEFAULT_MARKING.marked(reconstructed[:SHOWN_FACES])
    rows = [row for start in range(0, shown, COLUMNS) for row in _pair_of_rows(faces[:shown], marked, start)]
    about_pairs = {"Software": "facesmith", "Description": "Held-out faces, each above its reconstruction"}
    write_png(out / RECONSTRUCTION_PAIRS, grid(np.concatenate(rows), COLUMNS), about_pairs)
    about_fakes = {"Software": "facesmith", "Synthetic": "true", "Description": "Reconstructions of held-out faces"}
    write_png(out / RECONSTRUCTIONS / f"{seen:09d}.png", grid(marked, COLUMNS), about_fakes)
    return reconstruction_errors(faces, reconstructed)


def _pair_of_rows(faces: Pixels, reconstructed: Pixels, start: int) -> Iterator[Pixels]:
    """A row of faces and the row of their reconstructions, padded with white."""
    for images in (faces, reconstructed):
        row = images[start : start + COLUMNS][: len(faces) - start]
        yield np.pad(row, [(0, COLUMNS - len(row)), (0, 0), (0, 0), (0, 0)], constant_values=255)
