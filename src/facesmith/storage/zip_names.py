"""The names of the files in a zip, whose encoding old programs don't state; and zips after other bytes."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Sequence
from pathlib import Path

from facesmith.io.file_kinds import DOCUMENT_SUFFIXES, FileKind, suffix_of

UTF8_FLAG = 0x800
KANJI = "\u4e00-\u9fff"
JAPANESE = f"{KANJI}\u3000-\u30ff\uff01-\uff5e"  # also kana, punctuation and wide letters
RARE_KANJI = b"\x98"  # the first byte in Shift JIS is at least this
# A character that is not ASCII or Japanese, or a single Japanese character beside a Latin letter.
NOT_JAPANESE = re.compile(
    f"[^\\x00-\\x7f{JAPANESE}]|[A-Za-z][{JAPANESE}](?![{JAPANESE}])|(?<![{JAPANESE}])[{JAPANESE}][A-Za-z]"
)
LETTERS = "À-ÖØ-öø-ÿŒœŠšŽžŸ"
SMALL = "a-zß-öø-ÿœšž"
CAPITAL = "À-ÖØ-ÞŒŠŽŸ"
# A character that is not ASCII or a Western letter, a capital inside a word, or ß without a vowel before it.
NOT_WESTERN = re.compile(
    f"[^\\x00-\\x7f{LETTERS}]|[{SMALL}][{CAPITAL}]|[A-Z{CAPITAL}][{CAPITAL}][{SMALL}]|(?<![aeiouyäöüAEIOUÄÖÜ])ß"
)
ENCODINGS = ("utf-8", "cp932", "cp437", "cp1252", "cp850")  # in the order in which they are tried


def names_in_zip(entries: Sequence[zipfile.ZipInfo]) -> list[str]:
    """The names of the entries with `/` as separator; some programs for Windows write `\\`.

    A zip doesn't state the encoding of names without the UTF-8 flag. They are UTF-8 if all are valid UTF-8, as some
    programs write it without the flag. Otherwise the first of Shift JIS and the code pages 437, 1252 and 850 is used in
    which all names look right; if there is none, code page 437, the default of the format.
    """
    raw = [b"" if entry.flag_bits & UTF8_FLAG else entry.orig_filename.encode("cp437", "replace") for entry in entries]
    encoding = next((encoding for encoding in ENCODINGS if _is_encoding(raw, encoding)), "cp437")
    names = [
        bytes_.decode(encoding).split("\0")[0] if bytes_ else entry.filename
        for bytes_, entry in zip(raw, entries, strict=True)
    ]
    return [name if "/" in name else name.replace("\\", "/") for name in names]


def _is_encoding(names: Sequence[bytes], encoding: str) -> bool:
    """Whether all names are valid in an encoding and, except in UTF-8, look like its languages.

    Most Western and Russian names are valid Japanese as well: `Jörg` in code page 437 would be `J能g`. So a single
    Japanese character beside a Latin letter, or many rare characters, count as signs of another encoding. Among the
    Western ones, signs are characters that are not letters (`J÷rg`), and capitals inside words (`SÆo`, `cafÚ`).
    """
    try:
        text = "\n".join(name.decode(encoding) for name in names)
    except UnicodeDecodeError:
        return False
    if encoding == "utf-8":
        return True
    if encoding != "cp932":
        return not NOT_WESTERN.search(text)
    rare = [char.encode(encoding) >= RARE_KANJI for char in re.findall(f"[{KANJI}]", text)]
    return not NOT_JAPANESE.search(text) and 3 * sum(rare) <= len(rare)


def is_zip_with_prefix(path: Path, kind: FileKind) -> bool:
    """Whether a file of unknown kind is a zip after other bytes, such as a program that unpacks itself."""
    unknown = kind.category == "other" and not kind.name and suffix_of(path.name) not in DOCUMENT_SUFFIXES
    return unknown and zipfile.is_zipfile(path)
