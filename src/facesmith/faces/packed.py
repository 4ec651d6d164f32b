"""Pictures packed once into one memory-mapped file of uint8, keyed by their contents.

A second start reads no picture: each file's stamp (size and time, or a zip's checksum) tells that it is unchanged. A set
larger than memory trains, since the operating system keeps of the mapped file what is in use.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from facesmith.duplicates import Hashes, near_duplicate_groups, perceptual_hash
from facesmith.errors import BadPicture
from facesmith.faces.store import Entry, Store
from facesmith.images import Pixels, center_square, read_picture, resize, to_grey, written_beside
from facesmith.progress import bar

FORMAT = 1
WINDOW = 512  # pictures read ahead; bounds the memory that packing needs


@dataclass
class Packed:
    """Pictures of one size in a memory-mapped file, in the order of `names`.

    Attributes:
        pixels: uint8 `[N, S, S, C]`, read only.
        sizes: `[N, 2]`, width and height that each picture had in its file.
        near: for each picture the lowest index among its near-duplicates.
        contents: sha256 of each file.
        left_out: name and reason of pictures that couldn't be read or were too small.
        key: folder of the cache where this lies.
    """

    pixels: Pixels
    names: list[str]
    contents: list[str]
    sizes: NDArray[np.int32]
    near: NDArray[np.int64]
    left_out: dict[str, str]
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
    too_small: bool = False


def cache_folder() -> Path:
    """Where packed pictures lie: `FACESMITH_CACHE`, else the user's cache folder."""
    if own := os.environ.get("FACESMITH_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "facesmith"


def pack(store: Store, entries: Sequence[Entry], resolution: int, channels: int, console: Console) -> Packed:
    """The packed pictures of a store, from the cache where nothing has changed.

    Pictures are cut to their middle square and made smaller to `resolution`; smaller ones are left out, never enlarged.
    """
    stamps_file = cache_folder() / "stamps" / f"{_digest(str(store.path.resolve()))}.json"
    known = _known(stamps_file)
    changed = [e.name for e in entries if e.name in known and known[e.name][0] != e.stamp]
    if all(known.get(e.name, ("",))[0] == e.stamp for e in entries):
        opened = _open(_folder([(e.name, known[e.name][1]) for e in entries], resolution, channels))
        if opened is not None:
            return opened
    packed = _pack_anew(store, entries, resolution, channels, console)
    contents = dict(zip(packed.names, packed.contents, strict=True)) | _left_out_contents(packed)
    with written_beside(stamps_file, "w") as stream:
        # Other resolutions and limits of the same store add to what is known of it.
        json.dump(known | {e.name: [e.stamp, contents[e.name]] for e in entries}, stream)
    packed.changed = changed
    return packed


def _pack_anew(store: Store, entries: Sequence[Entry], resolution: int, channels: int, console: Console) -> Packed:
    """Read every picture, append its pixels to one file, and put that into its place in the cache at the end."""
    root = cache_folder() / "faces"
    root.mkdir(parents=True, exist_ok=True)
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
        near = near_duplicate_groups(np.array([read.hash for read in kept], np.uint64).reshape(-1, 4))
        np.save(beside / "near.npy", near)
        np.save(beside / "sizes.npy", np.array([read.size for read in kept], np.int32).reshape(-1, 2))
        index = {
            "shape": [len(kept), resolution, resolution, channels],
            "names": [read.name for read in kept],
            "contents": [read.content for read in kept],
            "left_out": {read.name: [read.content, read.reason] for read in left_out},
        }
        (beside / "index.json").write_text(json.dumps(index))
        folder = _folder([(read.name, read.content) for read in (*kept, *left_out)], resolution, channels)
        if folder.exists():  # damaged, or another process was faster: ours is whole
            shutil.rmtree(folder, ignore_errors=True)
        os.replace(beside, folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    packed = _open(folder)
    assert packed is not None
    return packed


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
    except BadPicture as reason:
        return _Read(name, content, reason=str(reason))
    height, width = picture.shape[:2]
    if min(height, width) < resolution:
        return _Read(name, content, reason=f"{width}x{height}, smaller than {resolution}x{resolution}", too_small=True)
    square = resize(center_square(picture), resolution)
    pixels = to_grey(square) if channels == 1 else square
    return _Read(name, content, pixels, (width, height), perceptual_hash(picture))


def _open(folder: Path) -> Packed | None:
    """What lies packed in a folder; None where it is missing or damaged."""
    try:
        index: dict[str, Any] = json.loads((folder / "index.json").read_text())
        shape = tuple(index["shape"])
        pixels = np.memmap(folder / "pixels.u8", np.uint8, "r", shape=shape) if shape[0] else np.empty(shape, np.uint8)
        if shape[0] and (folder / "pixels.u8").stat().st_size != pixels.nbytes:
            return None
        sizes, near = np.load(folder / "sizes.npy"), np.load(folder / "near.npy")
        left_out = {name: reason for name, (_, reason) in index["left_out"].items()}
        return Packed(pixels, index["names"], index["contents"], sizes, near, left_out, folder)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _left_out_contents(packed: Packed) -> dict[str, str]:
    index = json.loads((packed.key / "index.json").read_text())
    return {name: content for name, (content, _) in index["left_out"].items()}


def _known(stamps_file: Path) -> dict[str, list[str]]:
    try:
        known = json.loads(stamps_file.read_text())
        return known if isinstance(known, dict) else {}
    except (OSError, ValueError):
        return {}


def _folder(contents: Sequence[tuple[str, str]], resolution: int, channels: int) -> Path:
    key = _digest(json.dumps([FORMAT, resolution, channels, sorted(contents)]))
    return cache_folder() / "faces" / key


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:24]
