"""Recognizes pictures of faces that were not cut out and aligned: the eyes are at another place in each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from facesmith.faces.picture_sample import sample_pictures
from facesmith.pictures.images import center_square, resize
from facesmith.storage.store import Store, StoredFile

SIZE_PX = 160
MIN_FACE_PX = 20
MIN_FACES = 6  # fewer say nothing
# Aligned datasets: at most 0.024 and 0.09. Portraits as photographers cut them: 0.09 and 0.22.
MAX_SPREAD = 0.06  # of the point between the eyes, in sides of the picture
MAX_SIZE_SPREAD = 0.2  # of the logarithm of the distance between the eyes
IQR_OF_NORMAL = 1.349  # interquartile range of a normal distribution, in standard deviations


def uncut_notices(store: Store, files: Sequence[StoredFile]) -> list[str]:
    """A notice for the user if the largest faces in evenly spaced pictures lie at different places."""
    from facesmith.detection.detect import Detector  # late, because it loads torch

    pictures = [resize(center_square(picture), SIZE_PX) for picture in sample_pictures(store, files)]
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
