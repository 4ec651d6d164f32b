"""The studio's addresses. A picture's address says all of it, so the server keeps nothing about who asks."""

from __future__ import annotations

import asyncio
import hashlib
import mimetypes
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from facesmith import __version__
from facesmith.errors import BadOption, FacesmithError
from facesmith.images import png_bytes
from facesmith.sample import Model
from facesmith.studio import commands
from facesmith.studio.address import Face, flag, make_face, number, one_of, parse_faces, parse_sum, write_latent
from facesmith.studio.easel import Busy, Easel, Wanted
from facesmith.studio.guard import MOST_BYTES, Guard, TooLarge, TooSlow
from facesmith.studio.pictures import Walk, directions, film, latent, sum_of
from facesmith.studio.shelf import Shelf
from facesmith.studio.workshop import Workshop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from torch import Tensor

T = TypeVar("T")
FOR_EVER = "public, max-age=31536000, immutable"
PAGES = ("index.html", "style.css", "icon.svg")
FACE_WORDS = ("model", "seed", "w", "psi", "live")
SUM_WORDS = ("model", "terms", "psi", "plain", "live")
WALK_WORDS = ("model", "faces", "psi", "closed", "seconds", "fps")
FILMS = {"mp4": "video/mp4", "gif": "image/gif"}


class Gone(Exception):
    """Who asked is not there any more."""


class Unknown(Exception):
    """No such thing is open here."""


@dataclass
class Studio:
    """What the addresses work with."""

    shelf: Shelf
    easel: Easel = field(default_factory=Easel)
    workshop: Workshop = field(default_factory=Workshop)

    def model(self, words: dict[str, str]) -> Model:
        """The model that a request names."""
        model = self.shelf.model(words.get("model", ""))
        if model is None:
            raise Unknown("This model is not open here any more. Reload the page to see which are.")
        return model

    def close(self) -> None:
        """End all threads."""
        self.easel.close()
        self.workshop.close()


def create_app(studio: Studio, hosts: Iterable[str]) -> FastAPI:
    """The application that answers to these hosts, such as 127.0.0.1:8400."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        studio.close()

    app = FastAPI(title="Facesmith studio", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    _errors(app)
    _pages(app)
    _models(app, studio)
    _pictures(app, studio)
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


def _pages(app: FastAPI) -> None:
    """The page's own files, read once: no path of a request ever reaches the disk."""
    folder = files("facesmith.studio") / "page"
    scripts = sorted(each.name for each in folder.iterdir() if each.name.endswith(".js"))

    def serve(path: str, content: bytes, kind: str) -> None:
        tag = _tag(content)

        async def page(request: Request) -> Response:
            headers = {"etag": tag, "cache-control": "no-cache"}
            if request.headers.get("if-none-match") == tag:
                return Response(status_code=304, headers=headers)
            return Response(content, media_type=kind, headers=headers)

        app.add_api_route(path, page, methods=["GET", "HEAD"])

    for name in (*PAGES, *scripts):
        kind = mimetypes.types_map.get(Path(name).suffix, "text/javascript")
        serve("/" if name == "index.html" else f"/{name}", (folder / name).read_bytes(), kind)


def _models(app: FastAPI, studio: Studio) -> None:
    @app.get("/api/models")
    async def models() -> Response:
        held = await asyncio.to_thread(studio.shelf.current)
        return _fresh({"version": __version__, "models": [_about(known, name, model) for known, name, model in held]})


def _about(known: str, name: str, model: Model) -> dict[str, Any]:
    G = model.G
    return {
        "id": known,
        "name": name,
        "recipe": model.recipe.name,
        "seen": model.header.get("seen"),
        "resolution": G.resolution,
        "channels": G.channels,
        "directions": list(directions(model)),
        "direction_command": f"facesmith directions --model {model.path} --data faces",
    }


def _pictures(app: FastAPI, studio: Studio) -> None:
    @app.get("/api/face.png")
    async def face_png(request: Request) -> Response:
        words = _words(request, FACE_WORDS, edits=True)
        model, face, psi = studio.model(words), _face(words), _psi(words)
        return await _drawn(request, studio, model, lambda: latent(model, face), words, _shown(face, psi))

    @app.get("/api/face.json")
    async def face_json(request: Request) -> Response:
        words = _words(request, FACE_WORDS, edits=True)
        model, face, psi = studio.model(words), _face(words), _psi(words)
        return _fresh({"face": str(face), **commands.for_face(model, face, psi)})

    @app.get("/api/mix.png")
    async def mix_png(request: Request) -> Response:
        words = _words(request, SUM_WORDS)
        model, terms, psi, plain = studio.model(words), parse_sum(words.get("terms", "")), _psi(words), _plain(words)
        shown = {
            "Terms": words["terms"],
            "Psi": repr(psi),
            "Sum": "plain" if plain else "with its terms' length",
        }
        return await _drawn(request, studio, model, lambda: sum_of(model, terms, plain=plain), words, shown)

    @app.get("/api/mix.json")
    async def mix_json(request: Request) -> Response:
        words = _words(request, SUM_WORDS)
        model, terms, plain = studio.model(words), parse_sum(words.get("terms", "")), _plain(words)
        w = await _waited(request, studio.workshop.do(lambda: sum_of(model, terms, plain=plain)))
        told = commands.for_sum(model, terms, _psi(words), plain=plain)
        return _fresh({"face": write_latent(w[0].cpu().numpy(), model.hash), **told})

    @app.get("/api/walk.{kind}")
    async def walk_film(request: Request, kind: str) -> Response:
        if kind not in (*FILMS, "json"):
            raise Unknown("Films are .mp4 or .gif.")
        words = _words(request, WALK_WORDS)
        model, walk = studio.model(words), _walk(words)
        if kind == "json":
            return _fresh(commands.for_walk(model, walk))
        tag = _tag(kind, words)
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=_kept(tag))
        content = await _waited(request, studio.workshop.do(lambda: film(model, walk, f".{kind}")))
        return Response(content, media_type=FILMS[kind], headers=_kept(tag))


def _words(request: Request, known: Iterable[str], edits: bool = False) -> dict[str, str]:
    return one_of(request.query_params.multi_items(), list(known), edits)


def _face(words: dict[str, str]) -> Face:
    if ("seed" in words) == ("w" in words):
        raise BadOption("Say which face: either seed or w.")
    if "seed" in words and not words["seed"].isdecimal():
        raise BadOption(f"Seed {words['seed'][:40]!r} is none; seeds are whole numbers from 0 on.")
    edits = {name: text for name, text in words.items() if name not in FACE_WORDS}
    return make_face(words.get("seed") or words.get("w", ""), edits)


def _psi(words: dict[str, str]) -> float:
    return number(words.get("psi", "1"), "psi", 0, 1)


def _plain(words: dict[str, str]) -> bool:
    return flag(words, "plain")


def _walk(words: dict[str, str]) -> Walk:
    faces = tuple(parse_faces(words.get("faces", "")))
    seconds, fps = number(words.get("seconds", "2"), "seconds", 0.2, 10), number(words.get("fps", "25"), "fps", 5, 50)
    if fps != int(fps):
        raise BadOption("fps is a whole number.")
    walk = Walk(faces, _psi(words), flag(words, "closed", True), seconds, int(fps))
    walk.frames()
    return walk


def _shown(face: Face, psi: float) -> dict[str, str]:
    """What a picture carries of how it was made: of a bare seed the same as of `facesmith sample`."""
    if face.seed is not None and not face.edits:
        return {"Seeds": f"[{face.seed}]", "Psi": repr(psi)}
    return {"Face": str(face), "Psi": repr(psi)}


async def _drawn(
    request: Request,
    studio: Studio,
    model: Model,
    make: Callable[[], Tensor],
    words: dict[str, str],
    shown: dict[str, str],
) -> Response:
    """A picture, or that the browser has it already."""
    tag = _tag(request.url.path, words)
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=_kept(tag))
    pixels = await _waited(request, studio.easel.draw(Wanted(model, make, _psi(words), flag(words, "live"))))
    content = await asyncio.to_thread(png_bytes, pixels, model.provenance(shown))
    return Response(content, media_type="image/png", headers=_kept(tag))


async def _waited(request: Request, future: Future[T]) -> T:
    """The result, unless who asked goes away: then it is forgotten."""
    result = asyncio.wrap_future(future)
    gone = asyncio.create_task(_gone(request))
    try:
        await asyncio.wait((result, gone), return_when=asyncio.FIRST_COMPLETED)
        if not result.done():
            raise Gone
        return result.result()
    finally:
        gone.cancel()
        result.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _kept(tag: str) -> dict[str, str]:
    return {"etag": tag, "cache-control": FOR_EVER}


def _fresh(content: Any) -> Response:
    return JSONResponse(content, headers={"cache-control": "no-store"})


def _tag(*parts: Any) -> str:
    return f'"{hashlib.sha256(repr(parts).encode()).hexdigest()[:32]}"'
