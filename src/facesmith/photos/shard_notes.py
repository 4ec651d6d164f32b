"""Notes of the workers: where each one is in its shard, so that a photo that ends its process is found and left out.

A worker writes its note before each group of photos. If its process ends, the next one on the same shard reads the note
and counts. A group that ended two processes is searched photo by photo; a photo that ends one more is left out.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from facesmith.errors import FacesmithError
from facesmith.io.files import read_regular_file
from facesmith.io.json_files import parse_as

MAX_GROUP_DEATHS = 2
MAX_START_DEATHS = 3
MAX_NOTE_BYTES = 2**22
NOTE_NAMES = ".*.note"
START = "start"
CRASH = "crash: the process that searched it ended each time; the system may have been out of memory"
_Count = Annotated[int, Meta(ge=0)]


def note_file(out: Path, shard: int) -> Path:
    """The file for the note about a shard."""
    return out / f".{shard:05d}.note"


@dataclass
class Note:
    """Where a worker is in its shard.

    Attributes:
        place: "start", a group of photos such as "3", or one of its files such as "3/17".
        photos: number of photos done in this shard.
        deaths: how many processes ended at each place.
    """

    place: str = START
    photos: _Count = 0
    deaths: dict[str, _Count] = field(default_factory=dict)

    def is_isolated(self, group: int) -> bool:
        """Whether the photos of a group are searched one by one, because the group ended two processes."""
        return self.deaths.get(str(group), 0) >= MAX_GROUP_DEATHS

    def is_left_out(self, group: int, file: int) -> bool:
        """Whether a file of an isolated group ended a process by itself."""
        return f"{group}/{file}" in self.deaths


class NoteKeeper:
    """The note of the worker that begins with a shard. An older note means that its worker's process has ended.

    Raises:
        FacesmithError: several processes ended before their first photo.
    """

    def __init__(self, out: Path, shard: int) -> None:
        self.file = note_file(out, shard)
        earlier = read_note(self.file)
        self.note = Note()
        if earlier is not None:
            deaths = earlier.deaths.get(earlier.place, 0) + 1
            self.note.deaths = {**earlier.deaths, earlier.place: deaths}
        if self.note.deaths.get(START, 0) >= MAX_START_DEATHS:
            raise FacesmithError(
                f"{MAX_START_DEATHS} processes ended before their first photo of shard {shard:05d}. "
                "Is there enough memory for each of the --workers?"
            )
        self._write()

    def begin(self, place: str, photos: int) -> None:
        """Note the place that comes next, before anything can go wrong there."""
        self.note.place, self.note.photos = place, photos
        self._write()

    def remove(self) -> None:
        """Remove the note: the shard is complete."""
        self.file.unlink(missing_ok=True)

    def _write(self) -> None:
        partial = self.file.with_suffix(f".{os.getpid()}.note")
        partial.write_text(json.dumps(asdict(self.note)), encoding="utf-8")
        os.replace(partial, self.file)


def read_note(file: Path) -> Note | None:
    """The note in a file; None if there is none, or it is damaged."""
    try:
        return parse_as(read_regular_file(file, MAX_NOTE_BYTES), Note)
    except (OSError, ValueError):
        return None


def remove_notes(out: Path) -> None:
    """Remove all notes of an earlier start, so that each photo is tried again."""
    for file in out.glob(NOTE_NAMES):
        file.unlink(missing_ok=True)
