"""A cache of decoded pictures: one memory-mapped file of uint8, keyed by the contents of the pictures.

A second start reads no picture: each file's stamp (size and time, or the checksum in a zip) shows that it is unchanged.
Datasets may be larger than memory, because the operating system loads only the parts of the file that are used.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray
from rich.console import Console

from facesmith.errors import BadData, BadOption, BadPicture, FacesmithError, PictureUnavailable
from facesmith.io.cpus import usable_cpus
from facesmith.io.files import atomic_write, disk_advice, disk_cause, is_running, read_regular_file, user_path
from facesmith.io.json_files import parse_as
from facesmith.io.progress import bar
from facesmith.photos.near_duplicates import Hashes, near_duplicate_groups, perceptual_hash
from facesmith.pictures.images import Pixels, crop_and_resize, read_first_picture
from facesmith.storage.store import Store, StoredFile

FORMAT = 2
READ_AHEAD = 512  # pictures; limits the memory for packing
PACKING = ".packing-"  # the start of names of temporary folders: process, machine and a random text follow
PIXELS = "pixels.u8"
ABANDONED_SECONDS = 24 * 3600  # after this time without progress, the unfinished folder of another machine is removed
SPARE_BYTES = 2**26  # of disk space that must stay free
MAX_INDEX_BYTES = 2**30  # ten million pictures
_Count = Annotated[int, Meta(ge=0, lt=2**31)]


@dataclass
class Packed:
    """Pictures of one size in a memory-mapped file, in the order of `names`.

    Attributes:
        pixels: uint8 `[N, S, S, C]`, read-only.
        names: of the files.
        contents: sha256 of each file.
        sizes: `[N, 2]`, width and height of each picture in its file.
        near: for each picture the lowest index among its near-duplicates.
        skipped: reasons by name, of pictures that can't be read or are too small.
        retry: skipped pictures that may be readable another time.
        skipped_contents: sha256 by name of each skipped picture; empty if its bytes can't be read.
        several: the number of pages or frames by name, of files with more than the one that is used.
        folder: where the cache keeps this.
        changed: names of pictures whose contents changed since they were last packed.
    """

    pixels: Pixels
    names: list[str]
    contents: list[str]
    sizes: NDArray[np.int32]
    near: NDArray[np.int64]
    skipped: dict[str, str]
    retry: list[str]
    skipped_contents: dict[str, str]
    several: dict[str, int]
    folder: Path
    changed: list[str] = field(default_factory=list)


@dataclass
class _Index:
    """The content of index.json; see `Packed`. `left_out`: sha256, reason and `retry` by name."""

    shape: tuple[_Count, _Count, _Count, _Count]
    names: list[str]
    contents: list[str]
    sizes: list[tuple[_Count, _Count]]
    near: list[_Count]
    left_out: dict[str, tuple[str, str, bool]]
    several: dict[str, _Count] = field(default_factory=dict)


@dataclass(frozen=True)
class _Picture:
    """A picture after reading: its resized pixels, or the reason to skip it."""

    name: str
    content: str
    pixels: Pixels | None = None
    size: tuple[int, int] = (0, 0)
    hash: Hashes | None = None
    reason: str = ""
    retry: bool = False
    n_pictures: int = 1


class _NoSpace(FacesmithError):
    """The disk of the cache is too full."""


def cache_folder() -> Path:
    """The folder of all caches: `FACESMITH_CACHE`, or `facesmith` in the user's cache folder.

    Raises:
        BadData: the user has no home folder, as in some containers.
    """
    if custom := os.environ.get("FACESMITH_CACHE"):
        return user_path(custom)
    if user_cache := os.environ.get("XDG_CACHE_HOME"):
        return user_path(user_cache) / "facesmith"
    try:
        return Path.home() / ".cache" / "facesmith"
    except RuntimeError:
        raise BadData("There is no home folder for the cache. Set FACESMITH_CACHE to a folder.") from None


def pack(
    store: Store,
    files: Sequence[StoredFile],
    resolution: int,
    channels: int,
    console: Console,
    *,
    share: str = "",
    find_near: bool = True,
) -> Packed:
    """The packed pictures of a store, from the cache if nothing has changed.

    Pictures are cropped to their middle square and reduced to `resolution`. Smaller ones are skipped, never enlarged.

    Raises:
        BadData: the cache can't be written.
    """
    stamps_file = cache_folder() / "stamps" / f"{_digest(f'{store.path.resolve()}{share}')}.json"
    old_stamps = _read_stamps(stamps_file)
    known = [file for file in files if file.name in old_stamps]
    checked = bar(known, len(known), "checking pictures", console)
    contents = {file.name: _content_hash(store, file, old_stamps) for file in checked}
    packed = None
    if len(contents) == len(files):
        packed = _open(_folder(contents.items(), resolution, channels))
        retried = (_read(store, name, resolution, channels) for name in (packed.retry if packed else ()))
        if any(picture.pixels is not None for picture in retried):
            packed = None
    try:
        if packed is None:
            packed = _pack_all(store, files, resolution, channels, console, find_near)
        new_contents = dict(zip(packed.names, packed.contents, strict=True)) | packed.skipped_contents
        stamps = {f.name: [f.stamp, new_contents[f.name]] for f in files}
        if any(old_stamps.get(name) != stamp for name, stamp in stamps.items()):
            with atomic_write(stamps_file, "w") as stream:
                # Keep the stamps of files that this resolution or limit does not use.
                stream.write(json.dumps(old_stamps | stamps))
    except (OSError, _NoSpace, BadOption) as error:
        cause = f"{disk_cause(error)}. {disk_advice(error)}" if isinstance(error, OSError) else str(error)
        raise BadData(
            f"The cache {cache_folder()} can't be written: {cause} Or set FACESMITH_CACHE to another folder."
        ) from None
    packed.changed = [
        name for name, content in new_contents.items() if name in old_stamps and old_stamps[name][1] != content
    ]
    return packed


def _content_hash(store: Store, file: StoredFile, old_stamps: dict[str, list[str]]) -> str:
    """The sha256 of a file. The file is read only if its stamp has changed."""
    stamp, content = old_stamps[file.name]
    if stamp == file.stamp:
        return content
    with suppress(BadPicture):
        return hashlib.sha256(store.read(file.name)).hexdigest()
    return ""


def _pack_all(
    store: Store, files: Sequence[StoredFile], resolution: int, channels: int, console: Console, find_near: bool
) -> Packed:
    """Read every picture, append its pixels to one file in a temporary folder, and move the folder into the cache."""
    root = cache_folder() / "faces"
    root.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(root)
    needed_bytes, free_bytes = len(files) * resolution**2 * channels, shutil.disk_usage(root).free
    if needed_bytes + SPARE_BYTES > free_bytes:
        raise _NoSpace(
            f"it needs {math.ceil(needed_bytes / 2**20)} MiB, and {free_bytes // 2**20} MiB are free. Free some space."
        )
    temporary = Path(tempfile.mkdtemp(prefix=f"{PACKING}{os.getpid()}-{socket.gethostname()}-", dir=root))
    try:
        kept: list[_Picture] = []
        skipped: list[_Picture] = []
        with open(temporary / PIXELS, "wb") as stream:
            for picture in bar(_read_all(store, files, resolution, channels), len(files), "packing pictures", console):
                if picture.pixels is None:
                    skipped.append(picture)
                    continue
                stream.write(np.ascontiguousarray(picture.pixels).tobytes())
                kept.append(replace(picture, pixels=None))
            stream.flush()
            os.fsync(stream.fileno())
        hashes = np.array([picture.hash for picture in kept], np.uint64).reshape(-1, 4)
        near = near_duplicate_groups(hashes) if find_near else np.arange(len(kept))
        index = _Index(
            shape=(len(kept), resolution, resolution, channels),
            names=[picture.name for picture in kept],
            contents=[picture.content for picture in kept],
            sizes=[picture.size for picture in kept],
            near=near.tolist(),
            left_out={picture.name: (picture.content, picture.reason, picture.retry) for picture in skipped},
            several={picture.name: picture.n_pictures for picture in kept if picture.n_pictures > 1},
        )
        with atomic_write(temporary / "index.json", "w", durable=True) as stream:
            stream.write(json.dumps(vars(index)))
        contents = [(picture.name, picture.content) for picture in (*kept, *skipped)]
        return _move_into_cache(temporary, _folder(contents, resolution, channels))
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _move_into_cache(temporary: Path, folder: Path) -> Packed:
    """Move a packed folder into the cache. If another process was faster, its folder is used."""
    failure: OSError | None = None
    for attempt in range(8):
        try:
            os.replace(temporary, folder)  # fails if the folder exists
        except OSError as error:
            failure = error
        packed = _open(folder)
        if packed is not None:
            return packed
        with suppress(OSError):  # the existing folder is damaged: remove it
            os.replace(folder, temporary.with_name(f"{temporary.name}-old{attempt}"))
            shutil.rmtree(temporary.with_name(f"{temporary.name}-old{attempt}"), ignore_errors=True)
    assert failure is not None
    raise failure


def _remove_abandoned(root: Path) -> None:
    """Remove temporary folders whose process was killed, and those of other machines after a day without progress.

    Several machines may share a cache.
    """
    for folder in root.glob(f"{PACKING}*"):
        process, _, rest = folder.name.removeprefix(PACKING).partition("-")
        with suppress(OSError):
            if process.isdigit() and rest.rpartition("-")[0] == socket.gethostname():
                abandoned = not is_running(int(process))
            else:
                abandoned = time.time() - _last_written(folder) > ABANDONED_SECONDS
            if abandoned:
                shutil.rmtree(folder, ignore_errors=True)


def _last_written(folder: Path) -> float:
    """When pixels were last added to a temporary folder, whose own time does not change with them."""
    pixels = folder / PIXELS
    return (pixels if pixels.exists() else folder).stat().st_mtime


def _read_all(store: Store, files: Sequence[StoredFile], resolution: int, channels: int) -> Iterator[_Picture]:
    """Pictures decoded and resized by all cores, in order."""
    with ThreadPoolExecutor(usable_cpus()) as pool:
        for start in range(0, len(files), READ_AHEAD):
            chunk = files[start : start + READ_AHEAD]
            yield from pool.map(lambda file: _read(store, file.name, resolution, channels), chunk)


def _read(store: Store, name: str, resolution: int, channels: int) -> _Picture:
    content = ""
    try:
        raw = store.read(name)
        content = hashlib.sha256(raw).hexdigest()
        picture = read_first_picture(raw, name=name)
        pixels = crop_and_resize(picture.pixels, resolution, channels)
    except BadPicture as reason:
        return _Picture(name, content, reason=str(reason), retry=isinstance(reason, PictureUnavailable))
    height, width = picture.pixels.shape[:2]
    hashes = perceptual_hash(picture.pixels)
    return _Picture(name, content, pixels, (width, height), hashes, n_pictures=picture.n_pictures)


def _open(folder: Path) -> Packed | None:
    """The packed pictures in a folder; None if it is missing or damaged."""
    try:
        index = parse_as(read_regular_file(folder / "index.json", MAX_INDEX_BYTES), _Index)
        count, resolution, _, channels = shape = index.shape
        lengths = {len(each) for each in (index.names, index.contents, index.sizes, index.near)}
        skipped_contents = {name: content for name, (content, _, _) in index.left_out.items()}
        contents = [*zip(index.names, index.contents, strict=False), *skipped_contents.items()]
        is_whole = lengths <= {count} and max(index.near, default=-1) < count
        # The folder is named by a hash of the files' names and contents.
        if not is_whole or folder != _folder(contents, resolution, channels):
            return None
        pixels = np.memmap(folder / PIXELS, np.uint8, "r", shape=shape) if count else np.empty(shape, np.uint8)
        if (folder / PIXELS).stat().st_size != pixels.nbytes:
            return None
        return Packed(
            pixels,
            index.names,
            index.contents,
            np.array(index.sizes, np.int32).reshape(-1, 2),
            np.array(index.near, np.int64),
            skipped={name: reason for name, (_, reason, _) in index.left_out.items()},
            retry=[name for name, (_, _, retry) in index.left_out.items() if retry],
            skipped_contents=skipped_contents,
            several=index.several,
            folder=folder,
        )
    except (OSError, ValueError, OverflowError):
        return None


def _read_stamps(stamps_file: Path) -> dict[str, list[str]]:
    """Stamp and sha256 of each file by name; empty if the stamps file is missing or damaged."""
    try:
        stamps = parse_as(read_regular_file(stamps_file, MAX_INDEX_BYTES), dict[str, tuple[str, str]])
        return {name: [stamp, content] for name, (stamp, content) in stamps.items()}
    except (OSError, ValueError):
        return {}


def _folder(contents: Iterable[tuple[str, str]], resolution: int, channels: int) -> Path:
    key = _digest(json.dumps([FORMAT, resolution, channels, sorted(contents)]))
    return cache_folder() / "faces" / key


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:24]
