"""Bytes -> text: UTF-8, and UTF-16 and UTF-32 as programs for Windows write them."""

from __future__ import annotations

BYTE_ORDER_MARKS = (  # UTF-32 first, because its mark begins like that of UTF-16
    (b"\xff\xfe\0\0", "utf-32"),
    (b"\0\0\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
    (b"\xef\xbb\xbf", "utf-8-sig"),
)
SAMPLE_BYTES = 4096
MIN_ZERO_SHARE = 0.4  # of every second byte, in UTF-16 without a mark


def decode_text(raw: bytes) -> str:
    """A text in the encoding that `encoding_of` finds. Bytes that are not UTF-8 become lone surrogates."""
    encoding = encoding_of(raw)
    return raw.decode(encoding, "surrogateescape" if encoding.startswith("utf-8") else "replace")


def encoding_of(raw: bytes) -> str:
    """The encoding of a text by its first bytes: UTF-8, UTF-16 or UTF-32.

    UTF-16 without a byte order mark is recognized by the zero in every second byte of Latin letters.
    """
    for mark, encoding in BYTE_ORDER_MARKS:
        if raw.startswith(mark):
            return encoding
    even, odd = raw[:SAMPLE_BYTES:2], raw[1:SAMPLE_BYTES:2]
    for zeros, others, encoding in ((odd, even, "utf-16-le"), (even, odd, "utf-16-be")):
        if zeros.count(0) > MIN_ZERO_SHARE * len(zeros) and others.count(0) < 0.1 * len(others):
            return encoding
    return "utf-8"
