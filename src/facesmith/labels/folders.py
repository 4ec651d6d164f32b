"""Labels in the names of folders: persons, as in Labeled Faces in the Wild, or classes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from posixpath import basename, dirname

from facesmith.io.attribute_options import attribute_name
from facesmith.io.messages import printable_name

MAX_CLASSES = 64
MAX_MEAN_PER_PERSON = 100  # folders with more pictures on average are classes: smiling/smiling_0001.jpg
SPLIT_FOLDERS = frozenset({"train", "training", "validation", "valid", "val", "dev", "test", "testing", "eval"})
NO_CLASSES = SPLIT_FOLDERS | {".", ".."}
ALBUM = re.compile(
    # `2019`, `2019-07 Paris` and `20190721`; `Photos from 2019`; `100CANON`, as cameras name them (DCF standard)
    r"(19|20)\d\d(?!\d)|(19|20)\d{6}(?!\d)|.*\s(19|20)\d\d$|[1-9]\d\d(?!\d{5})[A-Z0-9_]{5}$"
    r"|DCIM$|Camera$|Screenshots$|WhatsApp (Images|Video)$",
    re.ASCII,
)
THOUSAND = re.compile(r"\d{5}", re.ASCII)  # `00001` or `01000`, with pictures 1000 to 1999, as in FFHQ
NUMBER_OF_PICTURE = re.compile(r"(\d{1,15})\.\w+$", re.ASCII)


def person_of(path: str) -> str | None:
    """The person in a path of Labeled Faces in the Wild (`.../Name/Name_0001.jpg`), or None."""
    folders, _, name = path.rpartition("/")
    folder = folders.rpartition("/")[2]
    person, _, number = name.rpartition(".")[0].rpartition("_")
    return folder if folder and person == folder and number.isdecimal() else None


def persons_of(names: Iterable[str]) -> list[str | None]:
    """The person in each path; None for all if their folders are classes instead."""
    return unless_classes(list(map(person_of, names)))


def unless_classes(persons: list[str | None]) -> list[str | None]:
    """The persons that `person_of` gave for several paths; None for all if their folders are classes instead."""
    counts = Counter(person for person in persons if person)
    return persons if counts.total() <= MAX_MEAN_PER_PERSON * len(counts) else [None] * len(persons)


def classes_of(names: Sequence[str], archives: Collection[str] = ()) -> tuple[list[str], list[str]]:
    """The class of each path, as the name of an attribute, and notices for the user. No classes: an empty list.

    A single folder beside other pictures is not a class: it may be an album. Folders are not classes, either, if
    all have names of dates or cameras, or each contains a thousand consecutive pictures. A notice says so.

    Args:
        archives: paths of folders that are archives, and therefore no classes.
    """
    folders = [_class_folder(name, archives) for name in names]
    notices = []
    if any(part in SPLIT_FOLDERS for name in names for part in dirname(name).lower().split("/")):
        notices.append("folders such as train and test are not classes; Facesmith splits the faces itself")
    distinct = set(folders) - {""}
    if len(distinct) == 1 and "" in folders:
        notices.append(f"the folder {printable_name(*distinct)} is not a class, because there is no other one")
    if len(distinct) < 2:
        return [], notices
    if reason := _why_no_classes(names, folders, distinct):
        return [], [*notices, reason]
    folders_of: dict[str, list[str]] = {}
    for folder in sorted(distinct):
        folders_of.setdefault(attribute_name(folder), []).append(printable_name(folder))
    for name, same in folders_of.items():
        if not name:
            notices.append(f"folders without letters or digits are not classes: {', '.join(same)}")
        elif len(same) > 1:
            notices.append(f"the folders {', '.join(same)} are one class, {name}")
    return [attribute_name(folder) for folder in folders], notices


def _why_no_classes(names: Sequence[str], folders: Sequence[str], distinct: Collection[str]) -> str:
    """A notice if several folders are not classes; empty if they are.

    Args:
        folders: the folder of each path in `names`.
        distinct: these folders without repetitions.
    """
    example = printable_name(min(distinct))
    if all(map(ALBUM.match, distinct)):
        return f"folders with names of dates or cameras, such as {example}, are not classes"
    if all(map(_is_in_thousand, names, folders)):
        return f"folders of a thousand pictures each, such as {example}, are not classes"
    if len(distinct) > MAX_CLASSES:
        return f"{len(distinct)} folders are not classes, because they are more than {MAX_CLASSES}"
    return ""


def _is_in_thousand(name: str, folder: str) -> bool:
    """Whether a folder is named for the number of its picture: 1012 lies in `00001` or `01000`."""
    number = NUMBER_OF_PICTURE.search(name)
    if number is None or not THOUSAND.fullmatch(folder):
        return False
    thousands = int(number[1]) // 1000
    return int(folder) in (thousands, 1000 * thousands)


def _class_folder(name: str, archives: Collection[str]) -> str:
    """The innermost folder of a picture that may be a class; empty if there is none.

    Parts of a dataset, such as train, are no classes, and neither are archives, `.` and `..`.
    """
    path = dirname(name)
    while path and (basename(path).lower() in NO_CLASSES or path in archives):
        path = dirname(path)
    return basename(path)
