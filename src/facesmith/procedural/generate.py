"""Many procedural faces: as an array, or as a dataset on disk in the format that `extract` writes."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from facesmith.detection.align import LANDMARK_COLUMNS
from facesmith.io.files import atomic_write, refuse_to_overwrite
from facesmith.pictures.images import Pixels, write_png
from facesmith.procedural.face import face_labels, random_face
from facesmith.procedural.painting import draw, landmarks

SEEDS_PER_FOLDER = 1_000_000


def draw_many(seeds: Iterable[int], size_px: int = 64) -> Pixels:
    """The faces of these seeds, uint8 `[N, size_px, size_px, 3]`."""
    pictures = [draw(random_face(seed), size_px) for seed in seeds]
    return np.stack(pictures) if pictures else np.empty((0, size_px, size_px, 3), np.uint8)


def write_faces(out: Path, count: int, size_px: int = 64, seed: int = 0, *, force: bool = False) -> Path:
    """Write `count` procedural faces and a `metadata.csv` with their labels and landmarks; returns the folder.

    Face `i` has the seed `seed * SEEDS_PER_FOLDER + i`, so folders with different seeds share no face.

    Args:
        out: the folder; its `metadata.csv` is written last.
        force: replace existing numbered faces.

    Raises:
        OutputExists: `out` is not empty and `force` is False.
    """
    refuse_to_overwrite(out, force)
    for old in (out / "metadata.csv", *out.glob("[0-9]" * 6 + ".png")):
        old.unlink(missing_ok=True)
    out.mkdir(parents=True, exist_ok=True)
    rows = []
    for i in range(count):
        face = random_face(seed * SEEDS_PER_FOLDER + i)
        path = write_png(out / f"{i:06d}.png", draw(face, size_px))
        points = landmarks(face, size_px).ravel().tolist()
        positions = {name: f"{value:.2f}" for name, value in zip(LANDMARK_COLUMNS, points, strict=True)}
        rows.append({"file_name": path.name, **face_labels(face), **positions})
    with atomic_write(out / "metadata.csv", "w") as stream:
        table = csv.DictWriter(
            stream, ["file_name", *face_labels(random_face(0)), *LANDMARK_COLUMNS], lineterminator="\n"
        )
        table.writeheader()
        table.writerows(rows)
    return out
