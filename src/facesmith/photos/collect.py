"""Batches of photos -> records of kept and rejected faces, for an extraction into a folder or into shards."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from facesmith.detection.align import CenterCrop
from facesmith.detection.detect import Detector
from facesmith.photos import faces_folder
from facesmith.photos.crop import AlignedCropper, BatchResult, CenterCropper, CroppedFace, Cropper, Rejection, kind_of
from facesmith.photos.faces_folder import ExtractSettings
from facesmith.photos.journal import BatchRecord
from facesmith.photos.near_duplicates import HashIndex
from facesmith.photos.sources import Photo

BATCH_SIZE = 32  # photos
MAX_BATCH_FRAME_PIXELS = 8_000_000  # video frames wait in memory, so a batch has fewer of them


def make_cropper(settings: ExtractSettings) -> Cropper:
    """The cropper that these settings need."""
    if isinstance(settings.alignment, CenterCrop):
        return CenterCropper(settings.alignment)
    detector = Detector(settings.min_face, settings.threshold)
    return AlignedCropper(detector, settings.alignment, settings.faces, settings.min_face, settings.max_fill)


def batches(photos: Iterable[Photo]) -> Iterator[list[Photo]]:
    """Batches of consecutive photos."""
    batch: list[Photo] = []
    for photo in photos:
        batch.append(photo)
        if len(batch) == BATCH_SIZE or sum(photo.pixels_in_memory for photo in batch) > MAX_BATCH_FRAME_PIXELS:
            yield batch
            batch = []
    if batch:
        yield batch


class Collector:
    """Decides which faces are kept: those that are no near-duplicates of an earlier one.

    Args:
        name_of: the file name of a face by its number, counted from 0.
        write: stores a kept face under its name.
        max_thumbnails: of rejections of each kind that records include.

    Attributes:
        n_photos: photos in all records so far.
    """

    def __init__(
        self, name_of: Callable[[int], str], write: Callable[[str, CroppedFace], None], max_thumbnails: int
    ) -> None:
        self.n_photos = 0
        self._name_of, self._write, self._max_thumbnails = name_of, write, max_thumbnails
        self._hash_index = HashIndex()
        self._n_rejected: Counter[str] = Counter()

    def restore(self, record: BatchRecord) -> None:
        """Continue after a batch that was collected before."""
        self.n_photos += record.n_photos
        self._n_rejected.update(kind_of(reason) for _, reason, _ in record.rejected)
        for digits in record.hashes:
            self._hash_index.add(np.frombuffer(bytes.fromhex(digits), np.uint64))

    def collect(self, result: BatchResult) -> BatchRecord:
        """Store the faces of a batch, except near-duplicates. Returns the batch's record."""
        record = BatchRecord(result.n_photos, result.n_unreadable, result.n_faceless, result.n_generated)
        for outcome in result.outcomes:
            if isinstance(outcome, Rejection):
                record.rejected.append(self._rejected_row(outcome))
            elif (original := self._hash_index.find(outcome.hash)) is not None:
                reason = f"near-duplicate: of {self._name_of(original)}"
                record.rejected.append(self._rejected_row(Rejection(outcome.source, reason, outcome.png)))
            else:
                self._keep(outcome, record)
        self.n_photos += record.n_photos
        return record

    def _keep(self, face: CroppedFace, record: BatchRecord) -> None:
        name = self._name_of(self._hash_index.add(face.hash))
        self._write(name, face)
        record.kept.append(faces_folder.metadata_row(name, face))
        record.hashes.append(face.hash.tobytes().hex())
        record.sizes_bytes.append(len(face.png))
        record.fills.append(round(face.fill, 4))

    def _rejected_row(self, rejection: Rejection) -> tuple[str, str, str | None]:
        """A rejection for a record. Its thumbnail is included only if the report has room for it."""
        kind = kind_of(rejection.reason)
        self._n_rejected[kind] += 1
        if rejection.thumbnail is None or self._n_rejected[kind] > self._max_thumbnails:
            return rejection.source, rejection.reason, None
        return rejection.source, rejection.reason, base64.b64encode(rejection.thumbnail).decode()
