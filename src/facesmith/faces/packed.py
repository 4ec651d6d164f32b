"""Pictures packed once into one memory-mapped file of uint8, keyed by their contents.

A second start reads no picture: each file's stamp (size and time, or a zip's checksum) tells that it is unchanged. A
set larger than memory trains, since the operating system keeps of the mapped file what is in use.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from facesmith.errors import BadData, BadPicture, FacesmithError, PictureUnavailable
from facesmith.faces.store import Entry, Store
from facesmith.io.files import atomic_write
from facesmith.io.images import Pixels, crop_and_resize, read_picture
from facesmith.io.progress import bar
from facesmith.photos.near_duplicates import Hashes, near_duplicate_groups, perceptual_hash

FORMAT = 2
WINDOW = 512  # pictures read ahead; bounds the memory that packing needs
ABANDONED_SECONDS = 24 * 3600  # after which a folder that a killed process left half packed is removed
SPARE_BYTES = 2**26


@dataclass
class Packed:
    """Pictures of one size in a memory-mapped file, in the order of `names`.

    Attributes:
        pixels: uint8 `[N, S, S, C]`, read only.
        sizes: `[N, 2]`, width and height that each picture had in its file.
        near: for each picture the lowest index among its near-duplicates.
        contents: sha256 of each file.
        left_out: name and reason of pictures that couldn't be read or were too small.
        retry: those of them that another try may be able to read.
        left_out_contents: sha256 of each that was left out, empty where not even its bytes could be read.
        key: folder of the cache where this lies.
        changed: names of those whose contents are others than when they were last packed.
    """

    pixels: Pixels
    names: list[str]
    contents: list[str]
    sizes: NDArray[np.int32]
    near: NDArray[np.int64]
    left_out: dict[str, str]
    retry: list[str]
    left_out_contents: dict[str, str]
    key: Path
    changed: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Read:
    name: str
    content: str
    pixels: Pixels | None = None
    size: tuple[int, int] = (0, 0)
    hash: Hashes | None = None
    reason: str = ""
    retry: bool = False


def cache_folder() -> Path:
    """Where packed pictures lie: `FACESMITH_CACHE`, else the user's cache folder."""
    if own := os.environ.get("FACESMITH_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "facesmith"


def pack(store: Store, entries: Sequence[Entry], resolution: int, channels: int, console: Console) -> Packed:
    """The packed pictures of a store, from the cache where nothing has changed.

    Pictures are cut to their middle square and made smaller to `resolution`; smaller ones are left out, never enlarged.

    Raises:
        BadData: the cache can't be written.
    """
    stamps_file = cache_folder() / "stamps" / f"{_digest(str(store.path.resolve()))}.json"
    known = _known(stamps_file)
    contents = {e.name: _content(store, e, known) for e in entries if e.name in known}
    packed = None
    if len(contents) == len(entries):
        packed = _open(_folder(contents.items(), resolution, channels))
        retried = (_read(store, name, resolution, channels) for name in (packed.retry if packed else ()))
        if any(read.pixels is not None for read in retried):
            packed = None
    try:
        if packed is None:
            packed = _pack_anew(store, entries, resolution, channels, console)
        now = dict(zip(packed.names, packed.contents, strict=True)) | packed.left_out_contents
        stamps = {e.name: [e.stamp, now[e.name]] for e in entries}
        if any(known.get(name) != stamp for name, stamp in stamps.items()):
            with atomic_write(stamps_file, "w") as stream:
                # Other resolutions and limits of the same store add to what is known of it.
                stream.write(json.dumps(known | stamps))
    except (OSError, FacesmithError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise BadData(
            f"The cache {cache_folder()} can't be written: {reason}. "
            "Make room or mend its rights, or name another folder in FACESMITH_CACHE."
        ) from None
    packed.changed = [name for name, content in now.items() if name in known and known[name][1] != content]
    return packed


def _content(store: Store, entry: Entry, known: dict[str, list[str]]) -> str:
    """The sha256 of a file's bytes, which are only read where its stamp is not the known one."""
    stamp, content = known[entry.name]
    if stamp == entry.stamp:
        return content
    with suppress(BadPicture):
        return hashlib.sha256(store.read(entry.name)).hexdigest()
    return ""


def _pack_anew(store: Store, entries: Sequence[Entry], resolution: int, channels: int, console: Console) -> Packed:
    """Read every picture, append its pixels to one file, and put that into its place in the cache at the end."""
    root = cache_folder() / "faces"
    root.mkdir(parents=True, exist_ok=True)
    _clean(root)
    needed_bytes, free_bytes = len(entries) * resolution**2 * channels, shutil.disk_usage(root).free
    if needed_bytes + SPARE_BYTES > free_bytes:
        raise BadData(f"{needed_bytes / 2**20:.0f} MiB are needed and {free_bytes / 2**20:.0f} MiB are free")
    beside = Path(tempfile.mkdtemp(prefix=".packing-", dir=root))
    try:
        kept: list[_Read] = []
        left_out: list[_Read] = []
        with open(beside / "pixels.u8", "wb") as stream:
            for read in bar(_read_all(store, entries, resolution, channels), len(entries), "packing", console):
                if read.pixels is None:
                    left_out.append(read)
                    continue
                stream.write(np.ascontiguousarray(read.pixels).tobytes())
                kept.append(_Read(read.name, read.content, None, read.size, read.hash))
            stream.flush()
            os.fsync(stream.fileno())
        near = near_duplicate_groups(np.array([read.hash for read in kept], np.uint64).reshape(-1, 4))
        index = {
            "shape": [len(kept), resolution, resolution, channels],
            "names": [read.name for read in kept],
            "contents": [read.content for read in kept],
            "sizes": [read.size for read in kept],
            "near": near.tolist(),
            "left_out": {read.name: [read.content, read.reason, read.retry] for read in left_out},
        }
        with atomic_write(beside / "index.json", "w", durable=True) as stream:
            stream.write(json.dumps(index))
        contents = [(read.name, read.content) for read in (*kept, *left_out)]
        return _placed(beside, _folder(contents, resolution, channels))
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _placed(beside: Path, folder: Path) -> Packed:
    """Put a packed folder into its place; where another process was faster, its own is as good."""
    failure: OSError | None = None
    for attempt in range(8):
        try:
            os.replace(beside, folder)  # fails where there is one
        except OSError as error:
            failure = error
        packed = _open(folder)
        if packed is not None:
            return packed
        with suppress(OSError):  # it is damaged: out of the way
            os.replace(folder, beside.with_name(f"{beside.name}-old{attempt}"))
            shutil.rmtree(beside.with_name(f"{beside.name}-old{attempt}"), ignore_errors=True)
    assert failure is not None
    raise failure


def _clean(root: Path) -> None:
    for left in root.glob(".packing-*"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > ABANDONED_SECONDS:
                shutil.rmtree(left, ignore_errors=True)


def _read_all(store: Store, entries: Sequence[Entry], resolution: int, channels: int) -> Iterator[_Read]:
    """Pictures decoded and resized by all cores, in order, a window at a time."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(entries), WINDOW):
            window = entries[start : start + WINDOW]
            yield from pool.map(lambda entry: _read(store, entry.name, resolution, channels), window)


def _read(store: Store, name: str, resolution: int, channels: int) -> _Read:
    content = ""
    try:
        raw = store.read(name)
        content = hashlib.sha256(raw).hexdigest()
        picture = read_picture(raw, name=name)
        pixels = crop_and_resize(picture, resolution, channels)
    except BadPicture as reason:
        return _Read(name, content, reason=str(reason), retry=isinstance(reason, PictureUnavailable))
    height, width = picture.shape[:2]
    return _Read(name, content, pixels, (width, height), perceptual_hash(picture))


def _open(folder: Path) -> Packed | None:
    """What lies packed in a folder; None where it is missing or damaged."""
    try:
        index: dict[str, Any] = json.loads((folder / "index.json").read_bytes())
        count, *_ = shape = tuple(index["shape"])
        pixels = np.memmap(folder / "pixels.u8", np.uint8, "r", shape=shape) if count else np.empty(shape, np.uint8)
        sizes = np.array(index["sizes"], np.int32).reshape(-1, 2)
        near = np.array(index["near"], np.int64)
        lengths = {len(each) for each in (index["names"], index["contents"], sizes, near)}
        if lengths != {count} or (folder / "pixels.u8").stat().st_size != pixels.nbytes:
            return None
        left_out = index["left_out"].items()
        return Packed(
            pixels,
            index["names"],
            index["contents"],
            sizes,
            near,
            left_out={name: reason for name, (_, reason, _) in left_out},
            retry=[name for name, (_, _, retry) in left_out if retry],
            left_out_contents={name: content for name, (content, _, _) in left_out},
            key=folder,
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return None


def _known(stamps_file: Path) -> dict[str, list[str]]:
    """Stamp and sha256 by name; a damaged file of them counts for nothing."""
    try:
        known = json.loads(stamps_file.read_bytes())
        return {name: [stamp, content] for name, (stamp, content) in known.items()}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return {}


def _folder(contents: Iterable[tuple[str, str]], resolution: int, channels: int) -> Path:
    key = _digest(json.dumps([FORMAT, resolution, channels, sorted(contents)]))
    return cache_folder() / "faces" / key


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:24]
