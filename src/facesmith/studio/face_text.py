"""Faces, sums of faces and latents, written as text in an address.

A face is its base with its edits: `42`, or `42(smiling=1.5,male=-1)`. The base is a seed, or a latent encoded as text
(`w.` and letters). So the server never has to store a face.
"""

from __future__ import annotations

import base64
import binascii
import re
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facesmith.errors import BadOption
from facesmith.io.seeds import parse_seed
from facesmith.latent.arithmetic import parse_terms

LATENT_TEXT = r"w\.[A-Za-z0-9_.]+"
FACE_TEXT = re.compile(rf"(?P<base>[0-9]{{1,19}}|{LATENT_TEXT})(?:\((?P<edits>[^()]*)\))?")
NUMBER = re.compile(r"[+-]?(?:[0-9]{1,6}(?:\.[0-9]{0,24})?|\.[0-9]{1,24})(?:e[+-]?[0-9]{1,3})?", re.IGNORECASE)
MAX_STRENGTH = 10.0  # of an edit; at 1 the attribute is clearly visible
MAX_EDITS = 64
MIN_STOPS, MAX_STOPS = 2, 24  # faces of a walk
HEADER = struct.Struct("<B4sHH")  # format, first bytes of the model's hash, rows (0: one `w` for all layers), columns
LATENT_FORMAT = 1
EXAMPLE = "Write a seed such as 42, or with edits 42(smiling=1.5)."


@dataclass(frozen=True)
class Face:
    """A face: its base, a seed or a latent as text, and its edits, sorted by name."""

    base: str
    edits: tuple[tuple[str, float], ...] = ()

    @property
    def seed(self) -> int | None:
        """The seed, if the base is one."""
        return int(self.base) if self.base.isdecimal() else None

    def __str__(self) -> str:
        edits = ",".join(f"{name}={repr(strength).removesuffix('.0')}" for name, strength in self.edits)
        return f"{self.base}({edits})" if edits else self.base


def parse_face(text: str) -> Face:
    """The face that a text describes.

    Raises:
        BadOption: the text is not a face.
    """
    match = FACE_TEXT.fullmatch(text.strip())
    if match is None:
        raise BadOption(f"{shortened(text)} is not a face. {EXAMPLE}")
    pairs = [part.partition("=") for part in (match["edits"] or "").split(",") if part.strip()]
    return make_face(match["base"], {name.strip(): _strength(number, name.strip()) for name, _, number in pairs})


def make_face(base: str, edits: Mapping[str, float]) -> Face:
    """A face from its base and its edits; edits of strength 0 are dropped.

    Raises:
        BadOption: the seed is too large, or there are too many edits.
    """
    if base.isdecimal():
        base = str(parse_seed(base))
    if len(edits) > MAX_EDITS:
        raise BadOption(f"{len(edits)} edits are too many: the limit is {MAX_EDITS}.")
    return Face(base, tuple(sorted((name, strength) for name, strength in edits.items() if strength)))


def _strength(text: str, name: str) -> float:
    strength = float(text) if NUMBER.fullmatch(text.strip()) else float("nan")
    if not abs(strength) <= MAX_STRENGTH:
        bounds = f"from {-MAX_STRENGTH:g} to {MAX_STRENGTH:g}"
        raise BadOption(f"Edit {shortened(name)} is {shortened(text)}; it should be a number {bounds}.")
    return strength


def parse_faces(text: str) -> list[Face]:
    """The faces of a walk, separated by commas; commas in brackets separate edits.

    Raises:
        BadOption: too few, too many, or a part is not a face.
    """
    faces = [parse_face(part) for part in re.split(r",(?![^()]*\))", text) if part.strip()]
    if not MIN_STOPS <= len(faces) <= MAX_STOPS:
        raise BadOption(f"Expected {MIN_STOPS} to {MAX_STOPS} faces, found {len(faces)}.")
    return faces


def parse_sum(text: str) -> list[tuple[float, Face]]:
    """The terms of a sum of faces, such as `29 - 3 + 0.5*34(smiling=1)`, as pairs of coefficient and face.

    Raises:
        BadOption: the text is not a sum.
    """
    if "@" in text:
        raise BadOption(f"{shortened(text)} is not a sum of faces. {EXAMPLE}")
    faces: dict[str, Face] = {}

    def replace_by_name(match: re.Match[str]) -> str:
        name = f"@{len(faces)}"
        faces[name] = parse_face(match[0])
        return name

    # Edits and latents may contain + and -, so each is replaced by a name while the sum is parsed.
    named_terms = re.sub(rf"{LATENT_TEXT}(?:\([^()]*\))?|[0-9]{{1,19}}\([^()]*\)", replace_by_name, text)
    terms = parse_terms(named_terms)
    return [(term.coefficient, faces.get(term.name) or parse_face(term.name)) for term in terms]


def write_latent(w: NDArray[np.float32], model_hash: str) -> str:
    """A latent `[w_dim]` or `[num_ws, w_dim]` as text for an address, with a checksum and the hash of its model."""
    rows = 0 if w.ndim == 1 else w.shape[0]
    header = HEADER.pack(LATENT_FORMAT, bytes.fromhex(model_hash[:8]), rows, w.shape[-1])
    content = header + np.ascontiguousarray(w, "<f4").tobytes()
    encoded = base64.urlsafe_b64encode(content + _checksum(content)).decode().rstrip("=")
    return "w." + encoded.replace("-", ".")  # a minus would be read as one in a sum


def read_latent(text: str, model_hash: str, w_dim: int, num_ws: int) -> NDArray[np.float32]:
    """The latent that `write_latent` wrote, `[w_dim]` or `[num_ws, w_dim]`.

    Raises:
        BadOption: the text is damaged, or belongs to another model.
    """
    try:
        encoded = text.removeprefix("w.").replace(".", "-")
        decoded = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
        content, checksum = decoded[:-4], decoded[-4:]
        if _checksum(content) != checksum:
            raise ValueError
        version, hash_start, rows, columns = HEADER.unpack(content[: HEADER.size])
        w: NDArray[np.float32] = np.frombuffer(content[HEADER.size :], "<f4").astype(np.float32)
        w = w.reshape((rows, columns) if rows else (columns,))
        if version != LATENT_FORMAT or not np.isfinite(w).all():
            raise ValueError
    except (ValueError, struct.error, binascii.Error):
        raise BadOption("A latent in this address is damaged. Copy the whole address again.") from None
    if hash_start.hex() != model_hash[:8] or columns != w_dim or rows not in (0, num_ws):
        raise BadOption("A latent in this address belongs to another model. Find the face again with this model.")
    return w


def _checksum(content: bytes) -> bytes:
    return zlib.crc32(content).to_bytes(4, "little")


def shortened(text: str) -> str:
    """A text in quotes for a message, on one line and of at most 40 characters."""
    return repr(text if len(text) <= 40 else text[:37] + "...")
