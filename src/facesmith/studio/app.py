"""The FastAPI application. It stores nothing about clients: the URL of a picture determines its pixels."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import PurePath

from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from facesmith.errors import FacesmithError
from facesmith.io.files import disk_cause, explain_disk_error
from facesmith.studio import routes_osc, routes_photos, routes_render, routes_runs
from facesmith.studio.access import Access
from facesmith.studio.opened_picture import UnusableMetadata
from facesmith.studio.query import refusal_message, refuse_repeated
from facesmith.studio.render_queue import Busy, RenderCancelled
from facesmith.studio.responses import NO_STORE, ClientDisconnected, etag_of, not_modified, revalidated
from facesmith.studio.routes_photos import PhotosOff
from facesmith.studio.security import TOO_LARGE_MESSAGE, SecurityMiddleware, UploadTooLarge, UploadTooSlow
from facesmith.studio.services import NotOpen, Studio, UploadIsForm

logger = logging.getLogger(__name__)
MEDIA_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


def create_app(studio: Studio, access: Access) -> FastAPI:
    """Return the application.

    Args:
        access: which hosts it answers to, and the token that requests need.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        studio.close()

    app = FastAPI(title="Facesmith studio", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    app.state.studio = studio
    for routes in (routes_render, routes_photos, routes_runs, routes_osc):
        app.include_router(routes.router, dependencies=[Depends(refuse_repeated)])
    _add_page(app)
    _add_error_messages(app)
    app.add_middleware(SecurityMiddleware, access=access)
    return app


def _add_error_messages(app: FastAPI) -> None:
    """Answer each exception with a status code and one line of JSON that says what to do."""

    def answer(kind: type[Exception], status: int, message: str | None = None, **headers: str) -> None:
        async def handle(_: Request, error: Exception) -> Response:
            return JSONResponse({"error": message or str(error)}, status, NO_STORE | headers)

        app.add_exception_handler(kind, handle)

    answer(FacesmithError, 400)
    answer(NotOpen, 404)
    answer(UnusableMetadata, 422)
    answer(PhotosOff, 403, "This studio accepts no photos: it was started with --no-photos.")
    answer(Busy, 503, "The studio is busy. Try again in a moment.", **{"retry-after": "1"})
    answer(RenderCancelled, 503, "The studio was stopped.", **{"retry-after": "1"})
    answer(UploadIsForm, 415, "Send the photo itself as the body: curl --data-binary @me.jpg URL")
    answer(UploadTooLarge, 413, TOO_LARGE_MESSAGE)
    answer(UploadTooSlow, 408, "The photo did not arrive in time. Try again.")
    # Nobody receives these two, but otherwise they would be logged as errors. The second one is Starlette's.
    answer(ClientDisconnected, 499, "The client has disconnected.")
    answer(ClientDisconnect, 499, "The client has disconnected.")

    app.add_exception_handler(RequestValidationError, _answer_invalid_parameter)
    app.add_exception_handler(HTTPException, _answer_unknown_address)
    app.add_exception_handler(OSError, _answer_disk_error)


async def _answer_invalid_parameter(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    in_path = error.errors()[0]["loc"][0] == "path"  # as in /api/walk.avi
    return JSONResponse({"error": refusal_message(error)}, 404 if in_path else 400, NO_STORE)


async def _answer_unknown_address(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = f"This address does not accept the method {request.method}."
    if error.status_code == 404:
        message = "There is nothing at this address."
    return JSONResponse({"error": message}, error.status_code, NO_STORE | dict(error.headers or {}))


async def _answer_disk_error(_: Request, error: Exception) -> Response:
    """Name the file in the terminal only: its path may be private."""
    assert isinstance(error, OSError)
    logger.error(explain_disk_error(error, ""))
    message = f"The studio can't read or write a file: {disk_cause(error)}. Its terminal shows which one."
    return JSONResponse({"error": message}, 507, NO_STORE)


def _add_page(app: FastAPI) -> None:
    """Add a route for each file of the page. Each file is read once; no request path is used as a file path."""
    folder = files("facesmith.studio") / "page"
    for file in folder.iterdir():
        if media_type := MEDIA_TYPES.get(PurePath(file.name).suffix):
            url_path = "/" if file.name == "index.html" else f"/{file.name}"
            _add_page_file(app, url_path, file.read_bytes(), media_type)


def _add_page_file(app: FastAPI, url_path: str, content: bytes, media_type: str) -> None:
    headers = revalidated(etag_of(content))

    async def page_file(request: Request) -> Response:
        return not_modified(request, headers) or Response(content, media_type=media_type, headers=headers)

    app.add_api_route(url_path, page_file, methods=["GET", "HEAD"])
