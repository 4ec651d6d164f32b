"""What photos may come as: a folder (searched through), a zip, one picture, or a film.

Whatever it is becomes one list of named files in a stable order, and then a stream of named photos to load.
"""

from __future__ import annotations

import hashlib
import os
import stat
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Protocol

import av
import numpy as np

from facesmith.errors import BadData, BadPicture
from facesmith.io.images import MAX_FILE_BYTES, MAX_PIXELS, PICTURE_SUFFIXES, Pixels, read_picture

FILM_SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".wmv", ".3gp"})


@dataclass(frozen=True)
class Photo:
    """One photo to look at.

    Attributes:
        source: its path inside PHOTOS, with `/`; frames of films as `film.mp4#000120`.
        load: gives its pixels, or raises BadPicture with the reason why not. May be called in any thread, once.
        pixels_held: how many pixels wait in memory already, as those of film frames do.
    """

    source: str
    load: Callable[[], Pixels]
    pixels_held: int = 0


@dataclass(frozen=True)
class File:
    """A picture or film by its path inside PHOTOS; its size tells whether it was changed."""

    name: str
    size_bytes: int

    @property
    def is_film(self) -> bool:
        return PurePosixPath(self.name).suffix.lower() in FILM_SUFFIXES


class Source(Protocol):
    """An opened PHOTOS.

    Attributes:
        name: of the folder, zip or file, without what leads to it.
        files: pictures and films, sorted by name.
        ignored: how many files of each other ending were left aside.
    """

    name: str
    files: list[File]
    ignored: Counter[str]

    def load(self, file: File) -> Pixels:
        """The pixels of a picture; raises BadPicture."""
        ...

    def film(self, file: File) -> Path:
        """Where a film can be opened; raises BadPicture."""
        ...

    def close(self) -> None: ...


@dataclass
class Folder:
    """A folder, or a single file of one."""

    root: Path
    name: str
    files: list[File] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)

    def load(self, file: File) -> Pixels:
        return read_picture(self.root / file.name)

    def film(self, file: File) -> Path:
        return self.root / file.name

    def close(self) -> None:
        pass


@dataclass
class Zip:
    """A zip file, read in place: nothing is unpacked to the disk."""

    archive: zipfile.ZipFile
    name: str
    files: list[File] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)

    def load(self, file: File) -> Pixels:
        if file.size_bytes > MAX_FILE_BYTES:
            raise BadPicture(f"file of {file.size_bytes / 2**20:.0f} MiB, more than {MAX_FILE_BYTES // 2**20} MiB")
        try:
            return read_picture(self.archive.read(file.name), name=file.name)
        except RuntimeError:
            raise BadPicture("encrypted in the zip") from None
        # What zipfile and the decompressors raise for damaged entries and unknown ways of packing.
        except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, ValueError, zlib.error) as error:
            raise BadPicture(f"damaged in the zip: {error}") from None

    def film(self, file: File) -> Path:
        raise BadPicture("a film inside a zip; unpack it first")

    def close(self) -> None:
        self.archive.close()


def open_source(photos: Path, *, outside: Path | None = None) -> Source:
    """PHOTOS, listed: hidden files, `__MACOSX` and what has another ending than pictures and films are left aside.

    Args:
        outside: a folder whose files are not photos, since they are the output.

    Raises:
        BadData: it does not exist, is of no known kind, or holds nothing to look at.
    """
    source: Source
    if photos.is_dir():
        source = Folder(photos, photos.resolve().name)
        _list_folder(source, outside)
    elif photos.suffix.lower() == ".zip" and photos.is_file():
        source = Zip(_open_zip(photos), photos.name)
        _list_zip(source)
    elif photos.is_file():
        source = Folder(photos.parent, photos.name)
        _sort_in(source, photos.name, photos.stat().st_size)
    else:
        raise BadData(f"{photos} does not exist. Give a folder, a zip, a picture or a film.")
    source.files.sort(key=lambda file: file.name)
    if not source.files:
        others = ", ".join(f"{count} {ending}" for ending, count in source.ignored.most_common(5)) or "no files at all"
        raise BadData(f"{photos} holds no pictures and no films ({others}).")
    return source


def iterate_photos(source: Source, every: int) -> Iterator[Photo]:
    """All photos of a source in order; of films every n-th frame."""
    for file in source.files:
        if file.is_film:
            yield from _frames(source, file, every)
        else:
            yield Photo(file.name, partial(source.load, file))


def count_photos(source: Source, every: int) -> int | None:
    """How many photos `iterate_photos` will give, or None where a film doesn't tell its length."""
    count = 0
    for file in source.files:
        frames = _frame_count(source, file) if file.is_film else 1
        if frames == 0:
            return None
        count += -(-frames // every) if file.is_film else 1
    return count


def source_fingerprint(source: Source) -> str:
    """A hash of the names and sizes of all files: what was added, removed or changed changes it."""
    digest = hashlib.sha256()
    for file in source.files:
        digest.update(f"{file.name}\0{file.size_bytes}\0".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:16]


def _frame_count(source: Source, file: File) -> int:
    """What a film says of its length, or 0."""
    try:
        with closing(av.open(str(source.film(file)))) as container:
            return container.streams.video[0].frames
    except (BadPicture, av.FFmpegError, OSError, IndexError):
        return 1  # the one photo that tells of the failure


def _open_zip(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, NotImplementedError) as error:
        raise BadData(f"{path} is no readable zip ({error}). Was it copied or downloaded whole?") from None


def _list_folder(source: Folder, outside: Path | None) -> None:
    skipped = outside.resolve() if outside is not None else None

    def unreadable(error: OSError) -> None:  # listed like a picture, so that reading it gives the reason
        source.files.append(File(Path(error.filename).relative_to(source.root).as_posix(), 0))

    for folder, folders, names in os.walk(source.root, onerror=unreadable):
        here = Path(folder)
        folders[:] = [n for n in folders if not _hidden(n) and (here / n).resolve() != skipped]
        for name in names:
            path = here / name
            try:
                status = path.stat()
            except OSError:  # a broken link: here too
                _sort_in(source, path.relative_to(source.root).as_posix(), 0)
                continue
            if stat.S_ISREG(status.st_mode):  # a pipe would block its reader for ever
                _sort_in(source, path.relative_to(source.root).as_posix(), status.st_size)


def _list_zip(source: Zip) -> None:
    known: set[str] = set()
    for entry in source.archive.infolist():
        if not entry.is_dir() and entry.filename not in known:  # of two entries with one name, reading gives the last
            known.add(entry.filename)
            _sort_in(source, entry.filename, entry.file_size)


def _sort_in(source: Folder | Zip, name: str, size_bytes: int) -> None:
    path = PurePosixPath(name)
    if any(_hidden(part) for part in path.parts):
        return
    if path.suffix.lower() in PICTURE_SUFFIXES | FILM_SUFFIXES:
        source.files.append(File(name, size_bytes))
    else:
        source.ignored[path.suffix.lower() or "without ending"] += 1


def _hidden(part: str) -> bool:
    return (part.startswith(".") and part not in (".", "..")) or part == "__MACOSX"


def _frames(source: Source, file: File, every: int) -> Iterator[Photo]:
    """Every n-th frame of a film; one photo that fails to load where the film can't be read (any further)."""
    number = -1
    try:
        with closing(av.open(str(source.film(file)))) as container:
            container.streams.video[0].thread_type = "AUTO"
            for number, frame in enumerate(container.decode(video=0)):
                if number % every == 0:
                    yield Photo(f"{file.name}#{number:06d}", *_loader(frame))
        if number < 0:
            yield Photo(file.name, _failing("a film without frames"))
    except BadPicture as error:
        yield Photo(file.name, _failing(str(error)))
    except IndexError:
        yield Photo(file.name, _failing("a film without pictures"))
    except (av.FFmpegError, OSError) as error:
        yield Photo(f"{file.name}#{number + 1:06d}", _failing(f"damaged film: {error.strerror or error}"))


def _loader(frame: av.VideoFrame) -> tuple[Callable[[], Pixels], int]:
    n_pixels = frame.width * frame.height
    if n_pixels > MAX_PIXELS:
        return _failing(f"{frame.width}x{frame.height} pixels, more than {MAX_PIXELS // 10**6} million"), 0
    return partial(_pixels_of, frame), n_pixels


def _pixels_of(frame: av.VideoFrame) -> Pixels:
    """A frame, upright: phones store the picture as the sensor saw it, and how far to turn it (counter-clockwise)."""
    try:
        pixels = frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise BadPicture(f"damaged frame: {error}") from None
    quarter_turns = round(getattr(frame, "rotation", 0) / 90)  # older releases of av don't tell
    return np.ascontiguousarray(np.rot90(pixels, quarter_turns))


def _failing(reason: str) -> Callable[[], Pixels]:
    def fail() -> Pixels:
        raise BadPicture(reason)

    return fail
