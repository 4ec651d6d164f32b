"""The bytes of a table -> its lines of cells, as spreadsheets and scripts of all kinds write them."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from facesmith.io.attribute_options import attribute_name
from facesmith.io.decode_text import SAMPLE_BYTES, decode_text
from facesmith.io.file_kinds import UNKNOWN, FileKind

MAX_CONTROL_SHARE = 0.02  # of the characters in a text; random bytes have 11 %
MAX_ZERO_SHARE = 0.3
BINARY, JSON = FileKind("other", "binary data"), FileKind("other", "JSON")
JSON_START = re.compile(r'\s*(\[\s*[\[{"]|\{\s*["}])')
DELIMITERS = ",;\t|"
SEPARATOR_LINE = re.compile(r"\s*sep=([^\r\n\"])[\r\n]+", re.IGNORECASE)  # Excel's first line
COUNT_LINE = re.compile(r"[\s,;]*([0-9]+)[ \t,;]*[\r\n]+")
COMMENT_LINE = re.compile(r"[\r\n]*#([^\r\n]*)[\r\n]*")
SURROGATE = re.compile("[\udc80-\udcff]")
COMMA_OR_BLANKS = re.compile(r"\s*[,;]\s*|\s+")
NAME_COLUMNS = (  # names of a column with file names, the most certain first
    *("file_name", "filename", "file", "file_path", "filepath", "image_path", "img_path", "path"),
    *("image_id", "image_file", "image_name", "img_name", "image", "img", "picture", "photo", "name", "id"),
)
MAX_TITLES = 8  # lines above the names of columns
MAX_CELL_CHARS = 2**27  # the whole table, which is limited in bytes


class UnusableTable(Exception):
    """A file is not a table that can be read. The message is the reason, without a final period."""


@dataclass
class TableText:
    """A table as texts.

    Attributes:
        columns: the names in the first line, which need not be distinct.
        rows: as many cells as columns each. Rows without any text are left out.
        notices: what was repaired or left out.
    """

    columns: list[str]
    rows: list[list[str]] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)


def kind_of_text(raw: bytes) -> FileKind:
    """What a file is if it can't be a table of lines and cells, such as JSON or binary data; `UNKNOWN` for others."""
    start = decode_text(raw[:SAMPLE_BYTES])
    controls = sum(char < " " and char not in "\t\r\n\0" for char in start)
    if controls > MAX_CONTROL_SHARE * len(start) or start.count("\0") > MAX_ZERO_SHARE * len(start):
        return BINARY
    return JSON if JSON_START.match(start) else UNKNOWN


def readable(text: str) -> str:
    """A text whose bytes that are not UTF-8 are read as Windows-1252, which Excel writes in Western countries."""
    if text.isascii() or not SURROGATE.search(text):
        return text
    raw = text.encode("utf-8", "surrogateescape")
    try:
        return raw.decode("cp1252")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def parse(raw: bytes, *, blanks: bool = False) -> TableText:
    """The columns and rows of a table.

    The separator is the one of comma, semicolon, tab and bar that is most frequent in the first line. Lines that start
    with # are comments; if the line with the column names is one of them, the last such line has the names. Titles
    above the column names, as in exports of surveys, are skipped: lines of one cell above a line with several.

    Args:
        blanks: blanks separate cells too. A first line that is only a number is a count of rows, and a missing name of
            the first column is added.

    Raises:
        UnusableTable: a quoted cell doesn't end, or there is no line.
    """
    text = decode_text(raw)
    notices = []
    if zeros := text.count("\0"):
        text = text.replace("\0", "")
        notices.append(f"{zeros} zero bytes are ignored")
    if separator := SEPARATOR_LINE.match(text):
        text = text[separator.end() :]
    count = COUNT_LINE.match(text) if blanks else None
    text = text[count.end() :] if count else text
    text, names = _without_comments(text)
    while names is None and not blanks and (title := _title(text, separator and separator[1])):
        text = text[text.index(title) + len(title) :]
        notices.append(f"its line {readable(title.strip(DELIMITERS + ' '))[:80]!r} is skipped as a title")
    delimiter = separator[1] if separator else delimiter_of(names or text)
    records = _split_at_blanks(text) if delimiter is None and blanks else _split(text, delimiter or ",")
    filled = (cells for cells in ([cell.strip() for cell in record] for record in records) if any(cells))
    columns = next(filled, []) if names is None else [name.strip() for name in next(_split(names, delimiter or ","))]
    if not columns:
        raise UnusableTable("it is empty")
    table = TableText(columns, notices=notices)
    _add_rows(table, filled, may_lack_name=blanks, may_have_extra_name=names is not None)
    if count and count[1].lstrip("0") != str(len(table.rows)):
        table.notices.append(f"its first line says {count[1][:20]} rows, but it has {len(table.rows)}")
    return table


def _add_rows(
    table: TableText, records: Iterator[list[str]], *, may_lack_name: bool, may_have_extra_name: bool
) -> None:
    """Add the rows, each with as many cells as there are columns. Longer rows are left out: their cells are shifted."""
    shared: dict[str, str] = {}  # equal cells share memory
    shifted: list[str] = []
    for cells in records:
        while len(cells) > len(table.columns) and not cells[-1]:
            cells.pop()
        if not table.rows and may_lack_name and len(cells) == len(table.columns) + 1:
            table.columns.insert(0, "")  # CelebA's table has no name above its first column
        if not table.rows and may_have_extra_name and not table.columns[0] and len(cells) == len(table.columns) - 1:
            table.columns.pop(0)  # LFW's table has a separator between # and the first name
        if len(cells) > len(table.columns):
            shifted.append(cells[0])
            continue
        row = [shared.setdefault(cell, cell) for cell in cells]
        row.extend([""] * (len(table.columns) - len(row)))
        table.rows.append(row)
    if shifted:
        table.notices.append(
            f"{len(shifted)} rows have more cells than there are columns and are skipped, first the row of "
            f"{readable(shifted[0])[:80]}"
        )


def _without_comments(text: str) -> tuple[str, str | None]:
    """The text after its first comment lines, and the last of them if it has several cells: the column names."""
    names = None
    while comment := COMMENT_LINE.match(text):
        text = text[comment.end() :]
        names = comment[1] if delimiter_of(comment[1]) else names
    return text, names


def _title(text: str, separator: str | None) -> str:
    """The first line of text if it is a title, otherwise an empty text.

    A title is alone in the first cell of its line, and one of the next lines has several cells. A usual name of a
    column with file names is no title.
    """
    filled = (line for line in io.StringIO(text, newline=None) if line.strip(DELIMITERS + " \n"))
    lines = [line.rstrip("\n") for line in islice(filled, 1 + MAX_TITLES)]
    if not lines:
        return ""
    separator = separator or delimiter_of(lines[0])
    cells, *cells_below = (_cells(line, separator or delimiter_of(line) or ",") for line in lines)
    is_alone = cells[0] != "" and not any(cells[1:]) and attribute_name(cells[0]) not in NAME_COLUMNS
    has_table_below = any(sum(map(bool, each)) > 1 for each in cells_below)
    return lines[0] if is_alone and has_table_below else ""


def _cells(line: str, delimiter: str) -> list[str]:
    """The cells at the start of one line; quoted cells end with the line."""
    return [cell.strip() for cell in next(csv.reader([line[:SAMPLE_BYTES]], delimiter=delimiter), [])] or [""]


def delimiter_of(text: str) -> str | None:
    """The most frequent separator outside quotes in the first line, or None if there is none."""
    first = next((line for line in io.StringIO(text, newline=None) if line.strip(DELIMITERS + " \r\n")), "")
    outside = "".join(first.split('"')[::2])
    best = max(DELIMITERS, key=outside.count)
    return best if best in outside else None


def _split(text: str, delimiter: str) -> Iterator[list[str]]:
    """The cells of each record of a table with a separator. Quotes mean nothing in a table with tabs that misuses them.

    Raises:
        UnusableTable: a quoted cell doesn't end, or goes on after its closing quote.
    """
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    previous = csv.field_size_limit(MAX_CELL_CHARS)  # the limit is checked while reading
    try:
        if delimiter == "\t" and '"' in text:
            yield from list(lines)
        else:
            yield from lines
    except csv.Error as error:
        if delimiter != "\t":
            raise UnusableTable(f"line {lines.line_num}: {error}") from None
        yield from (line.rstrip("\n").split("\t") for line in io.StringIO(text, newline=None))
    finally:
        csv.field_size_limit(previous)


def _split_at_blanks(text: str) -> Iterator[list[str]]:
    """The cells of each line of a table with blanks, or with commas and blanks, between its cells."""
    has_commas = "," in text or ";" in text
    for line in io.StringIO(text, newline=None):
        yield COMMA_OR_BLANKS.split(line.strip()) if has_commas else line.split()
