"""Crop FairFace portraits to aligned squares of 128 px, measured in eye distances.

Both eyes are horizontal. The side of the square is 2.45 eye distances, and its center lies half an eye distance below
the point between the eyes. A face is left out if more than 2 % of its square lies outside the photo, because FairFace
photos are cropped tightly. docs/research/trials-at-128-px.md uses these faces.

Run: python tools/cut_fairface.py fairface_adults.zip fairface128.zip
The input contains photos and a metadata.csv with a column file_name. The output contains the crops under the same
names (JPEG, quality 95), and those rows of metadata.csv. The script prints a line for each face that is left out, and
then the number of crops.
"""

from __future__ import annotations

import argparse
import csv
import io
import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from facesmith.io.images import Pixels
from facesmith.photos.align import Matrix, inverse, similarity, transform, warp
from facesmith.photos.crop import main_face
from facesmith.photos.detect import Detections, Detector

SIZE_PX = 128
SIDE_EYE_DISTANCES = 2.45  # the side of the square
MAX_OUTSIDE = 0.02  # share of the square
BATCH_SIZE = 32  # photos that the detector gets at a time
MIN_FACE_PX = 60
TABLE = "metadata.csv"
Row = dict[str, str]  # of the table
EYE_DISTANCE_PX = SIZE_PX / SIDE_EYE_DISTANCES
EYES = SIZE_PX / 2 + EYE_DISTANCE_PX / 2 * np.array([(-1, -1), (1, -1)])  # x and y of both eyes in the crop


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, help="a zip of photos with a metadata.csv")
    parser.add_argument("out", type=Path, help="the zip to write")
    options = parser.parse_args()
    torch.set_num_threads(1)
    detector = Detector(MIN_FACE_PX)
    kept: list[Row] = []
    with zipfile.ZipFile(options.photos) as source, zipfile.ZipFile(options.out, "w") as target:
        folder, rows = read_table(source)
        for start in range(0, len(rows), BATCH_SIZE):
            batch = rows[start : start + BATCH_SIZE]
            photos = [read_photo(source, folder + row["file_name"]) for row in batch]
            for row, photo, detections in zip(batch, photos, detector.detect(photos), strict=True):
                jpeg, reason = crop(photo, detections)
                if jpeg is None:
                    print(f"{row['file_name']}: {reason}")
                    continue
                target.writestr(f"{options.out.stem}/{row['file_name']}", jpeg)
                kept.append(row)
        target.writestr(f"{options.out.stem}/{TABLE}", as_csv(rows[0].keys(), kept))
    print(f"{len(kept)} of {len(rows)} faces")


def read_table(archive: zipfile.ZipFile) -> tuple[str, list[Row]]:
    """The folder that contains the photos, with its slash, and the rows of their table."""
    table = next(name for name in archive.namelist() if name.endswith(TABLE))
    with archive.open(table) as stream:
        return table.removesuffix(TABLE), list(csv.DictReader(io.TextIOWrapper(stream, encoding="utf-8")))


def read_photo(archive: zipfile.ZipFile, name: str) -> Pixels:
    """A photo as uint8 `[H, W, 3]`."""
    return np.asarray(Image.open(io.BytesIO(archive.read(name))).convert("RGB"))


def crop(photo: Pixels, detections: Detections) -> tuple[bytes | None, str]:
    """The main face of a photo as an encoded JPEG, and "". Without a usable face: None, and the reason."""
    if not len(detections):
        return None, "no face found"
    size = (photo.shape[0], photo.shape[1])
    eyes = detections.landmarks[main_face(detections.boxes, size)][:2]
    matrix = similarity(eyes, EYES)
    outside = share_outside(matrix, size)
    if outside > MAX_OUTSIDE:
        return None, f"{outside:.1%} of the square lies outside the photo"
    stream = io.BytesIO()
    Image.fromarray(warp(photo, matrix, SIZE_PX)).save(stream, "JPEG", quality=95, subsampling=0)
    return stream.getvalue(), ""


def share_outside(matrix: Matrix, photo_size: tuple[int, int]) -> float:
    """The share of a crop's pixels that lie outside the photo of this (height, width)."""
    centers = np.arange(SIZE_PX) + 0.5
    points = transform(inverse(matrix), np.stack(np.meshgrid(centers, centers), -1))  # x and y in the photo
    return float(((points < 0) | (points > photo_size[::-1])).any(-1).mean())


def as_csv(columns: Iterable[str], rows: Iterable[Row]) -> str:
    """A table as CSV text."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(columns))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


if __name__ == "__main__":
    main()
