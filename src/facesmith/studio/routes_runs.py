"""Addresses of what there is to look at: models, runs, an evaluation."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response

from facesmith import __version__
from facesmith.errors import BadModel, BadOption
from facesmith.io.images import png_bytes
from facesmith.model import Model
from facesmith.studio import evaluation, runs
from facesmith.studio.query import number
from facesmith.studio.responses import Studio, Unknown, fresh, tag_of, waited, words_of


def router(studio: Studio) -> APIRouter:
    """The addresses, on this studio's models and runs."""
    routes = APIRouter()

    @routes.get("/api/models")
    async def models() -> Response:
        held = await asyncio.to_thread(studio.shelf.current)
        return fresh({"version": __version__, "models": [_about(known, name, model) for known, name, model in held]})

    @routes.get("/api/runs")
    async def all_runs(request: Request) -> Response:
        words_of(request, ())
        told = [(known, studio.run_names[known], folder) for known, folder in studio.runs.items()]
        return fresh(await waited(request, studio.workshop.do(lambda: [runs.brief(*each) for each in told])))

    @routes.get("/api/run")
    async def one_run(request: Request) -> Response:
        folder = _run(studio, words_of(request, ("run",)).get("run", ""))
        parts, how = await waited(
            request, studio.workshop.do(lambda: (runs.told(folder), runs.how_to_read_sheets(folder)))
        )
        return fresh({"parts": parts, "how": how})

    @routes.get("/api/compare")
    async def compare(request: Request) -> Response:
        known = words_of(request, ("runs",)).get("runs", "").split(",")[: len(studio.runs)]
        chosen = [(studio.run_names.get(each, ""), _run(studio, each)) for each in known]
        return fresh(await waited(request, studio.workshop.do(lambda: runs.compared(chosen))))

    @routes.get("/api/sheet.png")
    async def sheet(request: Request) -> Response:
        words = words_of(request, ("run", "seen"))
        folder, seen = _run(studio, words.get("run", "")), words.get("seen", "")
        if not seen.isdecimal() or len(seen) > 18:
            raise BadOption("seen is a whole number: images shown until then.")
        content = await asyncio.to_thread(runs.sheet, folder, int(seen))
        tag = tag_of(content)  # a run that went back draws another one there
        headers = {"etag": tag, "cache-control": "no-cache"}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(content, media_type="image/png", headers=headers)

    @routes.get("/api/judge")
    async def judged(request: Request) -> Response:
        model = studio.model(words_of(request, ("model",)))
        return fresh(await asyncio.to_thread(evaluation.judgement, model))

    @routes.get("/api/real.png")
    async def real(request: Request) -> Response:
        words = words_of(request, ("model", "pair", "kind"))
        model, place = studio.model(words), number(words.get("pair", ""), "pair", 0, 1000)
        face = await waited(
            request, studio.workshop.do(lambda: evaluation.real_face(model, int(place), words.get("kind", "")))
        )
        return Response(png_bytes(face), media_type="image/png", headers={"cache-control": "no-store"})

    return routes


def _about(known: str, name: str, model: Model) -> dict[str, Any]:
    try:
        directions, problem = list(model.directions), None
    except BadModel as error:
        directions, problem = [], str(error)
    return {
        "id": known,
        "hash": model.hash,
        "name": name,
        "recipe": model.recipe.name,
        "seen": model.header.get("seen"),
        "resolution": model.G.resolution,
        "channels": model.G.channels,
        "directions": directions,
        "directions_trouble": problem,
        "make_directions": f"facesmith directions --model {model.path} --data LABELLED",
        "make_inverter": f"facesmith train-inverter --model {model.path} --data FACES",
    }


def _run(studio: Studio, known: str) -> Path:
    if known not in studio.runs:
        raise Unknown("This run is not open here. Reload the page to see which are.")
    return studio.runs[known]
