"""Open models and runs, and serve the page on this machine: `facesmith studio`."""

from __future__ import annotations

import hashlib
import socket
import threading
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from rich.console import Console

from facesmith.errors import BadOption, MissingExtra
from facesmith.io.stopping import handling_stop_signals
from facesmith.modelfiles.locate import model_file
from facesmith.modelfiles.run_folder import PLAN
from facesmith.report.read_run import read_plan_and_log
from facesmith.studio.limits import MAX_CONNECTIONS

if TYPE_CHECKING:
    import uvicorn

    from facesmith.studio.services import Studio

HOST = "127.0.0.1"
KEEP_ALIVE_SECONDS = 10


def serve(models: Sequence[Path], runs: Sequence[Path], port: int, *, browser: bool, console: Console) -> None:
    """Serve the page until Ctrl-C.

    Args:
        models: paths of models to explore. Without models and runs, the bundled generator.
        runs: folders of runs to watch.
        port: 0 chooses a free one.
        browser: whether to open the page in a browser.

    Raises:
        MissingExtra: fastapi or uvicorn is not installed.
        BadOption: the port is not available.
        BadModel: a model can't be opened.
        BadData: a run can't be opened.
    """
    try:
        import uvicorn

        from facesmith.studio.app import create_app
    except ImportError as error:
        raise MissingExtra(f"The studio needs an extra ({error.name}): pip install 'facesmith[studio]'") from None
    studio = _open_studio(models, runs)
    with _listen(port) as server_socket:
        hosts = [f"{name}:{server_socket.getsockname()[1]}" for name in (HOST, "localhost")]
        config = uvicorn.Config(
            create_app(studio, hosts),
            log_level="warning",
            access_log=False,
            server_header=False,
            limit_concurrency=MAX_CONNECTIONS,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=2,
        )
        url = f"http://{hosts[0]}/"
        console.print(f"The studio is at {url}  (Ctrl-C stops it)")
        if browser:
            threading.Timer(0.5, webbrowser.open, (url,)).start()
        _run_server(uvicorn.Server(config), server_socket)


def _run_server(server: uvicorn.Server, server_socket: socket.socket) -> None:
    """Run the server until a stop signal. Then it answers the requests in progress, and this raises KeyboardInterrupt.

    Uvicorn handles SIGINT and SIGTERM, and passes them on when it has stopped. It doesn't handle SIGHUP.
    """
    stopped = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal stopped
        stopped = server.should_exit = True

    with handling_stop_signals(stop):
        server.run(sockets=[server_socket])
    if stopped:
        raise KeyboardInterrupt


def _open_studio(models: Sequence[Path], runs: Sequence[Path]) -> Studio:
    """Open the models and runs; without any, the bundled generator."""
    from facesmith.studio.open_models import OpenModels
    from facesmith.studio.services import Studio

    paths = list(dict.fromkeys([*models, *runs])) or [model_file(None)]
    open_models = OpenModels(paths, _short_names(paths))
    for path in models:
        open_models.open(path)  # reports a damaged model before the page opens; a run may have no model yet
    # A run folder that is given as a model is shown as a run, too.
    run_folders = [path for path in paths if (path / PLAN).is_file() or path in runs]
    for folder in run_folders:
        read_plan_and_log(folder)  # reports a folder that is not a run before the page opens
    runs_by_id = {_run_id(folder): folder for folder in run_folders}
    run_names = dict(zip(runs_by_id, _short_names(list(runs_by_id.values())), strict=True))
    return Studio(open_models, runs_by_id, run_names)


def _run_id(folder: Path) -> str:
    """Return an id that does not reveal where the folder is."""
    return hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:12]


def _listen(port: int) -> socket.socket:
    """Return a socket that is bound to the port.

    Raises:
        BadOption: the port is not available.
    """
    server_socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    server_socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        server_socket.bind((HOST, port))
    except OSError as error:
        server_socket.close()
        raise BadOption(
            f"Port {port} is not available ({error.strerror}). Choose another --port, or 0 for a free one."
        ) from None
    return server_socket


def _short_names(paths: Sequence[Path]) -> list[str]:
    """Return the name of the folder in each path, or the whole path if two folders have the same name."""
    folders = [path.parent if path.suffix else path for path in (path.resolve() for path in paths)]
    names = [folder.name for folder in folders]
    return [name if names.count(name) == 1 else str(path) for name, path in zip(names, paths, strict=True)]
