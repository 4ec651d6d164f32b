"""Rows of a table -> pictures, by name.

Tables name their pictures with other folders, endings, capitals or accents than the disk does. A row belongs to the
picture that agrees with it most exactly; a name that fits several pictures equally well belongs to none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import takewhile
from posixpath import basename, dirname, join, normpath, splitext
from unicodedata import normalize

from facesmith.io.file_kinds import PICTURE_SUFFIXES, VIDEO_SUFFIXES
from facesmith.labels.table_text import readable

SUFFIXES = PICTURE_SUFFIXES | VIDEO_SUFFIXES


@dataclass
class Join:
    """The row of each picture.

    Attributes:
        row_of: by the picture's index; pictures without a row are missing.
        unnamed: number of rows without a name.
        unmatched: names in rows that match no picture.
        ambiguous: names in rows that match several pictures, or in several rows that match one picture equally well.
        repeated: names in further rows of a picture.
    """

    row_of: dict[int, int] = field(default_factory=dict)
    unnamed: int = 0
    unmatched: list[str] = field(default_factory=list)
    ambiguous: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)


def join_rows(keys: Sequence[str], pictures: Sequence[str], folder: str) -> Join:
    """Join the rows of a table to pictures. Of several rows for one picture the most exact is used, then the first.

    Args:
        keys: the picture's name in each row.
        pictures: their paths in the store.
        folder: of the table. If there are pictures in it, the rows can belong to no others.
    """
    inside = [i for i, name in enumerate(pictures) if not folder or name.startswith(f"{folder}/")]
    numbers = inside or list(range(len(pictures)))
    index = _PictureIndex([pictures[i] for i in numbers], folder)
    result = Join()
    claims: dict[int, tuple[int, list[int]]] = {}  # exactness, and the rows that have it
    for row, key in enumerate(keys):
        if not key:
            result.unnamed += 1
            continue
        level, found = index.find(key)
        if len(found) != 1:
            (result.ambiguous if found else result.unmatched).append(key)
            continue
        picture = numbers[found[0]]
        best, rows = claims.setdefault(picture, (level, []))
        if level < best:
            result.repeated += [keys[other] for other in rows]
            claims[picture] = level, [row]
        elif level == best:
            rows.append(row)
        else:
            result.repeated.append(key)
    for picture, (level, rows) in claims.items():
        if level >= FIRST_WITHOUT_FOLDER and len({dirname(_clean(keys[row])) for row in rows}) > 1:
            result.ambiguous += [keys[row] for row in rows]  # a/1.jpg and b/1.jpg, but there is only c/1.jpg
            continue
        result.row_of[picture] = rows[0]
        result.repeated += [keys[row] for row in rows[1:]]
    return result


def without_ending(path: str) -> str:
    """A path without the ending of a picture or video; other endings are part of the name."""
    stem, suffix = splitext(path)
    return stem if suffix.lower() in SUFFIXES else path


def _clean(key: str) -> str:
    """A path with `/` as separator and without `./` and inner `..`."""
    return normpath(key.replace("\\", "/"))


def _composed(path: str) -> str:
    """A path with its accents as one character each; macOS writes them as two."""
    return path if path.isascii() else normalize("NFC", path)


def _folded(path: str) -> str:
    return _composed(path).casefold()


# Ways to compare paths, the most exact first. The last ones compare file names without their folders.
LEVELS: tuple[Callable[[str], str], ...] = (
    lambda path: path,
    _composed,
    _folded,
    lambda path: _folded(without_ending(path)),
    lambda path: _folded(basename(path)),
    lambda path: _folded(basename(without_ending(path))),
)
FIRST_WITHOUT_FOLDER = 4


class _PictureIndex:
    """Finds pictures by name."""

    def __init__(self, pictures: Sequence[str], folder: str) -> None:
        self.pictures, self.folder = pictures, folder
        self.by_level = cache(self._by_level)  # most tables need the first level only

    def _by_level(self, level: int) -> dict[str, list[int]]:
        numbers: dict[str, list[int]] = {}
        for i, name in enumerate(self.pictures):
            numbers.setdefault(LEVELS[level](name), []).append(i)
        return numbers

    def find(self, key: str) -> tuple[int, list[int]]:
        """The level at which a name is found, and the pictures that fit it best: none, one or several."""
        paths = [_clean(key)]
        if (other := readable(key)) != key:
            paths.append(_clean(other))
        if self.folder:
            paths = [normpath(join(self.folder, path)) for path in paths] + paths
        for level, form in enumerate(LEVELS):
            by_name = self.by_level(level)
            for path in paths:
                if found := by_name.get(form(path)):
                    return level, found if level < FIRST_WITHOUT_FOLDER else self._closest(found, path)
        return len(LEVELS), []

    def _closest(self, found: list[int], path: str) -> list[int]:
        """Of pictures with the same file name, those that share most of their innermost folders with a path."""
        if len(found) == 1:
            return found
        folders = _folded(path).split("/")[-2::-1]
        shared = []
        for i in found:
            others = _folded(self.pictures[i]).split("/")[-2::-1]
            shared.append(
                sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(folders, others, strict=False)))
            )
        return [i for i, count in zip(found, shared, strict=True) if count == max(shared)]
