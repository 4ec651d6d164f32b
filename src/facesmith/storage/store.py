"""A folder, an archive or a single file as names and bytes, so that readers of pictures need not distinguish them.

All commands open their photos and faces with `open_store.open_store`, and sort the files with `sort_by_kind`.
Therefore they agree on which files are pictures, and on what is left aside and why.
"""

from __future__ import annotations

import os
import stat
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from posixpath import basename, dirname, join
from typing import IO

from facesmith.errors import BadData, PictureUnavailable
from facesmith.io.file_kinds import (
    EMPTY_FILE,
    HEAD_BYTES,
    PICTURE_SUFFIXES,
    UNKNOWN,
    UNREADABLE_ARCHIVE,
    FileKind,
    is_hidden,
    kind_of_file,
    suffix_of,
)
from facesmith.io.files import real_path
from facesmith.io.messages import printable_name
from facesmith.pictures.images import read_file

UNREADABLE_FOLDER = "unreadable folder"  # stamp; such a folder counts as a picture, and reading it gives the reason
BROKEN_LINK = "broken link"  # stamp
SPECIAL_FILE = "pipe or device"  # stamp and kind; opening a pipe would block forever
KERNEL_FOLDERS = (Path("/proc"), Path("/sys"))  # they change while they are listed, and contain the whole disk again
RUN_PLAN = "run.json"
RUN_FILES = ("log.jsonl", "model.safetensors", "state.pt")
IN_RUN_FOLDER = "in a run folder"  # kind of files that `train` wrote: sheets of samples are no photos
FACES_HEADER = "faces.json"
FACES_TABLE = "metadata.csv"
IN_FACES_FOLDER = "in a folder that extract wrote"  # kind of files that are skipped in a search for photos
JOURNALS = frozenset({".extract.jsonl", ".extract-cleared.jsonl"})  # in a folder that `extract` has not finished
UNFINISHED_FACES = "folder of an unfinished extraction"  # stamp and kind; such a folder counts as one file
UNKNOWN_SIZE = -1  # of a file at an address, if the size isn't known before it is opened
# Files with pictures that are not read, by kind.
CONVERTED_FIRST = {"PDF": "save its pages as pictures first", "Photoshop file": "save it as PNG or JPEG first"}
MAX_KINDS_LISTED = 5
MAX_SUFFIX_SHOWN = 16  # characters; `.jpg?width=300&height=…` is cut


@dataclass(frozen=True)
class StoredFile:
    """A file in a store. `stamp` changes when the file changes; to get it, the file need not be read.

    `size_bytes` may be `UNKNOWN_SIZE`.
    """

    name: str
    stamp: str
    size_bytes: int


@dataclass
class SortedFiles:
    """The files of a store by kind, each list sorted by name.

    Attributes:
        others: neither pictures nor videos, such as tables. Pipes and devices are left out.
        kinds: the suffix or kind of each of `others`, and of pipes and devices, by name.
    """

    pictures: list[StoredFile] = field(default_factory=list)
    videos: list[StoredFile] = field(default_factory=list)
    others: list[StoredFile] = field(default_factory=list)
    kinds: dict[str, str] = field(default_factory=dict)

    @property
    def ignored(self) -> Counter[str]:
        """The number of files in `kinds` by suffix or kind."""
        return Counter(self.kinds.values())


class NotAStore(BadData):
    """A file has no files inside, although it looks like an archive. In a folder it counts as `kind`."""

    def __init__(self, message: str, kind: FileKind = UNKNOWN) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True)
class LabelTable:
    """Labels that a store has for its own files, such as the columns beside the pictures of a Parquet file.

    Attributes:
        name: of the table in the store; empty for that of the store itself.
        columns: names; the first one is `file_name`.
        rows: texts as in a CSV, empty where unknown. The file names are those of the store.
        notices: one line each, for the user.
    """

    name: str
    columns: list[str]
    rows: list[list[str]]
    notices: list[str] = field(default_factory=list)


class Store(ABC):
    """Files by name, with `/` as separator. Hidden and system files and folders are skipped."""

    path: Path
    is_remote = False  # files are read over a network, so several at a time are faster

    @abstractmethod
    def files(self) -> list[StoredFile]:
        """All files, sorted by name.

        Raises:
            BadData: the store can't be listed.
        """

    @abstractmethod
    def read(self, name: str) -> bytes:
        """The bytes of a file. Threads may share a store.

        Raises:
            BadPicture: the file can't be read; the message is the reason.
        """

    @abstractmethod
    def head(self, name: str) -> bytes:
        """The first `HEAD_BYTES` bytes of a file; empty if it can't be read."""

    def kind(self, name: str) -> FileKind:
        """The kind of a file by its content."""
        return kind_of_file(name, self.head(name))

    def trusts(self, file: StoredFile) -> bool:
        """Whether a file counts as a picture without a look at its content."""
        return suffix_of(file.name) in PICTURE_SUFFIXES or file.stamp == UNREADABLE_FOLDER

    def forward_only(self, name: str) -> bool:
        """Whether a file is read quickly only after those before it, in the order of `files`."""
        return False

    def label_tables(self) -> list[LabelTable]:
        """The labels that the store has for its own files. Raises BadData if they can't be read.

        Tables with the same columns are one, under the name of the first.
        """
        return []

    def unpack(self, name: str) -> IO[bytes]:
        """The content of a file in an archive as an open file that is seekable. Raises BadData."""
        raise NotImplementedError

    def archives(self) -> frozenset[str]:
        """The names of the archives in the store whose files `files` has listed, each like a folder."""
        return frozenset()

    def local_path(self, name: str) -> Path | None:
        """The path of a file on the disk; None if it lies in an archive."""
        return None

    def close(self) -> None:  # noqa: B027 (most stores have nothing to close)
        """Close the files that the store keeps open."""


def kinds_text(counts: Counter[str]) -> str:
    """The most frequent kinds of ignored files with their numbers, such as `2 .txt, 1 PDF`; empty if there are none."""
    kinds = [(kind, count) for kind, count in counts.most_common() if count > 0]
    archives = sum(count for kind, count in kinds[MAX_KINDS_LISTED:] if kind.startswith(UNREADABLE_ARCHIVE))
    others = sum(count for _, count in kinds[MAX_KINDS_LISTED:]) - archives
    more = f" and {archives} more archives that can't be read" if archives else ""
    more += f" and {others} of other kinds" if others else ""
    return ", ".join(f"{count} {kind}" for kind, count in kinds[:MAX_KINDS_LISTED]) + more


def sort_by_kind(store: Store, *, without_extractions: bool = False) -> SortedFiles:
    """The pictures, videos and other files of a store.

    The content of a file decides. Only files with a picture's suffix are not looked into, because a dataset may have
    hundreds of thousands of them on a slow disk. If one is not a picture, reading it later gives the reason.

    The files of run folders inside the store are left aside.

    Args:
        without_extractions: also leave aside the files of folders inside the store that `extract` has finished.
    """
    result = SortedFiles()
    files = store.files()
    extractions = _folders_with(files, FACES_HEADER, [FACES_TABLE]) if without_extractions else set()
    left_aside = {f"{folder}/": IN_FACES_FOLDER for folder in extractions if folder}
    left_aside |= {f"{folder}/": IN_RUN_FOLDER for folder in run_folders(files) if folder}
    folders = tuple(left_aside)
    for file in files:
        if file.stamp == UNFINISHED_FACES:
            result.kinds[file.name] = UNFINISHED_FACES
        elif folders and file.name.startswith(folders):
            result.kinds[file.name] = next(kind for each, kind in left_aside.items() if file.name.startswith(each))
        elif store.trusts(file):
            result.pictures.append(file)
        else:
            _sort_by_content(store, file, result)
    return result


def _sort_by_content(store: Store, file: StoredFile, result: SortedFiles) -> None:
    kind = store.kind(file.name)
    if kind.category == "picture":
        result.pictures.append(file)
    elif kind.category == "video":
        result.videos.append(file)
    else:
        if kind.name != SPECIAL_FILE:  # nothing may open it
            result.others.append(file)
        result.kinds[file.name] = _ignored_label(file, kind)


def run_folders(files: list[StoredFile]) -> set[str]:
    """The folders among these files that are run folders of `train`; empty text for the top folder."""
    return _folders_with(files, RUN_PLAN, RUN_FILES)


def _folders_with(files: list[StoredFile], name: str, others: Sequence[str]) -> set[str]:
    """The folders that contain a file of this name, and one of the others."""
    folders = {dirname(file.name) for file in files if basename(file.name) == name}
    names = {file.name for file in files} if folders else set()
    return {folder for folder in folders if any(join(folder, other) in names for other in others)}


def _ignored_label(file: StoredFile, kind: FileKind) -> str:
    """The name under which an ignored file is counted: its kind if that explains more than its suffix."""
    if file.stamp == BROKEN_LINK:
        return kind.name or "missing file"
    if not kind.name and file.size_bytes == 0:
        return EMPTY_FILE.name
    if advice := CONVERTED_FIRST.get(kind.name):
        return f"{kind.name}: {advice}"
    return kind.name or printable_name(suffix_of(file.name))[:MAX_SUFFIX_SHOWN] or "no suffix"


class FolderStore(Store):
    """A folder with its subfolders.

    Symbolic links are followed. Each folder and each file is listed once, so circular links end. A file that is
    reached both directly and through links has its direct name. If only a link's name has a suffix, it has that one: in
    the cache of the Hugging Face Hub, files are called by hashes, and links have their names.

    Args:
        exclude: the output of `extract`, which is left out. Its unfinished outputs inside the folder are left out, too.
    """

    def __init__(self, path: Path, exclude: Path | None = None) -> None:
        self.path, self.exclude = path, exclude

    def files(self) -> list[StoredFile]:
        listed: list[StoredFile] = []
        links: list[str] = []
        folders, linked_folders = [""], list[str]()
        # Device and inode of folders and files -> index in `listed`, or -1. On some disks a folder has several names.
        seen: dict[tuple[int, int], int] = {}
        if self.exclude is not None and self.exclude.exists():
            seen[_file_identity(self.exclude.stat())] = -1
        while folders or linked_folders:
            if not folders:  # only now, so that no direct name is hidden by a link to the same folder
                linked_folders.sort(reverse=True)
            self._list(folders.pop() if folders else linked_folders.pop(), listed, folders, linked_folders, links, seen)
        for name in sorted(links):
            self._add(name, listed, seen)
        return sorted(listed, key=lambda file: file.name)

    def _list(
        self,
        folder: str,
        listed: list[StoredFile],
        folders: list[str],
        linked_folders: list[str],
        links: list[str],
        seen: dict[tuple[int, int], int],
    ) -> None:
        """Add the files of one folder to `listed`, and its subfolders and links to the other lists."""
        here = self.path / folder
        try:
            identity = _file_identity(here.stat())
            real = real_path(here)
            if identity in seen or (folder and any(map(real.is_relative_to, KERNEL_FOLDERS))):
                return
            seen[identity] = -1
            entries = list(os.scandir(here))
        except OSError as error:
            if not folder:
                advice = "Change its permissions, or choose another folder."
                raise BadData(f"{here} can't be read: {error.strerror}. {advice}") from None
            listed.append(StoredFile(folder.rstrip("/"), UNREADABLE_FOLDER, 0))
            return
        if folder and self.exclude is not None and not JOURNALS.isdisjoint(entry.name for entry in entries):
            listed.append(StoredFile(folder.rstrip("/"), UNFINISHED_FACES, 0))
            return
        for entry in entries:
            name = f"{folder}{entry.name}"
            if is_hidden(entry.name, real.name):
                continue
            try:
                is_folder = entry.is_dir()
            except OSError:
                is_folder = False
            if is_folder:
                (linked_folders if entry.is_symlink() else folders).append(f"{name}/")
            elif entry.is_symlink():
                links.append(name)
            else:
                self._add(name, listed, seen)

    def _add(self, name: str, listed: list[StoredFile], seen: dict[tuple[int, int], int]) -> None:
        """Add a file to `listed`. A link to a listed file adds nothing, but may have the better name."""
        path = self.path / name
        try:
            status = path.stat()
        except OSError:  # a broken link: reading it gives the reason
            listed.append(StoredFile(name, BROKEN_LINK, 0))
            return
        if not stat.S_ISREG(status.st_mode):
            listed.append(StoredFile(name, SPECIAL_FILE, 0))
            return
        identity = _file_identity(status)
        if identity in seen and path.is_symlink():
            first = listed[seen[identity]]
            if suffix_of(name) and not suffix_of(first.name):
                listed[seen[identity]] = replace(first, name=name)
            return
        seen[identity] = len(listed)
        listed.append(StoredFile(name, f"{status.st_size}-{status.st_mtime_ns}", status.st_size))

    def trusts(self, file: StoredFile) -> bool:
        return file.stamp != SPECIAL_FILE and super().trusts(file)

    def kind(self, name: str) -> FileKind:
        path = self.path / name
        try:
            is_regular = stat.S_ISREG(path.stat().st_mode)
        except OSError:
            return FileKind("other", BROKEN_LINK) if os.path.islink(path) else UNKNOWN  # noqa: PTH114 (never fails)
        return super().kind(name) if is_regular else FileKind("other", SPECIAL_FILE)

    def read(self, name: str) -> bytes:
        return read_file(self.path / name)

    def head(self, name: str) -> bytes:
        return _file_head(self.path / name)

    def local_path(self, name: str) -> Path:
        return self.path / name


def _file_identity(status: os.stat_result) -> tuple[int, int]:
    """What two names of the same file or folder share."""
    return status.st_dev, status.st_ino


class FileStore(Store):
    """A single file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def trusts(self, file: StoredFile) -> bool:
        return False  # one file is quickly looked at

    def files(self) -> list[StoredFile]:
        status = self.path.stat()
        return [StoredFile(self.path.name, f"{status.st_size}-{status.st_mtime_ns}", status.st_size)]

    def read(self, name: str) -> bytes:
        with noticing_loss(self.path):
            return read_file(self.path)

    def head(self, name: str) -> bytes:
        return _file_head(self.path)

    def local_path(self, name: str) -> Path:
        return self.path


@contextmanager
def noticing_loss(path: Path) -> Iterator[None]:
    """Raise BadData instead of PictureUnavailable if a folder or file that was listed before is no longer there."""
    try:
        yield
    except PictureUnavailable:
        check_still_there(path)
        raise


def check_still_there(path: Path) -> None:
    """Raise BadData if a folder or file that was listed before is no longer there.

    A drive that is unplugged leaves no folder, or an empty one. Otherwise all its pictures would count as unreadable.
    """
    try:
        is_lost = next(path.iterdir(), None) is None if path.is_dir() else not path.exists()
    except OSError as error:
        is_lost = not isinstance(error, PermissionError)
    if is_lost:
        raise BadData(
            f"{path} disappeared while it was being read. Was a drive unplugged, or the folder renamed? "
            "When it is back, run the same command again."
        )


def _file_head(path: Path) -> bytes:
    try:
        with open(path, "rb") as stream:
            return stream.read(HEAD_BYTES)
    except OSError:
        return b""
