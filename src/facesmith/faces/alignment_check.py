"""Recognizes faces that are not aligned: the eyes are not at the same place in all pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from facesmith.faces.few_pictures import evenly_spaced_pictures
from facesmith.pictures.images import center_square, resize
from facesmith.storage.store import Store, StoredFile

SIZE_PX = 160
MIN_FACE_PX = 20
MIN_FACES = 6  # fewer are too few to judge
# Measured on aligned datasets: at most 0.017, and 0.12 for the size. On portraits as photos: 0.09 and 0.19.
MAX_SPREAD = 0.06  # of the point between the eyes, in sides of the picture
MAX_SIZE_SPREAD = 0.2  # of the logarithm of the distance between the eyes
IQR_OF_NORMAL = 1.349  # interquartile range of a normal distribution, in standard deviations


def unaligned_notices(store: Store, files: Sequence[StoredFile]) -> list[str]:
    """A notice for the user if the largest faces in evenly spaced pictures lie at different places."""
    from facesmith.detection.detect import Detector  # late, because it loads torch

    pictures = [resize(center_square(picture), SIZE_PX) for picture in evenly_spaced_pictures(store, files)]
    places = []
    for faces in Detector(MIN_FACE_PX).detect(pictures):
        if len(faces):
            left, right = faces.landmarks[faces.boxes[:, 3].argmax()][:2] / SIZE_PX
            places.append((*(left + right) / 2, np.log(np.hypot(*(right - left)))))
    if len(places) < MIN_FACES:
        return []
    low, high = np.percentile(places, [25, 75], axis=0)
    x, y, size = (high - low) / IQR_OF_NORMAL
    if max(x, y) <= MAX_SPREAD and size <= MAX_SIZE_SPREAD:
        return []
    return [
        f"the faces in {len(places)} pictures that were checked are not aligned: the eyes are not at the same place. "
        "If the pictures are whole photos, run facesmith extract first"
    ]
