"""The studio as one application. A picture's address says all of it, so nothing is kept about who asks."""

from __future__ import annotations

import mimetypes
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect

from facesmith.errors import FacesmithError
from facesmith.studio import routes_photos, routes_render, routes_runs
from facesmith.studio.render_queue import Busy
from facesmith.studio.responses import Gone, Studio, Unknown, tag_of
from facesmith.studio.security import MOST_BYTES, Guard, TooLarge, TooSlow

PAGES = ("index.html", "style.css", "icon.svg")


def create_app(studio: Studio, hosts: Iterable[str]) -> FastAPI:
    """The application that answers to these hosts, such as 127.0.0.1:8400."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        studio.close()

    app = FastAPI(title="Facesmith studio", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    _errors(app)
    _pages(app)
    for routes in (routes_render, routes_runs, routes_photos):
        app.include_router(routes.router(studio))
    app.add_middleware(Guard, hosts=tuple(hosts))
    return app


def _errors(app: FastAPI) -> None:
    """Each mistake as one line of JSON that says what to do."""

    def told(kind: type[Exception], status: int, reason: str | None = None, **headers: str) -> None:
        async def handle(_: Request, error: Exception) -> Response:
            return JSONResponse({"error": reason or str(error)}, status, {"cache-control": "no-store", **headers})

        app.add_exception_handler(kind, handle)

    told(FacesmithError, 400)
    told(Unknown, 404)
    told(Busy, 503, "Busy: too much is waiting. Try again in a moment.", **{"retry-after": "1"})
    told(TooLarge, 413, f"The photo is too large; {MOST_BYTES // 2**20} MiB are the most. Make it smaller.")
    told(TooSlow, 408, "The photo did not arrive in time.")
    told(Gone, 499, "Nobody waits for this any more.")
    told(ClientDisconnect, 499, "Nobody waits for this any more.")


def _pages(app: FastAPI) -> None:
    """The page's own files, read once: no path of a request ever reaches the disk."""
    folder = files("facesmith.studio") / "page"
    scripts = sorted(each.name for each in folder.iterdir() if each.name.endswith(".js"))
    for name in (*PAGES, *scripts):
        kind = mimetypes.types_map.get(Path(name).suffix, "text/javascript")
        _serve(app, "/" if name == "index.html" else f"/{name}", (folder / name).read_bytes(), kind)


def _serve(app: FastAPI, path: str, content: bytes, kind: str) -> None:
    headers = {"etag": tag_of(content), "cache-control": "no-cache"}

    async def page(request: Request) -> Response:
        if request.headers.get("if-none-match") == headers["etag"]:
            return Response(status_code=304, headers=headers)
        return Response(content, media_type=kind, headers=headers)

    app.add_api_route(path, page, methods=["GET", "HEAD"])
