"""Damage files at random, as disks, editors and attackers do: bytes, JSON values, headers, tables. Seeded."""

from __future__ import annotations

import copy
import json
import struct
from random import Random
from typing import Any

HOSTILE_JSON = (
    *("null", "true", "-1", "0", "1", "3.5", "-0.0", "1e999", "-1e999", "NaN", "Infinity", "1e308", "5e-324"),
    *("9" * 5000, "-" + "9" * 400, "9" * 19, "1" * 15, "4294967296", '""', '"x"', '"\\ud800"', '"\\u0000"'),
    *('"\\u001b[2J\\u001b]0;x\\u0007"', '"\\u202egnp.exe"', '"../../../tmp/x"', '"/"', json.dumps("a" * 100_000)),
    *("[]", "{}", "[[]]", '{"a": {"b": [1]}}', "[null]", "[" * 5000 + "]" * 5000, '"1"', '"nan"', '"inf"'),
)
INTERESTING_BYTES = (
    b"\x00",
    b"\xff",
    b"\n",
    b'"',
    b",",
    b"\xff\xff\xff\xff",
    b"\x00\x00\x00\x80",
    b"\x7f" * 8,
    b"\x1b[2J",
)


def damaged_bytes(content: bytes, rng: Random) -> bytes:
    """One to six random changes of bytes, or a truncated, doubled, emptied or foreign file."""
    kind = rng.randrange(12)
    if kind == 0:
        return content[: rng.randrange(len(content) + 1)]
    if kind == 1:
        return rng.choice(
            [b"", b"\x00" * 1000, b"version https://git-lfs.github.com/spec/v1\n", b"<html>", b"PK\x05\x06" + bytes(18)]
        )
    if kind == 2:
        return content + content[: rng.randrange(len(content) + 1)]
    changed = bytearray(content)
    near_start = len(changed) if rng.random() < 0.5 else min(len(changed), 400)
    for _ in range(rng.randint(1, 6)):
        if not changed:
            break
        at = rng.randrange(min(near_start, len(changed)))
        action = rng.randrange(5)
        if action == 0:
            changed[at] ^= 1 << rng.randrange(8)
        elif action == 1:
            changed[at] = rng.randrange(256)
        elif action == 2:
            value = rng.choice(INTERESTING_BYTES)
            changed[at : at + len(value)] = value
        elif action == 3:
            del changed[at : at + rng.choice([1, 2, 16, 200])]
        else:
            changed[at:at] = rng.choice([*INTERESTING_BYTES, bytes(changed[at : at + 60])])
    return bytes(changed)


def _nodes(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all values in parsed JSON, the root last."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [each for key, item in items for each in _nodes(item, (*path, key))] + [path]


def damaged_json(content: bytes, rng: Random) -> bytes:
    """One to three entries are removed, renamed, or replaced by a hostile value; sometimes the text is damaged."""
    if rng.random() < 0.15:
        return damaged_bytes(content, rng)
    value = json.loads(content)
    replacements: dict[str, str] = {}
    for number in range(rng.randint(1, 3)):
        path = rng.choice(_nodes(value))
        marker = f"@replace{number}@"
        replacements[json.dumps(marker)] = rng.choice(HOSTILE_JSON)
        if not path:
            if rng.random() < 0.2:
                return replacements[json.dumps(marker)].encode()
            continue
        parent = value
        for key in path[:-1]:
            parent = parent[key]
        action = rng.randrange(8)
        if action == 0:
            del parent[path[-1]]
        elif action == 1 and isinstance(parent, dict):
            parent[rng.choice(["x", "\ud800", "\x1b[2J", "", "a" * 5000])] = parent.pop(path[-1])
        elif action == 2:
            other = value
            for key in rng.choice(_nodes(value)):
                other = other[key]
            parent[path[-1]] = copy.deepcopy(other)
        else:
            parent[path[-1]] = marker
    text = json.dumps(value)
    for marker, replacement in replacements.items():
        text = text.replace(marker, replacement)
    return text.encode()


def damaged_lines(content: bytes, rng: Random) -> bytes:
    """Lines of JSON of which one is damaged, removed, doubled or moved."""
    if rng.random() < 0.15:
        return damaged_bytes(content, rng)
    lines = content.splitlines()
    for _ in range(rng.randint(1, 2)):
        at = rng.randrange(len(lines))
        action = rng.randrange(6)
        if action == 0 and len(lines) > 1:
            del lines[at]
        elif action == 1:
            lines.insert(rng.randrange(len(lines)), lines[at])
        else:
            try:
                lines[at] = damaged_json(lines[at], rng)
            except (ValueError, RecursionError):  # damaged before
                continue
    return b"\n".join(lines) + rng.choice([b"\n", b"\n", b"\n", b""])


def damaged_safetensors(content: bytes, rng: Random) -> bytes:
    """Damage to the header's JSON, to Facesmith's JSON in it, or to the bytes."""
    if rng.random() < 0.2:
        return damaged_bytes(content, rng)
    (length,) = struct.unpack("<Q", content[:8])
    header, data = json.loads(content[8 : 8 + length]), content[8 + length :]
    if rng.random() < 0.6:
        own = header["__metadata__"]["facesmith"]
        header["__metadata__"]["facesmith"] = damaged_json(own.encode(), rng).decode("utf-8", "replace")
        text = json.dumps(header).encode()
    else:
        text = damaged_json(json.dumps(header).encode(), rng)
    length = len(text) if rng.random() < 0.95 else rng.choice([0, 2**31, 2**63, len(text) + 1])
    if rng.random() < 0.1:
        data = damaged_bytes(data, rng)
    return struct.pack("<Q", length) + text + data


CELLS = (
    *("", "0", "1", "-1", "nan", "inf", "1e999", "x" * 140_000, "9" * 5000, "\x1b[2J", "\x00", '"', "é", "../../x.png"),
    *("1,5", "true", "50%", "=1+1", " ", "\u202e", "000001.png"),
)


def damaged_table(content: bytes, rng: Random) -> bytes:
    """A table of which cells, rows, the encoding or the bytes are damaged."""
    if rng.random() < 0.3:
        return damaged_bytes(content, rng)
    rows = [line.split(",") for line in content.decode().split("\n")]
    for _ in range(rng.randint(1, 4)):
        row = rng.choice(rows)
        action = rng.randrange(5)
        if action == 0:
            row[:] = row[: rng.randrange(len(row) + 1)]
        elif action == 1:
            rows.insert(rng.randrange(len(rows)), list(row))
        elif action == 2:
            row.insert(0, rng.choice(CELLS))
        elif row:
            row[rng.randrange(len(row))] = rng.choice(CELLS)
    text = "\n".join(",".join(row) for row in rows)
    return text.encode(rng.choice(["utf-8", "utf-8", "utf-8", "utf-16", "utf-8-sig", "utf-7"]), "replace")
