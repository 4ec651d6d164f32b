"""Held-out faces above what encoder and generator make of them, for recipes that have an encoder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from torch import nn

from facesmith.gan.contracts import Encoder, Generator
from facesmith.io.images import Pixels, grid, write_png
from facesmith.latent.synthesis import encode, synthesize
from facesmith.modelfiles.run_folder import RECONSTRUCTION_PAIRS, RECONSTRUCTIONS

SHOWN = 16
MEASURED = 64  # held-out faces whose error is logged
COLUMNS = 8


def reconstruct(nets: nn.ModuleDict, faces: Pixels) -> Pixels:
    """G(E(x)) of faces `[N, S, S, C]`, as pixels of the same shape; the latent of a face is the mean of q(z|x).

    Args:
        nets: in evaluation mode, "G" and "E" among them.
    """
    G, E = nets["G"], nets["E"]
    assert isinstance(G, Generator)
    assert isinstance(E, Encoder)
    return synthesize(G, encode(G, E, faces))


def errors(faces: Pixels, rebuilt: Pixels) -> dict[str, float]:
    """Mean squared error of pixels in `[-1, 1]`, and the peak signal-to-noise ratio in decibels."""
    mse = float(np.square(faces.astype(np.float64) - rebuilt).mean()) / 127.5**2
    return {"reconstruction/mse": mse, "reconstruction/psnr_db": float(10 * np.log10(4 / max(mse, 1e-12)))}


def write_reconstructions(out: Path, nets: nn.ModuleDict, faces: Pixels, seen: int) -> dict[str, float]:
    """Write pairs to `reconstructions.png`, and the generated halves alone to a folder, a sheet a save.

    The pairs hold photos of real people, so they are not marked as synthetic, and are kept once, not at every save.

    Args:
        out: the run folder.
        faces: held-out faces `[N, S, S, C]`, N > 0; the first 16 are shown.

    Returns:
        Their errors, for the log.
    """
    rebuilt = reconstruct(nets, faces)
    shown = min(len(faces), SHOWN)
    rows = [row for start in range(0, shown, COLUMNS) for row in _rows(faces[:shown], rebuilt, start)]
    told = {"Software": "facesmith", "Description": "Faces that were not trained on, each above its reconstruction"}
    write_png(out / RECONSTRUCTION_PAIRS, grid(np.concatenate(rows), COLUMNS), told)
    made = {"Software": "facesmith", "Synthetic": "true", "Description": "Reconstructions of faces not trained on"}
    write_png(out / RECONSTRUCTIONS / f"{seen:09d}.png", grid(rebuilt[:shown], COLUMNS), made)
    return errors(faces, rebuilt)


def _rows(faces: Pixels, rebuilt: Pixels, start: int) -> Iterator[Pixels]:
    """A row of faces and the row below it, filled up with white where there are fewer."""
    for held in (faces, rebuilt):
        row = held[start : start + COLUMNS][: len(faces) - start]
        yield np.pad(row, [(0, COLUMNS - len(row)), (0, 0), (0, 0), (0, 0)], constant_values=255)
