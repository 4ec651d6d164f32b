"""Faces, sums of faces and latents, written as text in a URL, so that the server never has to store a face.

A face is a base with edits, such as `42` or `42(smiling=1.5,male=-1)`. The base is a seed, or an encoded
latent, which starts with `w.`.
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
from facesmith.io.messages import shorten
from facesmith.io.seeds import parse_seed
from facesmith.latent.arithmetic import parse_terms
from facesmith.studio.limits import MAX_EDITS, MAX_STRENGTH

LATENT_PATTERN = r"w\.[A-Za-z0-9_.]+"
FACE_PATTERN = re.compile(rf"(?P<base>[0-9]{{1,19}}|{LATENT_PATTERN})(?:\((?P<edits>[^()]*)\))?")
NUMBER_PATTERN = re.compile(r"[+-]?(?:[0-9]{1,6}(?:\.[0-9]{0,24})?|\.[0-9]{1,24})(?:e[+-]?[0-9]{1,3})?", re.IGNORECASE)
LATENT_FORMAT = 1
# The header of an encoded latent: format, 4 bytes of the model's hash, num_ws (0: one `w` for all layers), w_dim.
HEADER = struct.Struct("<B4sHH")
FACE_SYNTAX = "Write a seed such as 42, or with edits 42(smiling=1.5)."


@dataclass(frozen=True)
class Face:
    """A face that a URL describes.

    Attributes:
        base: a seed, or a latent as text.
        edits: pairs of direction and strength, sorted by name.
    """

    base: str
    edits: tuple[tuple[str, float], ...] = ()

    @property
    def seed(self) -> int | None:
        """The seed, or None if the base is a latent."""
        return int(self.base) if self.base.isdecimal() else None

    def __str__(self) -> str:
        edits = ",".join(f"{name}={repr(strength).removesuffix('.0')}" for name, strength in self.edits)
        return f"{self.base}({edits})" if edits else self.base


def parse_face(text: str) -> Face:
    """Return the face that a text describes, such as `42(smiling=1.5)`.

    Raises:
        BadOption: the text is not a face.
    """
    match = FACE_PATTERN.fullmatch(text.strip())
    if match is None:
        raise BadOption(f"{quoted(text)} is not a face. {FACE_SYNTAX}")
    pairs = [part.partition("=") for part in (match["edits"] or "").split(",") if part.strip()]
    return make_face(match["base"], {name.strip(): _strength(number, name.strip()) for name, _, number in pairs})


def make_face(base: str, edits: Mapping[str, float]) -> Face:
    """Return the face with this base and these edits, without edits of strength 0.

    Raises:
        BadOption: the seed is too large, or there are too many edits.
    """
    if base.isdecimal():
        base = str(parse_seed(base))
    if len(edits) > MAX_EDITS:
        raise BadOption(f"{len(edits)} edits are too many: the limit is {MAX_EDITS}.")
    return Face(base, tuple(sorted((name, strength) for name, strength in edits.items() if strength)))


def _strength(text: str, name: str) -> float:
    """Parse the strength of an edit, and check its bounds."""
    strength = float(text) if NUMBER_PATTERN.fullmatch(text.strip()) else float("nan")
    if not abs(strength) <= MAX_STRENGTH:
        bounds = f"from {-MAX_STRENGTH:g} to {MAX_STRENGTH:g}"
        raise BadOption(f"Edit {quoted(name)} is {quoted(text)}; it should be a number {bounds}.")
    return strength


def parse_faces(text: str, at_least: int, at_most: int) -> list[Face]:
    """Return the faces in a list such as `3,17(smiling=1,male=-1),40`.

    Raises:
        BadOption: too few, too many, or a part is not a face.
    """
    faces = [parse_face(part) for part in re.split(r",(?![^()]*\))", text) if part.strip()]
    if not at_least <= len(faces) <= at_most:
        raise BadOption(f"Expected {at_least} to {at_most} faces, found {len(faces)}.")
    return faces


def parse_sum(text: str) -> list[tuple[float, Face]]:
    """Return the terms of a sum such as `29 - 3 + 0.5*34(smiling=1)`, as pairs of coefficient and face.

    Raises:
        BadOption: the text is not a sum.
    """
    if "@" in text:
        raise BadOption(f"{quoted(text)} is not a sum of faces. {FACE_SYNTAX}")
    # parse_terms knows seeds and file names only. So each face with an edit or a latent is replaced by a name while the
    # sum is parsed: 2*3(smiling=1) - 4 becomes 2*@0 - 4.
    faces: dict[str, Face] = {}

    def replace_by_name(match: re.Match[str]) -> str:
        name = f"@{len(faces)}"
        faces[name] = parse_face(match[0])
        return name

    sum_of_names = re.sub(rf"{LATENT_PATTERN}(?:\([^()]*\))?|[0-9]{{1,19}}\([^()]*\)", replace_by_name, text)
    return [(term.coefficient, faces.get(term.name) or parse_face(term.name)) for term in parse_terms(sum_of_names)]


def write_latent(w: NDArray[np.float32], model_hash: str) -> str:
    """Encode a latent as text for a URL, with a checksum and the hash of its model.

    Args:
        w: `[w_dim]` or `[num_ws, w_dim]`.
    """
    num_ws = 0 if w.ndim == 1 else w.shape[0]
    header = HEADER.pack(LATENT_FORMAT, bytes.fromhex(model_hash[:8]), num_ws, w.shape[-1])
    content = header + np.ascontiguousarray(w, "<f4").tobytes()
    encoded = base64.urlsafe_b64encode(content + _checksum(content)).decode().rstrip("=")
    return "w." + encoded.replace("-", ".")  # "-" would be a minus sign in a sum of faces


def read_latent(text: str, model_hash: str, w_dim: int, num_ws: int) -> NDArray[np.float32]:
    """Decode the text of `write_latent` to a latent `[w_dim]` or `[num_ws, w_dim]`.

    Args:
        model_hash, w_dim, num_ws: values of the model that the latent must belong to.

    Raises:
        BadOption: the text is damaged, or belongs to another model.
    """
    try:
        encoded = text.removeprefix("w.").replace(".", "-")
        decoded = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
        content, checksum = decoded[:-4], decoded[-4:]
        if _checksum(content) != checksum:
            raise ValueError
        latent_format, hash_start, stored_num_ws, stored_w_dim = HEADER.unpack(content[: HEADER.size])
        w: NDArray[np.float32] = np.frombuffer(content[HEADER.size :], "<f4").astype(np.float32)
        w = w.reshape((stored_num_ws, stored_w_dim) if stored_num_ws else (stored_w_dim,))
        if latent_format != LATENT_FORMAT or not np.isfinite(w).all():
            raise ValueError
    except (ValueError, struct.error, binascii.Error):
        raise BadOption("A latent is damaged. Copy the whole text or URL again.") from None
    if hash_start.hex() != model_hash[:8] or stored_w_dim != w_dim or stored_num_ws not in (0, num_ws):
        raise BadOption("A latent belongs to another model. Find the face again with this model.")
    return w


def _checksum(content: bytes) -> bytes:
    return zlib.crc32(content).to_bytes(4, "little")


def quoted(text: str) -> str:
    """Quote a text for a message, on one line and cut to 40 characters."""
    return repr(shorten(text, 40))
