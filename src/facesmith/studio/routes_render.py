"""Endpoints for faces, sums of faces and walks, each with the code that reproduces it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from torch import Tensor

from facesmith.io.images import png_bytes
from facesmith.model import Model
from facesmith.studio.face_text import parse_sum, write_latent
from facesmith.studio.query import (
    FaceParameters,
    FilmFormat,
    SumParameters,
    WalkParameters,
    requested_face,
    requested_walk,
)
from facesmith.studio.render import face_latent, face_provenance, render_walk, sum_latent, sum_provenance
from facesmith.studio.render_queue import RenderJob
from facesmith.studio.reproduce import reproduce_face, reproduce_sum, reproduce_walk
from facesmith.studio.responses import cached_forever, not_modified, result_of, uncached_json, url_etag
from facesmith.studio.services import ClientDep, Studio, StudioDep

router = APIRouter()
MEDIA_TYPES = {FilmFormat.mp4: "video/mp4", FilmFormat.gif: "image/gif"}


@router.get("/api/face.png")
async def face_png(
    request: Request, studio: StudioDep, client: ClientDep, query: Annotated[FaceParameters, Query()]
) -> Response:
    """A face as a PNG."""
    model, face = await studio.model(query.model), requested_face(query)
    return await _png_response(
        request,
        studio,
        client,
        model,
        latent=lambda: face_latent(model, face, query.psi),
        live=query.live == "1",
        provenance=face_provenance(face, query.psi),
    )


@router.get("/api/face.json")
async def face_json(studio: StudioDep, query: Annotated[FaceParameters, Query()]) -> Response:
    """A face as text, and the code that reproduces it."""
    model, face = await studio.model(query.model), requested_face(query)
    return uncached_json({"face": str(face), **reproduce_face(model, face, query.psi)})


@router.get("/api/mix.png")
async def mix_png(
    request: Request, studio: StudioDep, client: ClientDep, query: Annotated[SumParameters, Query()]
) -> Response:
    """A sum of faces as a PNG."""
    model, terms, plain = await studio.model(query.model), parse_sum(query.terms), query.plain == "1"
    return await _png_response(
        request,
        studio,
        client,
        model,
        latent=lambda: sum_latent(model, terms, query.psi, plain=plain),
        live=query.live == "1",
        provenance=sum_provenance(query.terms, [face for _, face in terms], query.psi, plain=plain),
    )


@router.get("/api/mix.json")
async def mix_json(
    request: Request, studio: StudioDep, client: ClientDep, query: Annotated[SumParameters, Query()]
) -> Response:
    """The latent of a sum as text, truncated with psi, and the code that reproduces the picture."""
    model, terms, plain = await studio.model(query.model), parse_sum(query.terms), query.plain == "1"
    job = studio.quick_jobs.submit(lambda _: sum_latent(model, terms, query.psi, plain=plain), client)
    w = await result_of(job, request)
    code = reproduce_sum(model, terms, query.psi, plain=plain)
    return uncached_json({"face": write_latent(w[0].cpu().numpy(), model.hash), **code})


@router.get("/api/walk.json")
async def walk_json(studio: StudioDep, query: Annotated[WalkParameters, Query()]) -> Response:
    """The command that makes the same film, if there is one."""
    return uncached_json(reproduce_walk(await studio.model(query.model), requested_walk(query)))


@router.get("/api/walk.{film_format}")
async def walk_film(
    request: Request,
    studio: StudioDep,
    client: ClientDep,
    film_format: FilmFormat,
    query: Annotated[WalkParameters, Query()],
) -> Response:
    """A walk as a film."""
    model, walk = await studio.model(query.model), requested_walk(query)
    headers = cached_forever(url_etag(request))
    if response := not_modified(request, headers):
        return response
    job = studio.long_jobs.submit(
        lambda job: render_walk(model, walk, f".{film_format}", job, studio.render_queue), client, "film"
    )
    content = await result_of(job, request)
    return Response(content, media_type=MEDIA_TYPES[film_format], headers=headers)


async def _png_response(
    request: Request,
    studio: Studio,
    client: str,
    model: Model,
    *,
    latent: Callable[[], Tensor],
    live: bool,
    provenance: Mapping[str, str],
) -> Response:
    """Render a latent as a PNG, unless the browser already has it."""
    headers = cached_forever(url_etag(request))
    if response := not_modified(request, headers):
        return response
    pixels = await result_of(studio.render_queue.submit(RenderJob(model, latent, live, client)), request)
    content = await asyncio.to_thread(png_bytes, pixels, model.provenance(provenance))
    return Response(content, media_type="image/png", headers=headers)
