"""Endpoints for faces, sums of faces and walks, each with the code that reproduces it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from torch import Tensor

from facesmith.io.seeds import MAX_SEED
from facesmith.model import Model
from facesmith.pictures.images import Pixels, png_bytes, resize
from facesmith.studio.face_description import can_describe, describe_face, missing_description
from facesmith.studio.face_text import parse_faces, parse_sum, write_latent
from facesmith.studio.query import (
    BaseFaceParameters,
    BreedParameters,
    DirectionsParameters,
    FaceParameters,
    FacesParameters,
    FilmFormat,
    SeedsParameters,
    SheetOfFacesParameters,
    SumParameters,
    VariationParameters,
    WalkParameters,
    requested_face,
    requested_faces,
    requested_walk,
)
from facesmith.studio.render import face_latent, face_provenance, render_walk, sum_latent, sum_provenance
from facesmith.studio.render_queue import RenderJob
from facesmith.studio.reproduce import reproduce_face, reproduce_sum, reproduce_walk
from facesmith.studio.responses import NO_STORE, cached_forever, not_modified, result_of, uncached_json, url_etag
from facesmith.studio.services import ClientDep, Studio, StudioDep
from facesmith.studio.several_faces import contact_sheet, enlargement, faces_zip
from facesmith.studio.unlabeled import unlabeled_directions
from facesmith.studio.variations import children, variations
from facesmith.watermark.marking import Marking

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
        scale=int(query.scale),
        provenance=face_provenance(face, query.psi),
    )


@router.get("/api/face.json")
async def face_json(studio: StudioDep, query: Annotated[FaceParameters, Query()]) -> Response:
    """A face as text, and the code that reproduces it."""
    model, face = await studio.model(query.model), requested_face(query)
    return uncached_json({"face": str(face), **reproduce_face(model, face, query.psi)})


@router.get("/api/seeds.json")
async def seeds_json(
    request: Request, studio: StudioDep, client: ClientDep, query: Annotated[SeedsParameters, Query()]
) -> Response:
    """The seeds from `start` to `next - 1`, without those whose faces look most distorted."""
    model = await studio.model(query.model)
    end = min(query.start + query.count, MAX_SEED + 1)
    job = studio.quick_jobs.submit(lambda _: model.distorted(range(query.start, end)), client)
    distorted = await result_of(job, request)
    return uncached_json({"seeds": (query.start + (~distorted).nonzero()[0]).tolist(), "next": end})


@router.get("/api/describe.json")
async def describe_json(
    request: Request, studio: StudioDep, client: ClientDep, query: Annotated[BaseFaceParameters, Query()]
) -> Response:
    """A short description of a face, by the attribute classifier of its model."""
    model, face = await studio.model(query.model), requested_face(query)
    if not can_describe(model):
        return uncached_json(missing_description(model))
    # Alone: a description follows each edit, and a batch for one face takes five times as long.
    rendering = RenderJob(model, lambda: face_latent(model, face, query.psi), live=True, client=client)
    pixels = await result_of(studio.render_queue.submit(rendering), request)
    job = studio.quick_jobs.submit(lambda _: describe_face(model, pixels), client)
    return uncached_json(await result_of(job, request))


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
        latent=lambda: sum_latent(model, terms, query.psi, plain=plain, layers=query.layers),
        live=query.live == "1",
        scale=int(query.scale),
        provenance=sum_provenance(
            query.terms, [face for _, face in terms], query.psi, plain=plain, layers=query.layers
        ),
    )


@router.get("/api/mix.json")
async def mix_json(
    request: Request, studio: StudioDep, client: ClientDep, query: Annotated[SumParameters, Query()]
) -> Response:
    """The latent of a sum as text, truncated with psi, and the code that reproduces the picture."""
    model, terms, plain = await studio.model(query.model), parse_sum(query.terms), query.plain == "1"
    job = studio.quick_jobs.submit(
        lambda _: sum_latent(model, terms, query.psi, plain=plain, layers=query.layers), client
    )
    w = await result_of(job, request)
    code = reproduce_sum(model, terms, query.psi, plain=plain, layers=query.layers)
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
        lambda job: render_walk(model, walk, f".{film_format}", job, studio.render_queue, studio.marking),
        client,
        "film",
    )
    content = await result_of(job, request)
    return Response(content, media_type=MEDIA_TYPES[film_format], headers=headers)


@router.get("/api/faces.zip")
async def faces_archive(
    request: Request, studio: StudioDep, client: ClientDep, query: Annotated[FacesParameters, Query()]
) -> Response:
    """A zip with a picture of each face, a contact sheet and a table."""
    model, faces, scale = await studio.model(query.model), requested_faces(query), int(query.scale)
    job = studio.long_jobs.submit(
        lambda job: faces_zip(model, faces, query.psi, scale, job, studio.render_queue, studio.marking), client, "zip"
    )
    return Response(await result_of(job, request), media_type="application/zip", headers=NO_STORE)


@router.get("/api/contact-sheet.png")
async def sheet_of_faces(
    request: Request, studio: StudioDep, client: ClientDep, query: Annotated[SheetOfFacesParameters, Query()]
) -> Response:
    """Several faces on one picture, with their names."""
    model, faces, scale = await studio.model(query.model), requested_faces(query), int(query.scale)
    headers = cached_forever(url_etag(request))
    if response := not_modified(request, headers):
        return response
    job = studio.long_jobs.submit(
        lambda job: contact_sheet(
            model, faces, query.psi, scale, query.columns, job, studio.render_queue, studio.marking
        ),
        client,
        "sheet",
    )
    return Response(await result_of(job, request), media_type="image/png", headers=headers)


@router.get("/api/directions")
async def directions(
    request: Request, studio: StudioDep, client: ClientDep, query: Annotated[DirectionsParameters, Query()]
) -> Response:
    """The names of directions that are found without labels; they can be used as edits."""
    model = await studio.model(query.model)
    job = studio.quick_jobs.submit(lambda _: list(unlabeled_directions(model, query.method)), client)
    return uncached_json({"directions": await result_of(job, request)})


@router.get("/api/variations.json")
async def variations_json(
    request: Request, studio: StudioDep, client: ClientDep, query: Annotated[VariationParameters, Query()]
) -> Response:
    """Small random changes of a face, as sums and as latents."""
    sums = variations(requested_face(query), query.amount, query.start, query.count)
    return await _sums_response(request, studio, client, query.model, sums, query.psi)


@router.get("/api/breed.json")
async def breed_json(
    request: Request, studio: StudioDep, client: ClientDep, query: Annotated[BreedParameters, Query()]
) -> Response:
    """Children of two faces, as sums and as latents."""
    mother, father = parse_faces(query.parents, 2, 2)
    sums = children(mother, father, query.mutation, query.start, query.count)
    return await _sums_response(request, studio, client, query.model, sums, query.psi)


async def _sums_response(
    request: Request, studio: Studio, client: str, model_id: str, sums: Sequence[str], psi: float
) -> Response:
    """Return sums of faces, each with its latent, truncated with psi."""
    model = await studio.model(model_id)

    def latents(_: object) -> list[str]:
        ws = [sum_latent(model, parse_sum(terms), psi) for terms in sums]
        return [write_latent(w[0].cpu().numpy(), model.hash) for w in ws]

    texts = await result_of(studio.quick_jobs.submit(latents, client), request)
    return uncached_json({"faces": [{"terms": terms, "face": face} for terms, face in zip(sums, texts, strict=True)]})


async def _png_response(
    request: Request,
    studio: Studio,
    client: str,
    model: Model,
    *,
    latent: Callable[[], Tensor],
    live: bool,
    scale: int,
    provenance: Mapping[str, str],
) -> Response:
    """Render a latent as a PNG, unless the browser already has it."""
    headers = cached_forever(url_etag(request))
    if response := not_modified(request, headers):
        return response
    pixels = await result_of(studio.render_queue.submit(RenderJob(model, latent, live, client)), request)
    metadata = model.provenance({**provenance, **enlargement(scale), **studio.marking.metadata(model.resolution)})
    content = await asyncio.to_thread(_enlarged_png, pixels, scale, metadata, studio.marking)
    return Response(content, media_type="image/png", headers=headers)


def _enlarged_png(pixels: Pixels, scale: int, metadata: Mapping[str, str], marking: Marking) -> bytes:
    marked = marking.marked(pixels[None])[0]
    return png_bytes(resize(marked, scale * marked.shape[0]), metadata, sign=marking.sign)
