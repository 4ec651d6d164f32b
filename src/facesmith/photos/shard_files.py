"""The files of one shard of faces.

00017.tar    a WebDataset: for each face `00017-00003.png` and `00017-00003.json`, in the order of the photos
00017.json   counts, rejections with reasons, hashes, versions; written last, so its presence means that all is done
"""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

from msgspec import Meta

from facesmith.errors import BadData
from facesmith.io.files import atomic_write, read_regular_file
from facesmith.io.json_files import parse_as, read_json
from facesmith.photos.journal import BatchRecord, Count

if TYPE_CHECKING:  # the readers of shards must not load torch
    from facesmith.photos.crop import CroppedFace

FORMAT = 1
SPLIT_COLUMN = "split"  # the last column of `metadata.csv`
SHARD_FILE = re.compile(r"(?P<number>\d{5,})\.(?:tar|json)")
NAME_IN_SHARD = re.compile(r"(\d{5,})\.tar/\1-(\d{5,})\.png")  # shard and number of a face; see `name_in_shard`
ANY_SHARD = re.compile(r"[^.].*\.tar|\d{5,}\.json", re.IGNORECASE)
MAX_RECORD_BYTES = 2**30
Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


@dataclass
class ShardRecord:
    """The content of `00017.json`.

    Attributes:
        number: of the shard, as in its name.
        settings: a hash of the settings of the extraction.
        tar_bytes, tar_sha256: of `00017.tar`.
        versions: of the packages that the result depends on.
        sha256, offsets: of the picture of each face; where it begins in the tar.
        record: counts, faces and rejections.
    """

    format: int
    number: Count
    settings: str
    tar_bytes: Count
    tar_sha256: Sha256
    versions: dict[str, str]
    sha256: list[Sha256]
    offsets: list[Count]
    record: BatchRecord


@dataclass(frozen=True)
class ShardEntry:
    """What `faces.json` says about a shard: its number of faces, and its tar."""

    faces: Count
    tar_bytes: Count
    tar_sha256: Sha256


def tar_name(shard: int) -> str:
    return f"{shard:05d}.tar"


def record_name(shard: int) -> str:
    return f"{shard:05d}.json"


def name_in_shard(shard: int, number: int) -> str:
    """The name of a face by its number in the shard, counted from 0: the tar, then the name inside."""
    return f"{tar_name(shard)}/{shard:05d}-{number:05d}.png"


def add_face(tar: tarfile.TarFile, name: str, face: CroppedFace, labels: Mapping[str, str]) -> int:
    """Append a face to a tar: its picture and its description. Returns where the picture begins in the tar.

    Args:
        name: as `name_in_shard` gives it.
        labels: of its photo, by column.
    """
    picture = name.partition("/")[2]
    offset = tar.offset + tarfile.BLOCKSIZE
    _add(tar, picture, face.png)
    text = json.dumps(_description(face, labels), separators=(",", ":"))
    _add(tar, f"{picture.removesuffix('png')}json", text.encode())
    return offset


def _description(face: CroppedFace, labels: Mapping[str, str]) -> dict[str, Any]:
    """A face as plain values, rounded as in `metadata.csv`. Boxes and landmarks are in pixels of the photo."""
    confidence, landmarks = None, None
    if face.detection is not None:
        confidence = round(face.detection.confidence, 4)
        landmarks = [[round(x, 2), round(y, 2)] for x, y in face.detection.landmarks.tolist()]
    return {
        "source": face.source,
        "box": [round(value, 2) for value in face.box.tolist()],
        "confidence": confidence,
        "landmarks": landmarks,
        "transform": [[float(f"{value:.9g}") for value in row] for row in face.matrix.tolist()],
        "blur": round(face.blur, 4),
        "fill": round(face.fill, 4),
        "hash": face.hash.tobytes().hex(),
        "labels": dict(labels),
    }


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    """Append a file without owner and time, so that equal faces give equal bytes."""
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), 0o644
    tar.addfile(member, io.BytesIO(content))


def new_tar(stream: IO[bytes]) -> tarfile.TarFile:
    return tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT)


def write_record(out: Path, record: ShardRecord) -> None:
    """Write the record of a shard whose tar is complete."""
    with atomic_write(out / record_name(record.number), durable=True) as stream:
        stream.write(json.dumps(asdict(record), separators=(",", ":")).encode() + b"\n")


def problem_of(out: Path, entries: Sequence[ShardEntry]) -> str | None:
    """The first fault of a finished extraction: a shard that is missing, cut off or not its own. Reads no shard."""
    for shard, entry in enumerate(entries):
        for file in (out / tar_name(shard), out / record_name(shard)):
            if not file.is_file():
                return f"{file} is missing"
        if (size := (out / tar_name(shard)).stat().st_size) != entry.tar_bytes:
            return f"{out / tar_name(shard)} has {size} bytes; faces.json says {entry.tar_bytes}"
    expected = {name(shard) for shard in range(len(entries)) for name in (tar_name, record_name)}
    others = sorted(each.name for each in out.iterdir() if ANY_SHARD.match(each.name) and each.name not in expected)
    return f"{out / others[0]} is not a shard of this extraction; was it copied?" if others else None


def read_record(out: Path, shard: int) -> ShardRecord:
    """The record of a shard, checked against its number and its tar.

    Raises:
        FileNotFoundError: there is no record.
        BadData: it is damaged, belongs to another shard, or disagrees with the tar.
    """
    file, tar = out / record_name(shard), out / tar_name(shard)
    advice = f"Delete {file.name} and run the same extract again: it repeats this shard."
    content = read_json(file, ShardRecord, advice, max_bytes=MAX_RECORD_BYTES)
    faces = content.record
    if content.format != FORMAT:
        raise BadData(f"{file} has format {content.format}; expected {FORMAT}. {advice}")
    if content.number != shard:
        raise BadData(f"{file} is the record of shard {content.number:05d}; was it copied or renamed? {advice}")
    names = [name_in_shard(shard, number) for number in range(len(faces.kept))]
    lists = (faces.kept, faces.hashes, faces.sizes_bytes, faces.fills, content.sha256, content.offsets)
    lengths = {len(each) for each in lists}
    if len(lengths) > 1 or [row[0] for row in faces.kept] != names:
        raise BadData(f"{file} lists its faces inconsistently. {advice}")
    if not tar.is_file():
        raise BadData(f"{tar} is missing, but {file.name} lists {len(names)} faces in it. {advice}")
    if (size := tar.stat().st_size) != content.tar_bytes:
        raise BadData(f"{tar} has {size} bytes; {file.name} says {content.tar_bytes}. Was it cut off? {advice}")
    return content


def read_picture(out: Path, name: str) -> bytes | None:
    """The picture of a face by its name; None if it can't be read.

    Found by the shard's record, because a search in the tar would read all of its headers.
    """
    place = NAME_IN_SHARD.fullmatch(name)
    assert place is not None
    shard, number = map(int, place.groups())
    try:
        record = read_record(out, shard)
        with (out / tar_name(shard)).open("rb") as tar:
            tar.seek(record.offsets[number])
            return tar.read(record.record.sizes_bytes[number])
    except (OSError, BadData):
        return None


def own_files(out: Path) -> list[str]:
    """The names of the files of shards in a folder: of each shard first its tar, then its record."""
    numbers = {int(match["number"]) for each in out.iterdir() if (match := SHARD_FILE.fullmatch(each.name))}
    own = (number for number in sorted(numbers) if _is_own(out, number))
    return [name for number in own for name in (tar_name(number), record_name(number))]


def _is_own(out: Path, shard: int) -> bool:
    """Whether `extract` wrote a shard: its record says so, or without one the first name in its tar."""
    try:
        return parse_as(read_regular_file(out / record_name(shard), MAX_RECORD_BYTES), ShardRecord).number == shard
    except FileNotFoundError:
        pass
    except (OSError, ValueError):
        return False
    try:
        with tarfile.open(out / tar_name(shard)) as tar:
            first = tar.next()
            return first is None or name_in_shard(shard, 0).endswith(f"/{first.name}")
    except (OSError, tarfile.TarError):
        return False
