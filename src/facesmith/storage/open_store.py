"""Opens every source, a path or an address, as a store. Archives, also inside others, are read like folders."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import IO

from facesmith.errors import BadData, FacesmithError
from facesmith.io.file_kinds import UNREADABLE_ARCHIVE, FileKind, suffix_of
from facesmith.io.messages import as_typed, printable_name
from facesmith.storage.addresses import AddressStore, address_of, local_path_of, unusable_path
from facesmith.storage.archives import open_archive
from facesmith.storage.parquet import ParquetStore, RecentReaders
from facesmith.storage.path_lists import LIST_SUFFIXES, ListStore
from facesmith.storage.store import FileStore, FolderStore, LabelTable, NotAStore, Store, StoredFile, noticing_loss
from facesmith.storage.zip_names import is_zip_with_prefix

MAX_DEPTH = 3  # of archives in archives
MAX_UNTRUSTED = 1000  # files in a store; in larger ones, files with a picture's suffix are not looked into
MAX_INNER = 256  # archives in a store; each keeps a file open


class NestedStore(Store):
    """A store whose archives are read like folders: `img.zip` in it gives files such as `img.zip/a.jpg`.

    Archives that can't be opened stay files, and their kind is the reason.
    """

    def __init__(self, outer: Store, readers: RecentReaders, depth: int = 1) -> None:
        self.path, self.outer, self.readers, self.depth = outer.path, outer, readers, depth
        self.is_remote = outer.is_remote
        self.inner: dict[str, Store] = {}
        self.kinds: dict[str, FileKind] = {}

    def files(self) -> list[StoredFile]:
        listed: list[StoredFile] = []
        files = self.outer.files()
        trusting = len(files) > MAX_UNTRUSTED
        for file in files:
            inner = None if trusting and self.trusts(file) else self._open(file)
            if inner is None:
                listed.append(file)
                continue
            for member in inner.files():
                name, stamp = f"{file.name}/{member.name}", f"{file.stamp}/{member.stamp}"
                listed.append(StoredFile(name, stamp, member.size_bytes))
        return sorted(listed, key=lambda file: file.name)

    def _open(self, file: StoredFile) -> Store | None:
        """The store of a file if it is an archive that can be read; otherwise its kind is noted."""
        if file.name in self.inner:
            return self.inner[file.name]
        kind = self.outer.kind(file.name)
        if kind.category != "archive" and self.trusts(file):
            return None
        self.kinds[file.name] = kind
        if kind.category != "archive":
            return None
        try:
            store = NestedStore(self._open_inner(file.name, kind), self.readers, self.depth + 1)
        except NotAStore as error:
            self.kinds[file.name] = error.kind
            return None
        except (BadData, OSError) as error:
            self.kinds[file.name] = FileKind("other", f"{UNREADABLE_ARCHIVE}: {str(error).rstrip('.')}")
            return None
        self.inner[file.name] = store
        return store

    def _open_inner(self, name: str, kind: FileKind) -> Store:
        path = self.outer.local_path(name)
        if path is not None and kind.name == "Parquet":  # is not kept open, so there may be many
            return ParquetStore(path, None, self.readers)
        if self.depth > MAX_DEPTH or len(self.inner) >= MAX_INNER:
            raise BadData(f"an archive too many or too deep (limits {MAX_INNER} and {MAX_DEPTH}); unpack it first")
        stream = self.outer.unpack(name) if path is None else open(path, "rb")  # noqa: SIM115
        try:
            return open_archive(Path(name), kind, self.readers, stream)
        except (FacesmithError, OSError):
            stream.close()
            raise

    def archives(self) -> frozenset[str]:
        inner = self.inner.items()
        return frozenset(f"{name}/{each}".rstrip("/") for name, store in inner for each in ("", *store.archives()))

    def archive_of(self, name: str) -> str | None:
        """The outermost archive that contains a file; None if the file lies in no archive inside this store."""
        prefixes = (name[: slash.start()] for slash in re.finditer("/", name)) if self.inner else ()
        return next((prefix for prefix in prefixes if prefix in self.inner), None)

    def open_archives(self, names: Iterable[str]) -> None:
        """Open archives of this store without listing its other files. Raises BadData if one has changed."""
        for name in names:
            if name not in self.inner:
                inner = self._open(StoredFile(name, "", 0))
                if inner is None:
                    problem = "has changed, or can't be opened on this machine"
                    raise BadData(f"{as_typed(self.path)}: {printable_name(name)} {problem}.")
                inner.files()

    def _locate(self, name: str) -> tuple[Store, str]:
        """The store that has a file, and the file's name there."""
        if (prefix := self.archive_of(name)) is not None:
            return self.inner[prefix], name[len(prefix) + 1 :]
        return self.outer, name

    def kind(self, name: str) -> FileKind:
        store, inside = self._locate(name)
        if store is not self.outer:
            return store.kind(inside)
        return self.kinds[name] if name in self.kinds else self.outer.kind(name)

    def read(self, name: str) -> bytes:
        store, inside = self._locate(name)
        with nullcontext() if self.is_remote or self.depth > 1 else noticing_loss(self.path):
            return store.read(inside)

    def head(self, name: str) -> bytes:
        store, inside = self._locate(name)
        return store.head(inside)

    def trusts(self, file: StoredFile) -> bool:
        store, inside = self._locate(file.name)
        return store.trusts(StoredFile(inside, file.stamp, file.size_bytes))

    def forward_only(self, name: str) -> bool:
        store, inside = self._locate(name)
        return store.forward_only(inside)

    def local_path(self, name: str) -> Path | None:
        store, inside = self._locate(name)
        return store.local_path(inside)

    def unpack(self, name: str) -> IO[bytes]:
        store, inside = self._locate(name)
        return store.unpack(inside)

    def label_tables(self) -> list[LabelTable]:
        tables = {tuple(table.columns): table for table in self.outer.label_tables()}
        for prefix, store in sorted(self.inner.items()):
            for table in store.label_tables():
                rows = [[f"{prefix}/{name}", *cells] for name, *cells in table.rows]
                if (first := tables.get(tuple(table.columns))) is None:
                    name = f"{prefix}/{table.name}".rstrip("/")
                    tables[tuple(table.columns)] = LabelTable(name, table.columns, rows, list(table.notices))
                    continue
                first.rows.extend(rows)  # such as the shards of a dataset
                first.notices.extend(notice for notice in table.notices if notice not in first.notices)
        return list(tables.values())

    def close(self) -> None:
        for store in (*self.inner.values(), self.outer):
            store.close()


def open_store(path: Path, exclude: Path | None = None) -> Store:
    """The store at a path or address: a folder, an archive, a list of paths, or a file. Archives are read like folders.

    Args:
        exclude: a folder to leave out.

    Raises:
        BadData: the path does not exist, or can't be opened.
    """
    readers = RecentReaders()
    if path.is_dir():
        return NestedStore(FolderStore(path, exclude), readers)
    if not path.is_file():
        if (local := local_path_of(path)) is not None:
            return open_store(local, exclude)
        if address := address_of(path):
            return _open_address(address, readers)
        raise unusable_path(path)
    kind = FileStore(path).kind(path.name)
    if kind.category == "archive" or is_zip_with_prefix(path, kind):
        return NestedStore(open_archive(path, kind, readers), readers)
    if kind.category == "other" and suffix_of(path.name) in LIST_SUFFIXES:
        return NestedStore(ListStore(path, exclude), readers)
    return FileStore(path)


def _open_address(address: str, readers: RecentReaders) -> Store:
    store = AddressStore(address)
    name = store.root.rpartition("/")[2]
    if store.is_file and (kind := store.kind(name)).category == "archive":
        return NestedStore(open_archive(Path(name), kind, readers, store.unpack(name)), readers)
    return NestedStore(store, readers)
