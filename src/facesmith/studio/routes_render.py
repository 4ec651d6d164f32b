"""Addresses of what is drawn: faces, sums of faces, walks, and how to make them elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from threading import Event

from fastapi import APIRouter, Request, Response
from torch import Tensor

from facesmith.errors import BadOption
from facesmith.io.images import png_bytes
from facesmith.model import Model
from facesmith.studio import commands
from facesmith.studio.query import Face, flag, make_face, number, parse_faces, parse_sum, write_latent
from facesmith.studio.render import Walk, film, latent, sum_of
from facesmith.studio.render_queue import Wanted
from facesmith.studio.responses import Studio, Unknown, fresh, has_it, kept, tag_of, waited, words_of

FACE_WORDS = ("model", "seed", "w", "psi", "live")
SUM_WORDS = ("model", "terms", "psi", "plain", "live")
WALK_WORDS = ("model", "faces", "psi", "closed", "seconds", "fps", "scale")
FILMS = {"mp4": "video/mp4", "gif": "image/gif"}


def router(studio: Studio) -> APIRouter:
    """The addresses, on this studio's models."""
    routes = APIRouter()

    @routes.get("/api/face.png")
    async def face_png(request: Request) -> Response:
        words = words_of(request, FACE_WORDS, edits=True)
        model, face, psi = studio.model(words), face_of(words), psi_of(words)
        return await _drawn(request, studio, model, lambda: latent(model, face, psi), words, shown(face, psi))

    @routes.get("/api/face.json")
    async def face_json(request: Request) -> Response:
        words = words_of(request, FACE_WORDS, edits=True)
        model, face = studio.model(words), face_of(words)
        return fresh({"face": str(face), **commands.for_face(model, face, psi_of(words))})

    @routes.get("/api/mix.png")
    async def mix_png(request: Request) -> Response:
        words = words_of(request, SUM_WORDS)
        model, terms, plain = studio.model(words), parse_sum(words.get("terms", "")), flag(words, "plain")
        psi, how = psi_of(words), "plain" if plain else "with its terms' length"
        told = {"Terms": words["terms"], "Psi": repr(psi), "Sum": how, **_whose(face for _, face in terms)}
        return await _drawn(request, studio, model, lambda: sum_of(model, terms, psi, plain=plain), words, told)

    @routes.get("/api/mix.json")
    async def mix_json(request: Request) -> Response:
        words = words_of(request, SUM_WORDS)
        model, terms, plain = studio.model(words), parse_sum(words.get("terms", "")), flag(words, "plain")
        w = await waited(request, studio.workshop.do(lambda: sum_of(model, terms, plain=plain)))
        told = commands.for_sum(model, terms, psi_of(words), plain=plain)
        return fresh({"face": write_latent(w[0].cpu().numpy(), model.hash), **told})

    @routes.get("/api/walk.json")
    async def walk_json(request: Request) -> Response:
        words = words_of(request, WALK_WORDS)
        return fresh(commands.for_walk(studio.model(words), _walk(words)))

    @routes.get("/api/walk.{kind}")
    async def walk_film(request: Request, kind: str) -> Response:
        if kind not in FILMS:
            raise Unknown("Films are .mp4 or .gif.")
        words = words_of(request, WALK_WORDS)
        model, walk, tag = studio.model(words), _walk(words), tag_of(kind, words)
        if answer := has_it(request, tag):
            return answer
        stopped = Event()
        try:
            content = await waited(request, studio.workshop.do(lambda: film(model, walk, f".{kind}", stopped)))
        finally:
            stopped.set()
        return Response(content, media_type=FILMS[kind], headers=kept(tag))

    return routes


def face_of(words: Mapping[str, str], others: tuple[str, ...] = FACE_WORDS) -> Face:
    """The face that a request names.

    Args:
        others: words that are no edits.

    Raises:
        BadOption: none, two, or out of bounds.
    """
    if ("seed" in words) == ("w" in words):
        raise BadOption("Say which face: either seed or w.")
    if not words.get("seed", "0").isdecimal():
        raise BadOption(f"Seed {words['seed'][:40]!r} is none; seeds are whole numbers from 0 on.")
    edits = {name: text for name, text in words.items() if name not in others}
    return make_face(words.get("seed") or words.get("w", ""), edits)


def psi_of(words: Mapping[str, str]) -> float:
    """A request's psi, 1 where it names none."""
    return number(words.get("psi", "1"), "psi", 0, 1)


def shown(face: Face, psi: float) -> dict[str, str]:
    """What a picture carries of how it was made: of a bare seed the same as of `facesmith sample`."""
    if face.seed is not None and not face.edits:
        return {"Seeds": f"[{face.seed}]", "Psi": repr(psi)}
    return {"Face": str(face), "Psi": repr(psi), **_whose([face])}


def _whose(faces: Iterable[Face]) -> dict[str, str]:
    """A description for what follows from a latent: it may have been found in a photo of someone."""
    if all(face.seed is not None for face in faces):
        return {}
    return {"Description": "A synthetic picture. It may have been made to resemble a person in a photo."}


def _walk(words: Mapping[str, str]) -> Walk:
    faces = tuple(parse_faces(words.get("faces", "")))
    seconds = number(words.get("seconds", "2"), "seconds", 0.2, 10)
    fps, scale = _whole(words.get("fps", "25"), "fps", 5, 50), _whole(words.get("scale", "0"), "scale", 0, 8)
    walk = Walk(faces, psi_of(words), flag(words, "closed", True), seconds, fps, scale)
    walk.frames()
    return walk


def _whole(text: str, name: str, low: int, high: int) -> int:
    found = number(text, name, low, high)
    if found != int(found):
        raise BadOption(f"{name} is {text}; it is a whole number.")
    return int(found)


async def _drawn(
    request: Request,
    studio: Studio,
    model: Model,
    make: Callable[[], Tensor],
    words: Mapping[str, str],
    told: Mapping[str, str],
) -> Response:
    """A picture, or that the browser has it already."""
    tag = tag_of(request.url.path, words)
    if answer := has_it(request, tag):
        return answer
    pixels = await waited(request, studio.easel.draw(Wanted(model, make, flag(words, "live"))))
    content = await asyncio.to_thread(png_bytes, pixels, model.provenance(told))
    return Response(content, media_type="image/png", headers=kept(tag))
