"""The parameters of each route, with their types and bounds. FastAPI checks them before it calls the route."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import Annotated, Any, Literal

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, model_validator

from facesmith.errors import BadOption
from facesmith.io.seeds import MAX_SEED
from facesmith.studio.face_text import LATENT_PATTERN, Face, make_face, parse_faces, quoted
from facesmith.studio.limits import (
    MAX_CHECKED_SEEDS,
    MAX_DOWNLOADED_FACES,
    MAX_FACES_IN_PHOTO,
    MAX_PSI,
    MAX_STRENGTH,
    MAX_VARIATIONS,
    MAX_WALK_FACES,
    MIN_PSI,
    MIN_WALK_FACES,
)
from facesmith.studio.render import Walk

Psi = Annotated[float, Field(ge=MIN_PSI, le=MAX_PSI)]  # these bounds exclude NaN and infinity
Flag = Literal["0", "1"]
Scale = Literal["1", "2", "4"]  # times that a picture is enlarged
Strength = Annotated[float, Field(ge=-MAX_STRENGTH, le=MAX_STRENGTH)]
FaceNumber = Annotated[int, Field(ge=1, le=MAX_FACES_IN_PHOTO)]  # among the faces in a photo; 1 is the largest


class FilmFormat(StrEnum):
    """The file formats of a walk."""

    mp4 = "mp4"
    gif = "gif"


class Parameters(BaseModel):
    """The base of all parameters. Unknown ones are refused, unless a subclass sets `extra="allow"`."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Raise BadOption for an unknown parameter. Unlike Pydantic's own message, it lists the allowed ones."""
        unknown = sorted(set(values) - set(cls.model_fields))
        if unknown and cls.model_config["extra"] == "forbid":
            allowed = ", ".join(cls.model_fields) or "none"
            raise BadOption(f"Unknown parameter {quoted(unknown[0])}. Allowed here: {allowed}.")
        return values


class ModelParameters(Parameters):
    """A model, by its id."""

    model: str


class BaseFaceParameters(ModelParameters):
    """A face: either its seed or its latent `w`. All other parameters are edits, such as `smiling=1.5`."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Strength]

    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] | None = None
    w: Annotated[str, Field(pattern=f"^{LATENT_PATTERN}$")] | None = None
    psi: Psi = 1.0


class FaceParameters(BaseFaceParameters):
    """A picture of a face.

    Attributes:
        live: render the face alone and before others, for sliders; see `render_queue.RenderJob`.
    """

    live: Flag = "0"
    scale: Scale = "1"


class SeedsParameters(ModelParameters):
    """The next seeds from `start` on whose faces do not look distorted; see `Model.distorted`."""

    start: Annotated[int, Field(ge=0, le=MAX_SEED)] = 0
    count: Annotated[int, Field(ge=1, le=MAX_CHECKED_SEEDS)] = 48


class VariationParameters(BaseFaceParameters):
    """Variations of a face; see `variations.variations`."""

    count: Annotated[int, Field(ge=1, le=MAX_VARIATIONS)] = 8
    start: Annotated[int, Field(ge=0, le=10**6)] = 0
    amount: Annotated[float, Field(ge=0, le=2)] = 0.3


class BreedParameters(ModelParameters):
    """Children of two faces; see `variations.children`."""

    parents: str
    psi: Psi = 1.0
    count: Annotated[int, Field(ge=1, le=MAX_VARIATIONS)] = 8
    start: Annotated[int, Field(ge=0, le=10**6)] = 0
    mutation: Annotated[float, Field(ge=0, le=2)] = 0.2


class FacesParameters(ModelParameters):
    """Several faces to download; see `face_text.parse_faces`."""

    faces: str
    psi: Psi = 1.0
    scale: Scale = "1"


class SheetOfFacesParameters(FacesParameters):
    """Several faces on one picture.

    Attributes:
        columns: 0 for a sheet that is about square.
    """

    columns: Annotated[int, Field(ge=0, le=64)] = 0


class DirectionsParameters(ModelParameters):
    """A method that finds directions without labels."""

    method: Literal["pca", "sefa"]


class SumParameters(ModelParameters):
    """A sum of faces.

    Attributes:
        terms: the sum as text; see `face_text.parse_sum`.
        plain: do not rescale the sum; see `latent.arithmetic.combine`.
        layers: take these layers of the second face, as `facesmith mix --layers`; empty for a sum.
    """

    terms: str
    psi: Psi = 1.0
    plain: Flag = "0"
    live: Flag = "0"
    scale: Scale = "1"
    layers: str = ""


class WalkParameters(ModelParameters):
    """A walk through faces; see `render.Walk` and `face_text.parse_faces`."""

    faces: str
    psi: Psi = 1.0
    closed: Flag = "1"
    seconds: Annotated[float, Field(ge=0.2, le=10)] = 2.0
    fps: Annotated[int, Field(ge=5, le=50)] = 25
    scale: Annotated[int, Field(ge=0, le=8)] = 0


class InvertParameters(ModelParameters):
    """The face of a photo to invert."""

    face: FaceNumber = 1


class PasteParameters(FaceParameters):
    """A generated face, and the face of a photo that it replaces."""

    face: FaceNumber = 1


class RunParameters(Parameters):
    """A run, by its id."""

    run: str


class CompareParameters(Parameters):
    """Several runs, by their ids with commas between them."""

    runs: str


class SheetParameters(RunParameters):
    """The contact sheet of a run after `seen` images."""

    seen: Annotated[int, Field(ge=0, lt=10**18)]


class RealFaceParameters(ModelParameters):
    """A real face of an evaluation; see `evaluation_view.real_face`."""

    pair: Annotated[int, Field(ge=0, le=1000)]
    kind: Literal["training", "held_out"]


def requested_face(parameters: BaseFaceParameters) -> Face:
    """Return the face that the parameters describe.

    Raises:
        BadOption: no face, two faces, or too many edits.
    """
    if (parameters.seed is None) == (parameters.w is None):
        raise BadOption("Give exactly one of seed and w.")
    base = str(parameters.seed) if parameters.w is None else parameters.w
    return make_face(base, parameters.__pydantic_extra__)


def requested_faces(parameters: FacesParameters) -> list[Face]:
    """Return the faces that the parameters list.

    Raises:
        BadOption: a face can't be parsed, or there are none or too many.
    """
    return parse_faces(parameters.faces, 1, MAX_DOWNLOADED_FACES)


def requested_walk(parameters: WalkParameters) -> Walk:
    """Return the walk that the parameters describe.

    Raises:
        BadOption: a face can't be parsed, or the film would be too long.
    """
    walk = Walk(
        tuple(parse_faces(parameters.faces, MIN_WALK_FACES, MAX_WALK_FACES)),
        psi=parameters.psi,
        closed=parameters.closed == "1",
        seconds=parameters.seconds,
        fps=parameters.fps,
        scale=parameters.scale,
    )
    walk.frame_count()  # raises if the film would be too long
    return walk


async def refuse_repeated(request: Request) -> None:
    """Refuse parameters that are given more than once, because a URL must have one meaning.

    Raises:
        BadOption: a parameter is repeated.
    """
    counts = Counter(name for name, _ in request.query_params.multi_items())
    for name, count in counts.items():
        if count > 1:
            raise BadOption(f"Parameter {quoted(name)} is given {count} times. Give it once.")


def refusal_message(error: RequestValidationError) -> str:
    """Return one line about the first parameter that FastAPI refused: its value, and what is allowed."""
    first = error.errors()[0]
    name, value = quoted(str(first["loc"][-1])), quoted(str(first["input"]))
    if first["type"] == "missing":
        return f"Parameter {name} is missing."
    # Pydantic's messages have the form "Input should be a valid integer, unable to parse string as an integer".
    allowed = first["msg"].removeprefix("Input should be ").partition(", unable")[0]
    if first["type"] == "string_pattern_mismatch":
        allowed = "a latent as text, such as w.AQJh"
    return f"Parameter {name} is {value}; it should be {allowed}."
