"""Parquet files of Hugging Face datasets, read in place: each row is a picture, and the other columns are its labels.

Pictures are read a few rows at a time, so that a file may be larger than memory.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from facesmith.errors import BadData, BadPicture, PictureUnavailable
from facesmith.io.file_kinds import HEAD_BYTES, FileKind, kind_of_content
from facesmith.io.messages import printable_name
from facesmith.pictures.images import MAX_FILE_BYTES
from facesmith.storage.parquet_columns import (
    Conversions,
    chunk_sizes,
    dataset_features,
    label_columns,
    leaf_values,
    picture_columns,
)
from facesmith.storage.seekable import unpacked_limit
from facesmith.storage.store import LabelTable, NotAStore, Store, StoredFile

if TYPE_CHECKING:
    from pyarrow import Array, RecordBatch
    from pyarrow.parquet import ParquetFile

NEEDS_EXTRA = FileKind("other", "Parquet, which needs an extra: pip install 'facesmith[parquet]'")
WITHOUT_ROWS = FileKind("other", "Parquet without rows")
WITHOUT_PICTURES = FileKind("other", "Parquet without a column of pictures")
PREFERRED_NAMES = ("image", "img", "face", "picture", "photo")  # of the picture's column, if there are several
NAME_DIGITS = 7  # of a row, so that names sort like rows
BATCH_BYTES = 2**24  # of pictures that are read at once
MAX_BATCH_ROWS = 256
MIN_RECENT_BATCHES = 2
RECENT_ROWS = 64  # stay in memory, because threads ask for rows not quite in order
RECENT_BYTES = 2**26
MAX_RECENT_READERS = 2
BUFFER_BYTES = 2**20
MAX_ROWS_PER_BYTE = 8  # of the file; one that states more rows is damaged or an attack
LABEL_BATCH_ROWS = 4096


def _parquet_errors() -> tuple[type[Exception], ...]:
    """What pyarrow raises for damaged files."""
    from pyarrow import ArrowException

    return ArrowException, OSError, UnicodeDecodeError, OverflowError


class RecentReaders:
    """The readers of the Parquet files that were read last. The others are closed, which bounds the memory."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.readers: OrderedDict[int, ColumnReader] = OrderedDict()

    def value(self, store: ParquetStore, row: int) -> bytes | None:
        """The picture in a row of a Parquet file; None if the row has none."""
        with self.lock:
            reader = self.readers.pop(id(store), None) or ColumnReader(store.open(), store.column, store.sizes)
            self.readers[id(store)] = reader
            while len(self.readers) > MAX_RECENT_READERS:
                self.readers.popitem(last=False)[1].close()
            return reader.value(row)

    def close(self, store: ParquetStore) -> None:
        with self.lock:
            if (reader := self.readers.pop(id(store), None)) is not None:
                reader.close()


class ColumnReader:
    """The values of one binary column, read forwards.

    A row before the last few batches starts its row group again.
    """

    def __init__(self, file: ParquetFile, column: str, sizes_bytes: Sequence[int]) -> None:
        self.file = file
        self.column = column
        self.sizes_bytes = sizes_bytes  # of the column in each row group
        self.starts = _row_group_starts(file)
        self.group = -1
        self.next_row = 0
        self.batches: deque[tuple[int, Array[Any]]] = deque()  # first row and values
        self.stream: Iterator[RecordBatch] = iter(())
        self.damaged: dict[int, tuple[int, str]] = {}  # by row group: first row that can't be read, and the reason

    def value(self, row: int) -> bytes | None:
        for start, values in self.batches:
            if start <= row < start + len(values):
                return _bytes_of(values[row - start])
        group = bisect_right(self.starts, row) - 1
        if group in self.damaged and row >= self.damaged[group][0]:
            raise BadPicture(self.damaged[group][1])
        if group != self.group or row < self.next_row:
            self._restart(group)
        while row >= self.next_row:
            self._advance()
        start, values = self.batches[-1]
        return _bytes_of(values[row - start])

    def _restart(self, group: int) -> None:
        rows = self.starts[group + 1] - self.starts[group]
        batch_rows = max(1, min(MAX_BATCH_ROWS, BATCH_BYTES * rows // max(self.sizes_bytes[group], 1)))
        if group in self.damaged:
            batch_rows = 1  # so that no readable row is lost with its neighbors
        self.batches.clear()
        self.group, self.next_row = group, self.starts[group]
        self.stream = self.file.iter_batches(batch_rows, row_groups=[group], columns=[self.column], use_threads=False)

    def _advance(self) -> None:
        """Read the next batch. Raises BadPicture if it is damaged."""
        try:
            values = leaf_values(next(self.stream).column(0))
        except StopIteration:
            raise BadPicture("missing in the Parquet file") from None
        except MemoryError:
            self.group = -1
            raise PictureUnavailable("too large for this machine's memory") from None
        except _parquet_errors() as error:
            known = self.group in self.damaged
            reason = f"damaged in the Parquet file: {_reason(error)}"
            group, row, self.group = self.group, self.next_row, -1
            self.damaged[group] = (row if known else self.starts[group + 1], reason)
            if known:
                raise BadPicture(reason) from None
            self._restart(group)  # again in steps of one row
            return
        self.batches.append((self.next_row, values))
        self.next_row += len(values)
        while len(self.batches) > MIN_RECENT_BATCHES and (
            sum(len(values) for _, values in self.batches) > RECENT_ROWS
            or sum(values.nbytes for _, values in self.batches) > RECENT_BYTES
        ):
            self.batches.popleft()

    def close(self) -> None:
        self.batches.clear()
        self.stream = iter(())
        self.file.close()


class ParquetStore(Store):
    """A Parquet file with a column of pictures. The names of its files are the numbers of its rows, from 0.

    Args:
        path: of the file; only a name in messages if `stream` is given.
        stream: its content, which the store closes.
        readers: shared by all Parquet files of a dataset.

    Raises:
        NotAStore: pyarrow is not installed, or the file has no rows, or no column of pictures.
        BadData: the file is damaged.
    """

    def __init__(self, path: Path, stream: IO[bytes] | None, readers: RecentReaders) -> None:
        self.path = path
        self.stream = stream
        self.readers = readers
        self.column = ""  # path of the picture's column, such as image.bytes
        self.starts, self.sizes = [0], list[int]()  # of the row groups: first rows, bytes of the picture's column
        self.version = ""  # changes when the file changes; for the stamps of its rows
        self.notices: list[str] = []
        self.label_columns: Conversions = {}  # by path, with the conversion to text
        try:
            with self.open() as file:
                self._examine(file)
        except BadData:
            self.close()
            raise
        except _parquet_errors() as error:
            self.close()
            raise BadData(
                f"{path} can't be read as a Parquet file ({_reason(error)}). Is the copy or download complete?"
            ) from None

    def open(self) -> ParquetFile:
        try:
            from pyarrow.parquet import ParquetFile
        except ImportError:
            raise NotAStore(f"{self.path} is {NEEDS_EXTRA.name}", NEEDS_EXTRA) from None
        if self.stream is not None:
            self.stream.seek(0)
        # Buffered reading and no pre-buffering: otherwise pyarrow reads a whole row group into memory.
        source = self.stream or self.path
        return ParquetFile(source, buffer_size=BUFFER_BYTES, pre_buffer=False, page_checksum_verification=True)

    def _examine(self, file: ParquetFile) -> None:
        """Find the columns of pictures and labels. Raises BadData."""
        if self.stream is None:
            status = self.path.stat()
            file_bytes, self.version = status.st_size, f"{status.st_mtime_ns}-"
        else:
            file_bytes = self.stream.seek(0, 2)
        self.starts = _row_group_starts(file)
        if not 0 <= self.starts[-1] <= MAX_ROWS_PER_BYTE * file_bytes:
            raise BadData(
                f"{self.path} is damaged: it states {self.starts[-1]:,} rows in {file_bytes:,} bytes. Copy it again."
            )
        if self.starts[-1] == 0:
            raise NotAStore(f"{self.path} has no rows.", WITHOUT_ROWS)
        schema, features, sizes = file.schema_arrow, dataset_features(file.schema_arrow), chunk_sizes(file)
        columns = picture_columns(file, schema, features)
        if not columns:
            names = printable_name(", ".join(schema.names))[:200]
            message = f"{self.path} has no column of pictures, only: {names}. Expected a column such as image."
            raise NotAStore(message, WITHOUT_PICTURES)
        picture = next((name for name in PREFERRED_NAMES if name in columns), next(iter(columns)))
        self.column = columns[picture]
        self.sizes = sizes[self.column]
        if sum(self.sizes) > unpacked_limit(file_bytes):
            size, limit = sum(self.sizes) / 2**30, unpacked_limit(file_bytes) / 2**30
            raise BadData(
                f"{self.path} is damaged: it states {size:.0f} GiB of pictures; its size allows {limit:.0f}. "
                "Copy it again."
            )
        if len(columns) > 1:
            others = printable_name(", ".join(name for name in columns if name != picture))[:200]
            self.notices.append(f"several columns with pictures: {printable_name(picture)} is used, not {others}")
        self.label_columns, unused = label_columns(schema, features, sizes, except_for=columns)
        if unused:
            self.notices.append(f"columns that are not labels: {printable_name(', '.join(unused))[:200]}")

    def files(self) -> list[StoredFile]:
        listed: list[StoredFile] = []
        for (start, end), size_bytes in zip(pairwise(self.starts), self.sizes, strict=True):
            for row in range(start, end):  # the size of a single picture is unknown until it is read
                stamp = f"{self.version}{end - start}-{size_bytes}"
                listed.append(StoredFile(_row_name(row), stamp, size_bytes // (end - start)))
        return listed

    def trusts(self, file: StoredFile) -> bool:
        return True  # reading a row that has no picture gives the reason

    def forward_only(self, name: str) -> bool:
        return True

    def read(self, name: str) -> bytes:
        try:
            content = self.readers.value(self, int(name))
        except _parquet_errors() as error:  # the file changed or vanished after it was examined
            raise PictureUnavailable(f"can't be read: {_reason(error)}") from None
        if content is None:
            raise BadPicture("row without a picture, or with only the path of one")
        return content

    def head(self, name: str) -> bytes:
        try:
            return self.read(name)[:HEAD_BYTES]
        except BadPicture:
            return b""

    def kind(self, name: str) -> FileKind:
        return kind_of_content(self.head(name))

    def label_tables(self) -> list[LabelTable]:
        try:
            with self.open() as file:
                columns = _label_texts(file, self.label_columns)
        except _parquet_errors() as error:
            raise BadData(f"{self.path}: its columns of labels can't be read ({_reason(error)}).") from None
        rows = [[_row_name(row), *cells] for row, cells in enumerate(zip(*columns.values(), strict=True))]
        return [LabelTable("", ["file_name", *columns], rows, self.notices)]

    def close(self) -> None:
        self.readers.close(self)
        if self.stream is not None:
            self.stream.close()

    def __del__(self) -> None:  # most callers read a store to its end and drop it
        if self.stream is not None:
            self.stream.close()


def read_label_columns(stream: IO[bytes]) -> tuple[dict[str, list[str]], list[str]]:
    """The columns of a Parquet table as texts, and the names of the columns that are not labels.

    Raises:
        BadData: it is damaged, or pyarrow is not installed.
    """
    try:
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise BadData(f"it is {NEEDS_EXTRA.name}") from None
    try:
        with ParquetFile(stream, pre_buffer=False) as file:
            schema = file.schema_arrow
            conversions, unused = label_columns(schema, dataset_features(schema), chunk_sizes(file))
            return _label_texts(file, conversions), unused
    except _parquet_errors() as error:
        raise BadData(f"it can't be read as a Parquet file ({_reason(error)})") from None


def _label_texts(file: ParquetFile, conversions: Conversions) -> dict[str, list[str]]:
    """The texts of columns, by path."""
    columns: dict[str, list[str]] = {path: [] for path in conversions}
    if columns:
        for batch in file.iter_batches(LABEL_BATCH_ROWS, columns=list(columns), use_threads=False):
            for path, texts in columns.items():
                texts += map(conversions[path], _column(batch, path).to_pylist())
    return columns


def _row_name(row: int) -> str:
    return f"{row:0{NAME_DIGITS}d}"


def _row_group_starts(file: ParquetFile) -> list[int]:
    """The first row of each row group, and the number of all rows."""
    counts = [file.metadata.row_group(i).num_rows for i in range(file.metadata.num_row_groups)]
    return list(accumulate(counts, initial=0))


def _reason(error: Exception) -> str:
    return printable_name(" ".join(str(error).split()))[:120].rstrip(".") or type(error).__name__


def _bytes_of(scalar: Any) -> bytes | None:
    """The bytes of a binary value. Raises BadPicture if there are too many."""
    buffer = scalar.as_buffer()
    if buffer is not None and buffer.size > MAX_FILE_BYTES:
        raise BadPicture(f"file of {buffer.size / 2**20:.0f} MiB, more than {MAX_FILE_BYTES // 2**20} MiB")
    return None if buffer is None else buffer.to_pybytes()


def _column(batch: RecordBatch, path: str) -> Array[Any]:
    """A column, or a field of a column of structs, by its path."""
    if path in batch.schema.names:
        return batch.column(path)
    name, _, field = path.partition(".")
    column = batch.column(name)
    return column.flatten()[column.type.get_field_index(field)]
