"""What a request's words stand for. Everything that comes from a browser is checked here, before anything is drawn.

A face is written as its base and its edits: `42`, or `42(smiling=1.5,male=-1)`. The base is a seed, or a latent itself
as text (`w.` and letters), so that no face has to be kept on the server.
"""

from __future__ import annotations

import base64
import binascii
import re
import struct
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from facesmith.errors import BadOption
from facesmith.io.seeds import MAX_SEED
from facesmith.latent.arithmetic import Term, parse_terms

BASE = r"[0-9]{1,19}|w\.[A-Za-z0-9_.]{1,65536}"
FACE = re.compile(rf"(?P<base>{BASE})(?:\((?P<edits>[^()]*)\))?")
NUMBER = re.compile(r"[+-]?(?:[0-9]{1,6}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})(?:e[+-]?[0-9]{1,2})?", re.IGNORECASE)
STRONGEST = 10.0  # of an edit; 1 is clearly there
MOST_EDITS = 64
MOST_FACES = 24  # of a walk
LATENT = struct.Struct("<B4sHH")  # format, start of the model's hash, rows (0: one for all layers), columns
LATENT_FORMAT = 1
HOW = "Write a seed such as 42, or with edits 42(smiling=1.5)."


@dataclass(frozen=True)
class Face:
    """A face by its base, a seed or a latent as text, and its edits in the order of their names."""

    base: str
    edits: tuple[tuple[str, float], ...] = ()

    @property
    def seed(self) -> int | None:
        """The seed, where the base is one."""
        return int(self.base) if self.base.isdecimal() else None

    def __str__(self) -> str:
        told = ",".join(f"{name}={strength:.12g}" for name, strength in self.edits)
        return f"{self.base}({told})" if told else self.base


def parse_face(text: str) -> Face:
    """A face as it is written above.

    Raises:
        BadOption: it is none.
    """
    found = FACE.fullmatch(text.strip())
    if found is None:
        raise BadOption(f"{_short(text)} is no face. {HOW}")
    pairs = [part.partition("=") for part in (found["edits"] or "").split(",") if part.strip()]
    return make_face(found["base"], {name.strip(): strength for name, _, strength in pairs})


def make_face(base: str, edits: Mapping[str, str]) -> Face:
    """A face of its parts as text; edits of strength 0 are none.

    Raises:
        BadOption: a part is out of its bounds.
    """
    if not re.fullmatch(BASE, base):
        raise BadOption(f"{_short(base)} is no seed. {HOW}")
    if base.isdecimal() and int(base) > MAX_SEED:
        raise BadOption(f"Seed {base} lies outside 0 to {MAX_SEED}.")
    if len(edits) > MOST_EDITS:
        raise BadOption(f"{len(edits)} edits are too many; {MOST_EDITS} are the most.")
    strengths = {name: number(strength, name, -STRONGEST, STRONGEST) for name, strength in edits.items()}
    seed = str(int(base)) if base.isdecimal() else base
    return Face(seed, tuple(sorted((name, strength) for name, strength in strengths.items() if strength)))


def number(text: str, name: str, low: float, high: float) -> float:
    """A number within bounds.

    Raises:
        BadOption: it is none, or lies outside.
    """
    found = float(text) if NUMBER.fullmatch(text.strip()) else float("nan")
    if not (isfinite(found) and low <= found <= high):
        raise BadOption(f"{_short(name)} is {_short(text)}; it goes from {low:g} to {high:g}.")
    return found


def parse_faces(text: str, fewest: int = 2) -> list[Face]:
    """Faces with commas between them; commas within brackets belong to the edits.

    Raises:
        BadOption: too few, too many, or one is none.
    """
    faces = [parse_face(part) for part in re.split(r",(?![^()]*\))", text) if part.strip()]
    if not fewest <= len(faces) <= MOST_FACES:
        raise BadOption(f"{len(faces)} faces: {fewest} to {MOST_FACES} can be taken.")
    return faces


def parse_sum(text: str) -> list[tuple[float, Face]]:
    """The terms of a sum of faces, such as `29 - 3 + 0.5*34(smiling=1)`.

    Raises:
        BadOption: it is none.
    """
    if "@" in text:
        raise BadOption(f"{_short(text)} is no sum. {HOW}")
    faces: dict[str, Face] = {}

    def named(found: re.Match[str]) -> str:
        faces[f"@{len(faces)}"] = parse_face(found[0])
        return f"@{len(faces) - 1}"

    # Edits and latents hold signs of their own; they get names for the time in which the sum is read.
    plain = re.sub(r"w\.[A-Za-z0-9_.]+(?:\([^()]*\))?|[0-9]{1,19}\([^()]*\)", named, text)
    terms: list[Term] = parse_terms(plain)
    return [(term.coefficient, faces.get(term.name) or parse_face(term.name)) for term in terms]


def write_latent(w: NDArray[np.float32], model_hash: str) -> str:
    """A latent `[w_dim]` or `[num_ws, w_dim]` as text that fits into an address, with a checksum and whose it is."""
    rows = 0 if w.ndim == 1 else w.shape[0]
    head = LATENT.pack(LATENT_FORMAT, bytes.fromhex(model_hash[:8]), rows, w.shape[-1])
    raw = head + np.ascontiguousarray(w, "<f4").tobytes()
    coded = base64.urlsafe_b64encode(raw + zlib.crc32(raw).to_bytes(4, "little")).decode().rstrip("=")
    return "w." + coded.replace("-", ".")  # a minus would be one in a sum


def read_latent(text: str, model_hash: str, w_dim: int, num_ws: int) -> NDArray[np.float32]:
    """The latent that a text stands for, as `write_latent` wrote it.

    Raises:
        BadOption: it is damaged, or another model's.
    """
    try:
        coded = text.removeprefix("w.").replace(".", "-")
        raw = base64.urlsafe_b64decode(coded + "=" * (-len(coded) % 4))
        raw, check = raw[:-4], raw[-4:]
        if zlib.crc32(raw).to_bytes(4, "little") != check:
            raise ValueError
        made, whose, rows, columns = LATENT.unpack(raw[: LATENT.size])
        w: NDArray[np.float32] = np.frombuffer(raw[LATENT.size :], "<f4").astype(np.float32)
        w = w.reshape((rows, columns) if rows else (columns,))
        if made != LATENT_FORMAT or not np.isfinite(w).all():
            raise ValueError
    except (ValueError, struct.error, binascii.Error):
        raise BadOption("A latent in this address is damaged: it was not copied whole.") from None
    if whose.hex() != model_hash[:8] or columns != w_dim or rows not in (0, num_ws):
        raise BadOption("A latent in this address belongs to another model. Find the face again with this one.")
    return w


def one_of(query: Iterable[tuple[str, str]], known: Iterable[str], edits: bool = False) -> dict[str, str]:
    """A request's words by name, each at most once.

    Args:
        edits: other names are directions.

    Raises:
        BadOption: a name is there twice, or unknown.
    """
    words: dict[str, str] = {}
    for name, text in query:
        if name in words:
            raise BadOption(f"{_short(name)} is given twice.")
        words[name] = text
    unknown = set(words) - set(known)
    if unknown and not edits:
        raise BadOption(f"{_short(min(unknown))} is not known here; known are {', '.join(known)}.")
    return words


def flag(words: Mapping[str, str], name: str, default: bool = False) -> bool:
    """Yes or no, written 1 or 0."""
    text = words.get(name, "1" if default else "0")
    if text not in ("0", "1"):
        raise BadOption(f"{name} is {_short(text)}; it is 0 or 1.")
    return text == "1"


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")
