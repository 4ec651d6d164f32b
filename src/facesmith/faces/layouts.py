"""The supported dataset layouts, read as one list of pictures with attributes and persons.

The first layout that fits is used:
  label tables   metadata.csv (`extract` writes it too), CelebA, LFW and StyleGAN; see `facesmith.labels`
  folders        Name/Name_0001.jpg are persons (LFW); other folders are classes
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from posixpath import basename, dirname
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facesmith.detection.align import LANDMARK_COLUMNS, framing_from_header
from facesmith.errors import BadData, BadPicture
from facesmith.io.files import LFS_POINTER
from facesmith.io.json_files import as_schema, parse_as
from facesmith.io.messages import as_typed, printable_name
from facesmith.labels import Attributes, Labels, attributes_of, read_labels
from facesmith.labels.folders import classes_of, persons_of
from facesmith.photos.journal import JOURNAL_NAME
from facesmith.storage.store import SortedFiles, Store, StoredFile, kinds_text, run_folders, sort_by_kind

GEOMETRY_COLUMNS = frozenset(  # columns of `extract` that are not attributes
    {"left", "top", "width", "height", "confidence", "blur", "fill", "file_name", "source"}
    | set(LANDMARK_COLUMNS)
    | {f"affine_{i}{j}" for i in "01" for j in "012"}
)
WRITTEN_BY_EXTRACT = frozenset({"faces.json", "rejected.csv", "report.html"})
MAX_TABLES_LISTED = 5


@dataclass
class Listing:
    """The pictures of a dataset, not read yet.

    Attributes:
        files: sorted by name.
        attributes: by name, float32 with one value per file; NaN if unknown.
        persons: one name per file, or None.
        layout: the layout that was recognized.
        header: `faces.json` of an extraction, or empty.
        left_out: label tables and columns that give no attributes, with the reason.
        notices: one line each, for the user.
    """

    files: list[StoredFile]
    attributes: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    persons: list[str | None] = field(default_factory=list)
    layout: str = "pictures"
    header: dict[str, Any] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)


def read_listing(store: Store) -> Listing:
    """The pictures in a store, with their attributes and persons.

    Raises:
        BadData: there are no pictures, or a table can't be read.
    """
    files = sort_by_kind(store)
    if "" in run_folders(files.others):
        raise BadData(
            f"{as_typed(store.path)} is the folder of a training run, not of faces. "
            "Give the faces that it was trained on."
        )
    if not files.pictures:
        count = len(files.videos) + len(files.kinds)
        raise BadData(
            f"{as_typed(store.path)} has no pictures among its {count} files{_ignored_text(files)}. "
            "Give a folder or a zip of faces. To find faces in photos and videos: facesmith extract"
        )
    labels = read_labels(store, [file.name for file in files.pictures], files.others)
    listing = _labeled(store, files, labels) if labels.files else _read_folders(files.pictures, store.archives())
    listing.notices += _unused_tables(labels)
    listing.left_out |= labels.unused
    if not labels.files and any(basename(file.name) == "faces.json" for file in files.others):
        listing.notices.append(
            "faces.json is not used, because the metadata.csv of the extraction is missing: alignment and labels are "
            "unknown; run the same extract again with --force"
        )
    if not labels.files and (store.path / JOURNAL_NAME).exists():
        listing.notices.append("an extraction into this folder was interrupted; run the same extract again to resume")
    if ignored := _ignored_text(files, {*labels.files, *labels.sidecars, *labels.unused}):
        listing.notices.append(f"files that are not pictures are ignored{ignored}")
    return listing


def _ignored_text(files: SortedFiles, tables: frozenset[str] | set[str] = frozenset()) -> str:
    """The number of files by kind that are not pictures, in brackets, without label tables and files of `extract`."""
    known = {name for name in files.kinds if name in tables or basename(name) in WRITTEN_BY_EXTRACT}
    ignored = Counter(kind for name, kind in files.kinds.items() if name not in known)
    ignored["videos"] += len(files.videos)
    text = kinds_text(ignored)
    return f" ({text})" if text else ""


def _unused_tables(labels: Labels) -> Iterator[str]:
    """A notice for each label table that is not used, for the first few of them."""
    for number, (name, reason) in enumerate(labels.unused.items()):
        if number == MAX_TABLES_LISTED:
            yield f"{len(labels.unused) - number} more tables are not used"
            return
        yield f"{printable_name(name)} is not used: {printable_name(reason)}"


def _labeled(store: Store, files: SortedFiles, labels: Labels) -> Listing:
    """The pictures with the attributes and persons of their label tables."""
    listing = Listing(files.pictures, layout=labels.format, notices=labels.notices)
    folders = set(map(dirname, labels.files)) if labels.format == "metadata.csv" else set()
    headers = [f.name for f in files.others if basename(f.name) == "faces.json" and dirname(f.name) in folders]
    _add_header(listing, store, headers)
    sources = labels.columns.get("source", [""] * len(files.pictures))
    persons = persons_of([source or file.name for file, source in zip(files.pictures, sources, strict=True)])
    listing.persons = [labeled or person for labeled, person in zip(labels.persons, persons, strict=True)]
    columns = {name: cells for name, cells in labels.columns.items() if name not in GEOMETRY_COLUMNS}
    _add_attributes(listing, attributes_of(columns, labels.convention))
    if listing.layout == "extracted faces" and not all(labels.has_row):  # other pictures in the folder are no faces
        kept = [i for i, has_row in enumerate(labels.has_row) if has_row]
        listing.files = [listing.files[i] for i in kept]
        listing.persons = [listing.persons[i] for i in kept]
        listing.attributes = {name: values[kept] for name, values in listing.attributes.items()}
        listing.notices.append("pictures without a row are skipped, because extract did not write them")
    return listing


def _add_attributes(listing: Listing, attributes: Attributes) -> None:
    listing.attributes = attributes.values
    listing.left_out |= attributes.left_out
    listing.notices += attributes.notices
    if attributes.left_out:
        reasons = [f"{name} ({reason})" for name, reason in attributes.left_out.items()]
        more = f" and {len(reasons) - MAX_TABLES_LISTED} more" if len(reasons) > MAX_TABLES_LISTED else ""
        listing.notices.append(f"columns that are not attributes: {', '.join(reasons[:MAX_TABLES_LISTED])}{more}")


def _add_header(listing: Listing, store: Store, headers: list[str]) -> None:
    """Add the faces.json of the extraction, if all extractions in the dataset have the same alignment."""
    contents = [_read_json(store, name) for name in headers]
    if not contents:
        return
    listing.layout = "extracted faces"
    try:
        framing_from_header(as_schema(contents[0].get("alignment"), dict[str, Any]))
    except (BadData, ValueError) as error:
        listing.notices.append(
            f"alignment unknown, so invert has to estimate it: {printable_name(headers[0])}: {error}"
        )
        return
    if all(header.get("alignment") == contents[0].get("alignment") for header in contents):
        listing.header = contents[0]
    else:
        listing.notices.append(f"alignment unknown: {len(contents)} extractions with different alignments are mixed")


def _read_folders(pictures: list[StoredFile], archives: Collection[str]) -> Listing:
    listing = Listing(pictures)
    names = [picture.name for picture in pictures]
    listing.persons = persons_of(names)
    if any(listing.persons):
        listing.layout = "LFW"
        return listing
    classes, listing.notices = classes_of(names, archives)
    if classes:
        listing.layout = "class folders"
        listing.attributes = {
            each: np.array([name == each for name in classes], np.float32) for each in sorted(set(classes) - {""})
        }
    return listing


def _read_json(store: Store, name: str) -> dict[str, Any]:
    try:
        content = store.read(name)
        if content.startswith(LFS_POINTER):
            problem = "is a Git LFS pointer. Download it: git lfs pull"
            raise BadData(f"{as_typed(store.path)}: {printable_name(name)} {problem}")
        return parse_as(content, dict[str, Any])
    except BadPicture as reason:
        cause = str(reason).removeprefix("can't be read: ")
        raise BadData(f"{as_typed(store.path)}: {printable_name(name)} can't be read: {cause}.") from None
    except ValueError as error:
        raise BadData(
            f"{as_typed(store.path)}: {printable_name(name)} can't be used: {error}. Correct it, or remove it."
        ) from None
