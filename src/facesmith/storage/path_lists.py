"""A text file that lists paths and addresses, one in each line, as a store."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from itertools import takewhile
from pathlib import Path
from typing import IO

from facesmith.errors import BadData
from facesmith.io.commands import quoted
from facesmith.io.decode_text import decode_text
from facesmith.io.file_kinds import HEAD_BYTES, FileKind, suffix_of
from facesmith.io.files import open_regular_file, user_path
from facesmith.io.messages import printable_name
from facesmith.pictures.images import read_file
from facesmith.storage.addresses import (
    ADDRESS,
    WEB_ADDRESS,
    AddressStore,
    head_of_address,
    local_path_of,
    open_address,
    open_file_system,
    reach,
    read_address,
    refuse_download,
)
from facesmith.storage.store import BROKEN_LINK, UNKNOWN_SIZE, FolderStore, Store, StoredFile

LIST_SUFFIXES = frozenset({".txt", ".lst", ".list"})
MAX_LIST_BYTES = 2**31
QUOTED = re.compile(r"""["'](.+)["']""")  # file managers copy paths in quotes


class ListStore(Store):
    """The files and folders that a text file lists, one path or address a line.

    Relative paths start at the folder of the list. Names are relative to the deepest folder that
    contains all places, so that they don't show where this folder is.

    Args:
        exclude: a folder to leave out.

    Raises:
        BadData: the list is empty or no text, or none of its files exists.
    """

    def __init__(self, path: Path, exclude: Path | None = None) -> None:
        self.path, self.exclude = path, exclude
        with open_regular_file(path) as stream:
            content = stream.read(MAX_LIST_BYTES)
        text = decode_text(content)
        if "\0" in text:
            raise BadData(f"{path} is not a text file that lists photos. Give a folder, an archive or a list of paths.")
        lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
        places = [match[1] if (match := QUOTED.fullmatch(line)) else line for line in lines]
        places = list(dict.fromkeys(map(self._absolute, places)))
        if not places:
            raise BadData(f"{path} lists no photos. Write one path in each line.")
        if web_addresses := list(filter(WEB_ADDRESS.match, places)):
            command = f"grep -E '^(https?|ftp)://' {quoted(path)} | wget -P photos -i -"
            raise BadData(
                f"{path} lists {len(web_addresses)} web addresses, first {printable_name(web_addresses[0])}. Download "
                f"them first, and list the paths of the files: {command}"
            )
        for place in places:
            refuse_download(place)
        names = [place.rstrip("/") for place in places]
        root = _common_folder(names)
        self.places = {name[len(root) :]: place for name, place in zip(names, places, strict=True)}
        self.is_remote = any(map(ADDRESS.fullmatch, places))
        self._folders: dict[str, Store] = {}
        if not any(ADDRESS.fullmatch(place) or os.path.exists(place) for place in places):  # noqa: PTH110
            raise BadData(
                f"None of the {len(places)} paths that {path} lists exists; the first is {printable_name(places[0])}. "
                "Relative paths start at the folder of the list."
            )

    def _absolute(self, line: str) -> str:
        line = str(local_path_of(Path(line)) or line)
        if ADDRESS.fullmatch(line):
            return line
        return os.path.abspath(self.path.parent / user_path(line)).replace(os.sep, "/")  # noqa: PTH100 (keeps links)

    def files(self) -> list[StoredFile]:
        listed: dict[str, StoredFile] = {}
        for name, place in self.places.items():
            if _is_folder(place):
                for file in self._folder(name).files():
                    listed[f"{name}/{file.name}"] = replace(file, name=f"{name}/{file.name}")
            else:
                (file,) = _ListedFile(place).files()
                listed[name] = replace(file, name=name)
        return [file for _, file in sorted(listed.items())]

    def _folder(self, name: str) -> Store:
        if name not in self._folders:
            place = self.places[name]
            is_address = ADDRESS.fullmatch(place)
            self._folders[name] = AddressStore(place) if is_address else FolderStore(Path(place), self.exclude)
        return self._folders[name]

    def _locate(self, name: str) -> tuple[Store, str]:
        """The store that has a file, and the file's name there."""
        if name not in self.places:
            for slash in re.finditer("/", name):
                if (folder := name[: slash.start()]) in self.places:
                    return self._folder(folder), name[slash.end() :]
        return _ListedFile(self.places[name]), name

    def trusts(self, file: StoredFile) -> bool:
        store, inside = self._locate(file.name)
        return store.trusts(replace(file, name=inside))

    def kind(self, name: str) -> FileKind:
        store, inside = self._locate(name)
        return store.kind(inside)

    def read(self, name: str) -> bytes:
        store, inside = self._locate(name)
        return store.read(inside)

    def head(self, name: str) -> bytes:
        store, inside = self._locate(name)
        return store.head(inside)

    def unpack(self, name: str) -> IO[bytes]:
        store, inside = self._locate(name)
        return store.unpack(inside)

    def local_path(self, name: str) -> Path | None:
        store, inside = self._locate(name)
        return store.local_path(inside)


class _ListedFile(Store):
    """One listed file, at a path or an address. The methods ignore their argument `name`."""

    def __init__(self, place: str) -> None:
        self.path, self.place, self.is_address = Path(place), place, ADDRESS.fullmatch(place) is not None

    def files(self) -> list[StoredFile]:
        if self.is_address:
            return [StoredFile(self.path.name, self.place, UNKNOWN_SIZE)]
        try:
            status = os.stat(self.place)  # noqa: PTH116
        except OSError:  # reading it gives the reason
            return [StoredFile(self.path.name, BROKEN_LINK, 0)]
        return [StoredFile(self.path.name, f"{status.st_size}-{status.st_mtime_ns}", status.st_size)]

    def read(self, name: str) -> bytes:
        return read_address(*open_file_system(self.place)) if self.is_address else read_file(self.path)

    def head(self, name: str) -> bytes:
        if self.is_address:
            return head_of_address(*open_file_system(self.place))
        try:
            with open_regular_file(self.path) as stream:
                return stream.read(HEAD_BYTES)
        except OSError:
            return b""

    def unpack(self, name: str) -> IO[bytes]:
        return open_address(*open_file_system(self.place))

    def local_path(self, name: str) -> Path | None:
        return None if self.is_address else self.path


def _is_folder(place: str) -> bool:
    """Whether a place is a folder. An address with a suffix and no last slash counts as a file: requests take time."""
    if not ADDRESS.fullmatch(place):
        return os.path.isdir(place)  # noqa: PTH112
    if suffix_of(place) and not place.endswith("/"):
        return False
    file_system, path = open_file_system(place)
    try:
        return bool(reach(lambda: file_system.info(path), place)["type"] == "directory")
    except FileNotFoundError:
        return False


def _common_folder(places: list[str]) -> str:
    """The longest folder, with its last slash, that all places begin with."""
    first, last = min(places).split("/"), max(places).split("/")
    shared = [a for a, _ in takewhile(lambda pair: pair[0] == pair[1], zip(first[:-1], last[:-1], strict=False))]
    return "/".join([*shared, ""]) if shared else ""
