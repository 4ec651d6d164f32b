"""Labels of photos, carried over to the faces in them: further columns of `metadata.csv`."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from facesmith.io.attribute_options import attribute_name
from facesmith.io.messages import printable_name
from facesmith.labels import read_labels
from facesmith.labels.folders import classes_of, persons_of
from facesmith.labels.table_text import readable
from facesmith.photos.sources import PhotoSource
from facesmith.photos.split import PERSON


@dataclass(frozen=True)
class PhotoLabels:
    """The labels of photos.

    Attributes:
        columns: their names.
        cells: by the photo's name, one text per column.
        tables: number of tables that are used, by suffix or kind.
        notices: one line each, for the user.
    """

    columns: tuple[str, ...] = ()
    cells: dict[str, tuple[str, ...]] = field(default_factory=dict)
    tables: Counter[str] = field(default_factory=Counter)
    notices: tuple[str, ...] = ()

    def of(self, photo: str) -> Sequence[str]:
        """The cells of a photo, or of the video to which a frame such as `a.mp4#000120` belongs."""
        found = self.cells.get(photo) or self.cells.get(photo.rpartition("#")[0])
        return found or [""] * len(self.columns)

    def of_files(self, names: Iterable[str]) -> PhotoLabels:
        """The labels of some pictures and videos only."""
        return PhotoLabels(self.columns, {name: self.cells[name] for name in names if name in self.cells})

    def person(self, photo: str) -> str:
        """The person that the labels of a photo name, or an empty text."""
        return self.of(photo)[self.columns.index(PERSON)] if PERSON in self.columns else ""

    def fingerprint(self) -> str:
        """A hash of all cells; empty without labels."""
        if not self.columns:
            return ""
        digest = hashlib.sha256(repr(self.columns).encode())
        for photo, cells in self.cells.items():
            digest.update(repr((photo, cells)).encode())
        return digest.hexdigest()[:16]


def read_photo_labels(source: PhotoSource, taken: Sequence[str]) -> PhotoLabels:
    """The labels in the tables beside photos, in a folder or an archive; without tables, the classes of the folders.

    Args:
        taken: names of columns that `extract` itself writes. The photos' columns of these names are left out.

    Raises:
        BadData: the bytes of a table can't be read.
    """
    photos = [file.name for file in source.files]
    labels = read_labels(source.store, photos, source.others)
    notices = [
        f"{printable_name(name)} is not used: {printable_name(reason)}" for name, reason in labels.unused.items()
    ]
    found = labels.columns
    if not labels.files:
        found, about_folders = _class_columns(photos, source.store.archives())
        notices += about_folders
    columns = {name: cells for name, cells in found.items() if attribute_name(name) not in taken}
    if any(labels.persons):
        columns[PERSON] = labels.persons
    if left_out := [name for name in found if name not in columns]:
        notices.append(
            f"columns that extract writes itself are not carried over: {printable_name(', '.join(left_out))}"
        )
    texts = [list(map(readable, cells)) for cells in columns.values()]
    rows = dict(zip(photos, zip(*texts, strict=True), strict=True)) if texts else {}
    has_label = labels.has_row if labels.files else [True] * len(photos)
    labeled = {photo: row for (photo, row), has_row in zip(rows.items(), has_label, strict=False) if has_row}
    if columns:
        tables = ", ".join(map(printable_name, labels.files)) or "the names of folders"
        notices.append(f"labels of {len(labeled)} photos are carried over from {tables}: {_listed(list(columns))}")
    return PhotoLabels(
        columns=tuple(map(readable, columns)),
        cells=labeled,
        tables=Counter(source.kinds[name] for name in (*labels.files, *labels.sidecars) if name in source.kinds),
        notices=(*labels.notices, *notices),
    )


def _class_columns(photos: Sequence[str], archives: Collection[str]) -> tuple[dict[str, list[str]], list[str]]:
    """A column of 1 and 0 for each class, if folders divide the photos into classes and not into persons; notices."""
    if any(persons_of(photos)):
        return {}, []
    classes, notices = classes_of(photos, archives)
    return {name: [str(int(each == name)) for each in classes] for name in sorted(set(classes) - {""})}, notices


def _listed(columns: Sequence[str]) -> str:
    more = f" and {len(columns) - 5} more columns" if len(columns) > 5 else ""
    return printable_name(", ".join(map(readable, columns[:5]))) + more
