"""Endpoints for the open models and runs, for evaluations, and for the queue."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from facesmith import __version__
from facesmith.directions import unsupervised
from facesmith.errors import BadData, BadModel
from facesmith.io.commands import quoted
from facesmith.modelfiles.sidecar import sidecar_path
from facesmith.pictures.images import png_bytes
from facesmith.studio import evaluation_view, opened_picture, run_view
from facesmith.studio.face_description import can_describe
from facesmith.studio.open_models import OpenModel
from facesmith.studio.query import (
    CompareParameters,
    ModelParameters,
    Parameters,
    RealFaceParameters,
    RunParameters,
    SheetParameters,
)
from facesmith.studio.render import psi_range
from facesmith.studio.responses import NO_STORE, etag_of, not_modified, result_of, revalidated, uncached_json
from facesmith.studio.services import ClientDep, StudioDep, submit_upload

router = APIRouter()


@router.get("/api/models")
async def models(studio: StudioDep) -> Response:
    """The newest version of each open model."""
    opened = await asyncio.to_thread(studio.models.refresh)
    return uncached_json({
        "version": __version__,
        "photos": studio.photos,
        "osc": studio.osc is not None,
        "models": [_model_facts(each) for each in opened],
    })  # fmt: skip


@router.post("/api/open")
async def open_picture(
    request: Request, studio: StudioDep, client: ClientDep, query: Annotated[Parameters, Query()]
) -> Response:
    """Which face a picture shows that Facesmith made, from its metadata."""
    job = await submit_upload(
        request,
        studio,
        studio.quick_jobs,
        lambda picture, _: opened_picture.open_picture(picture, studio.models.refresh()),
        client,
        "file",
    )
    return uncached_json(await result_of(job, request))


@router.get("/api/queue")
async def queue(studio: StudioDep, client: ClientDep, query: Annotated[Parameters, Query()]) -> Response:
    """What the client waits for: its films, downloads and inversions, with the time left."""
    return uncached_json(studio.long_jobs.status(client))


@router.get("/api/runs")
async def runs(
    request: Request, studio: StudioDep, client: ClientDep, query: Annotated[Parameters, Query()]
) -> Response:
    """The open runs, with their progress."""

    def summaries(_: object) -> list[dict[str, Any]]:
        result = []
        for run_id, folder in studio.runs.items():
            with suppress(BadData, OSError):  # a run that was deleted or damaged must not hide the others
                result.append(run_view.summary(run_id, studio.run_names[run_id], folder))
        if studio.runs and not result:
            raise BadData("None of the runs can be read any longer. Restart the studio with others.")
        return result

    return uncached_json(await result_of(studio.quick_jobs.submit(summaries, client), request))


@router.get("/api/run")
async def run(
    request: Request, studio: StudioDep, client: ClientDep, query: Annotated[RunParameters, Query()]
) -> Response:
    """The changing parts of a run's report."""
    folder = studio.run(query.run)
    return uncached_json(await result_of(studio.quick_jobs.submit(lambda _: run_view.details(folder), client), request))


@router.get("/api/compare")
async def compare(
    request: Request, studio: StudioDep, client: ClientDep, query: Annotated[CompareParameters, Query()]
) -> Response:
    """Charts with several runs in each."""
    ids = query.runs.split(",")[: len(studio.runs)]
    folders = [(studio.run_names.get(run_id, ""), studio.run(run_id)) for run_id in ids]
    charts = studio.quick_jobs.submit(lambda _: run_view.comparison_charts(folders), client)
    return uncached_json(await result_of(charts, request))


@router.get("/api/sheet.png")
async def sheet_png(request: Request, studio: StudioDep, query: Annotated[SheetParameters, Query()]) -> Response:
    """The contact sheet of a run after `seen` images."""
    content = await asyncio.to_thread(run_view.sheet_png, studio.run(query.run), query.seen)
    headers = revalidated(etag_of(content))  # a run that was rolled back writes this sheet again
    return not_modified(request, headers) or Response(content, media_type="image/png", headers=headers)


@router.get("/api/evaluation")
async def evaluation(studio: StudioDep, query: Annotated[ModelParameters, Query()]) -> Response:
    """The evaluation of a model."""
    model = await studio.model(query.model)
    return uncached_json(await asyncio.to_thread(evaluation_view.evaluation_of, model))


@router.get("/api/real.png")
async def real_png(
    request: Request, studio: StudioDep, client: ClientDep, query: Annotated[RealFaceParameters, Query()]
) -> Response:
    """The real face that is nearest to a sample of the evaluation."""
    model = await studio.model(query.model)
    face = studio.quick_jobs.submit(lambda _: evaluation_view.real_face(model, query.pair, query.kind), client)
    return Response(png_bytes(await result_of(face, request)), media_type="image/png", headers=NO_STORE)


def _model_facts(opened: OpenModel) -> dict[str, Any]:
    """Return what the page shows of a model."""
    model = opened.model
    try:
        directions, directions_error = list(model.directions), None
    except BadModel as error:
        directions, directions_error = [], str(error)
    low, high = psi_range(model.G)
    force = "" if directions_error is None else " --force"
    return {
        "id": opened.id,
        "hash": model.hash,
        "name": opened.name,
        "recipe": model.recipe.name,
        "seen": model.header.get("seen"),
        "resolution": model.G.resolution,
        "channels": model.G.channels,
        "num_ws": model.G.num_ws,
        "psi_min": low,
        "psi_max": high,
        "can_invert": model.E is not None or sidecar_path(model.path, "inversion").exists(),
        "can_describe": can_describe(model),
        "unlabeled": list(unsupervised.METHODS),
        "directions": directions,
        "directions_error": directions_error,
        "directions_command": f"facesmith directions --model {quoted(model.path)} --data LABELED_FACES{force}",
    }
