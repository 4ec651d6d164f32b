"""`facesmith studio`: opens models and runs, and serves the page on this machine."""

from __future__ import annotations

import socket
import threading
import webbrowser
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from facesmith.errors import BadOption, MissingExtra
from facesmith.model import load
from facesmith.modelfiles.run_folder import PLAN

HOST = "127.0.0.1"
MOST_CONNECTIONS = 512
KEEP_ALIVE_SECONDS = 10


def serve(models: Sequence[Path], runs: Sequence[Path], port: int, *, browser: bool, console: Console) -> None:
    """Serve until Ctrl-C.

    Args:
        port: 0 takes a free one.
        browser: open the page.

    Raises:
        MissingExtra: fastapi or uvicorn is not installed.
        BadOption: the port is taken, or there is nothing to show.
    """
    try:
        import uvicorn

        from facesmith.studio.app import create_app
        from facesmith.studio.responses import Studio
    except ImportError as error:
        raise MissingExtra(f"The studio needs an extra ({error.name}): pip install 'facesmith[studio]'") from None
    from facesmith.studio.open_models import Shelf
    from facesmith.studio.runs import by_id

    for path in models:
        load(path)  # what is wrong with it is told before a page is opened
    shown: list[Path] = list(dict.fromkeys([*models, *runs])) or [load().path]
    watched = by_id([path for path in shown if (path / PLAN).is_file() or path in runs])
    names = dict(zip(watched, _names(list(watched.values())), strict=True))
    studio = Studio(Shelf(shown, _names(shown)), watched, names)
    with _listening(port) as bound:
        number = bound.getsockname()[1]
        hosts = [f"{name}:{number}" for name in (HOST, "localhost")]
        config = uvicorn.Config(
            create_app(studio, hosts),
            log_level="warning",
            access_log=False,
            server_header=False,
            limit_concurrency=MOST_CONNECTIONS,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=2,
        )
        address = f"http://{hosts[0]}/"
        console.print(f"The studio is at {address}  (Ctrl-C ends it)")
        if browser:
            threading.Timer(0.5, webbrowser.open, (address,)).start()
        uvicorn.Server(config).run(sockets=[bound])


def _listening(port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((HOST, port))
    except OSError as error:
        bound.close()
        raise BadOption(
            f"Port {port} can't be used ({error.strerror}). Choose another --port, or 0 for a free one."
        ) from None
    return bound


def _names(paths: Sequence[Path]) -> list[str]:
    """Short names that tell the paths apart."""
    short = [path.parent.name if path.suffix else path.name for path in (path.resolve() for path in paths)]
    return [name if short.count(name) == 1 else str(path) for name, path in zip(short, paths, strict=True)]
