"""Which face, sum or walk a picture shows that Facesmith made, read from its metadata."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter

from facesmith.errors import BadOption, BadPicture
from facesmith.pictures.images import read_provenance
from facesmith.pictures.provenance import parse_provenance
from facesmith.studio.face_text import Face, make_face, parse_face, parse_sum, quoted
from facesmith.studio.limits import MAX_DOWNLOADED_FACES, MAX_PSI, MAX_WALK_FACES, MIN_PSI
from facesmith.studio.open_models import OpenModel
from facesmith.studio.query import Strength

NOT_OURS = "This picture was not made by Facesmith, or another program has removed its metadata."
MAX_MIXED_FACES = 8  # of a sum on the page
LAYER_RANGE = re.compile(r"[0-9]{1,2}-[0-9]{1,2}")  # as the page can show it


class UnusableMetadata(BadPicture):
    """The picture was made by Facesmith, but the studio can't reproduce it."""


def open_picture(content: bytes, models: Iterable[OpenModel]) -> dict[str, Any]:
    """Return what a picture shows, for the page.

    Args:
        content: a PNG or JPEG.
        models: the open models, among which the model of the picture may be.

    Returns:
        `kind` is "faces", "sum" or "walk". Faces and walks have `faces`, and walks whether they are `closed`; sums
        have `terms` and `layers`. All have `psi`, the `model` (a hash), its `recipe`, its `model_id` if it is open, and
        a `notice` for the user.

    Raises:
        BadPicture: it is not a picture that Facesmith made.
        UnusableMetadata: its metadata does not say which face it shows, or the studio can't show it.
    """
    try:
        metadata = read_provenance(io.BytesIO(content))
    except BadPicture:
        raise BadPicture("This file can't be read as a picture. Drop a PNG or JPEG that Facesmith made.") from None
    if "Model" not in metadata or not metadata.get("Software", "").startswith("facesmith"):
        raise BadPicture(NOT_OURS)
    try:
        shown = _shown(metadata)
        psi = float(metadata.get("Psi", "1"))
    except (BadOption, ValueError) as error:
        reason = str(error) if isinstance(error, BadOption) else "its metadata is damaged."
        raise UnusableMetadata(f"The studio can't open this picture: {reason}") from None
    if not MIN_PSI <= psi <= MAX_PSI:
        raise UnusableMetadata(
            f"The studio can't open this picture: its psi is {psi:g}; expected {MIN_PSI:g} to {MAX_PSI:g}."
        )
    model_id = next((each.id for each in models if each.model.hash == metadata["Model"]), None)
    notices = [shown.pop("notice", None), _notice_about_model(metadata, model_id), _notice_about_photo(metadata)]
    return {
        **shown,
        "psi": psi,
        "model": metadata["Model"],
        "recipe": metadata.get("Recipe", "unknown"),
        "model_id": model_id,
        "notice": " ".join(filter(None, notices)) or None,
    }


def _shown(metadata: Mapping[str, str]) -> dict[str, Any]:
    """Return the faces or the sum that the metadata describes.

    Raises:
        BadOption or ValueError: it describes something else, or is damaged.
    """
    if metadata.get("Condition", "{}") != "{}":
        raise BadOption(f"the studio can't draw faces with the condition {quoted(metadata['Condition'])}.")
    if "Terms" in metadata:
        return _shown_sum(metadata["Terms"], metadata.get("Sum", ""))
    faces = _faces(metadata)
    if not 0 < len(faces) <= MAX_DOWNLOADED_FACES:
        raise BadOption(f"it shows {len(faces)} faces; the studio opens 1 to {MAX_DOWNLOADED_FACES}.")
    if "Walk" in metadata:
        return _shown_walk(faces, closed=metadata["Walk"].startswith("closed"))
    return {"kind": "faces", "faces": [str(face) for face in faces]}


def _shown_sum(text: str, how: str) -> dict[str, Any]:
    """Return a sum in the form that the page reads, such as `0.500000000*29-1.000000000*4`.

    Args:
        text, how: the metadata `Terms` and `Sum`.

    Raises:
        BadOption: it is not a sum, or one that the page can't show.
    """
    terms, layers = parse_sum(text), how.removeprefix("layers ") if how.startswith("layers ") else None
    if how == "plain":
        raise BadOption("it is a plain sum, but the studio rescales sums. Draw it with: facesmith mix --plain")
    if len(terms) > MAX_MIXED_FACES:
        raise BadOption(f"it is a sum of {len(terms)} faces; the studio opens sums of up to {MAX_MIXED_FACES}.")
    if layers is not None and LAYER_RANGE.fullmatch(layers) is None:
        raise BadOption(f"it mixes the layers {quoted(layers)}; the studio mixes a range such as 0-1.")
    signed = (f"{'-' if weight < 0 else '+'}{abs(weight):.9f}*{face}" for weight, face in terms)
    return {"kind": "sum", "terms": "".join(signed).removeprefix("+"), "layers": layers}


def _shown_walk(faces: Sequence[Face], *, closed: bool) -> dict[str, Any]:
    """Return a walk through the first of the faces, and a notice if there are more."""
    stops, notice = [str(face) for face in faces[:MAX_WALK_FACES]], None
    if len(faces) > MAX_WALK_FACES:
        notice = f"This walk has {len(faces)} faces; the first {MAX_WALK_FACES} were opened."
    return {"kind": "walk", "faces": stops, "closed": closed, "notice": notice}


def _faces(metadata: Mapping[str, str]) -> list[Face]:
    if "Face" in metadata:
        return [parse_face(metadata["Face"])]
    if "Faces" in metadata:
        edits = TypeAdapter(dict[str, Strength]).validate_json(metadata.get("Edits", "{}"), strict=True)
        names = TypeAdapter(list[str]).validate_json(metadata["Faces"], strict=True)
        return [make_face(face.base, {**dict(face.edits), **edits}) for face in map(parse_face, names)]
    if origin := parse_provenance(metadata):
        if origin.prior:
            raise BadOption("it was drawn with --prior normal, which the studio doesn't offer.")
        return [make_face(str(seed), {}) for seed in origin.seeds]
    raise BadOption("it doesn't say which face is shown.")


def _notice_about_model(metadata: Mapping[str, str], model_id: str | None) -> str | None:
    if model_id is not None:
        return None
    recipe, model_hash = quoted(metadata.get("Recipe", "unknown")), metadata["Model"][:12]
    return (
        f"Another model drew this picture (recipe {recipe}, hash {model_hash}). Open that model to see the same face: "
        "facesmith studio --model MODEL"
    )


def _notice_about_photo(metadata: Mapping[str, str]) -> str | None:
    if metadata.get("Synthetic") == "in part":
        return "This is a photo with a generated face in it. The generated face was opened."
    return None
