"""Open models and runs, and serve the page: `facesmith studio`.

By default, it is served to this machine only. Whenever other machines can reach it, a random token is needed.
"""

from __future__ import annotations

import errno
import hashlib
import ipaddress
import os
import re
import secrets
import socket
import sys
import threading
import webbrowser
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from rich.console import Console

from facesmith.errors import BadOption, MissingExtra
from facesmith.io.messages import shorten
from facesmith.io.stopping import handling_stop_signals
from facesmith.modelfiles.locate import model_file, model_names
from facesmith.modelfiles.run_folder import PLAN
from facesmith.report.read_run import read_plan_and_log
from facesmith.studio.limits import MAX_CONNECTIONS
from facesmith.watermark.marking import DEFAULT_MARKING, Marking

if TYPE_CHECKING:
    import uvicorn

    from facesmith.studio.access import Access
    from facesmith.studio.osc_input import OscInput
    from facesmith.studio.services import Studio

LOOPBACK = "127.0.0.1"
KEEP_ALIVE_SECONDS = 10
BACKLOG = 512
TOKEN_VARIABLE = "FACESMITH_STUDIO_TOKEN"
ROOT_PATH = re.compile(r"(/[A-Za-z0-9._~@+-]+)+")


@dataclass(frozen=True)
class StudioOptions:
    """What to serve, and to whom.

    Attributes:
        models: paths of models to explore. Without models and runs, the bundled generator.
        runs: folders of runs to watch.
        port: 0 chooses a free one.
        browser: whether to open the page in a browser, if no token is needed.
        host: the address to listen on; 0.0.0.0 for all addresses of this machine.
        allow_hosts: further names under which browsers reach the studio, for example through a proxy.
        root_path: the start of all paths, if a proxy serves the studio below a path.
        photos: whether photos are accepted.
        osc_port: receive OSC messages on this port of the loopback address; None for none, 0 for a free one.
        marking: the marks of all pictures and films.
    """

    models: Sequence[Path] = ()
    runs: Sequence[Path] = ()
    port: int = 0
    browser: bool = False
    host: str = LOOPBACK
    allow_hosts: Sequence[str] = ()
    root_path: str = ""
    photos: bool = True
    osc_port: int | None = None
    marking: Marking = DEFAULT_MARKING


def serve(options: StudioOptions, console: Console) -> None:
    """Serve the page until Ctrl-C.

    Raises:
        MissingExtra: fastapi or uvicorn is not installed.
        BadOption: the address is not available, or an option can't be read.
        BadModel: a model can't be opened.
        BadData: a run can't be opened.
    """
    try:
        import uvicorn

        from facesmith.studio.app import create_app
    except ImportError as error:
        raise MissingExtra(f"The studio needs an extra ({error.name}): pip install 'facesmith[studio]'") from None
    _check_options(options)
    studio = _open_studio(options)
    with _listen(options.host, options.port) as server_socket:
        access = _access(options, server_socket)
        config = uvicorn.Config(
            create_app(studio, access),
            log_level="warning",
            access_log=False,  # it would contain the token
            server_header=False,
            proxy_headers=bool(options.root_path or options.allow_hosts),
            limit_concurrency=MAX_CONNECTIONS,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=2,
        )
        urls = _urls(access, server_socket)
        console.print(f"The studio is at {urls[0]}  (Ctrl-C stops it)")
        for url in urls[1:]:
            console.print(f"From other machines: {url}")
        if studio.osc is not None:
            console.print(f"OSC messages are received on {LOOPBACK}, port {studio.osc.port}")
        # The command line of a browser is visible to other users of the machine, so a token must not be in it.
        if options.browser and not access.token:
            threading.Timer(0.5, webbrowser.open, (urls[0],)).start()
        _run_server(uvicorn.Server(config), server_socket, studio)


def _run_server(server: uvicorn.Server, server_socket: socket.socket, studio: Studio) -> None:
    """Run the server until a stop signal. Then it answers the requests in progress, and this raises KeyboardInterrupt.

    Uvicorn handles SIGINT and SIGTERM, and passes them on when it has stopped. It handles no others.
    """
    stopped, shutdown = False, server.shutdown

    async def cancel_work_and_shut_down(sockets: list[socket.socket] | None = None) -> None:
        studio.stop()  # otherwise the server would wait for the rest of films and inversions
        await shutdown(sockets)

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal stopped
        stopped = server.should_exit = True

    server.shutdown = cancel_work_and_shut_down  # type: ignore[method-assign]
    with handling_stop_signals(stop):
        server.run(sockets=[server_socket])
    if stopped:
        raise KeyboardInterrupt


def _check_options(options: StudioOptions) -> None:
    """Raise BadOption if an option has the wrong form."""
    from facesmith.studio.access import HOST_NAME

    for name in options.allow_hosts:
        if HOST_NAME.fullmatch(name.lower()) is None:
            raise BadOption(
                f"--allow-host {shorten(name, 60)!r} is not a host name. Write it as browsers do, without https:// "
                "and path, such as hub.example.org."
            )
    if options.root_path not in ("", "/") and ROOT_PATH.fullmatch(options.root_path.removesuffix("/")) is None:
        raise BadOption(
            f"--root-path {shorten(options.root_path, 60)!r} is not a path such as /user/me/proxy/8400: start with a "
            "slash, and leave out the host."
        )


def _access(options: StudioOptions, server_socket: socket.socket) -> Access:
    """Return who may use the studio. Without a token in the environment, one is made if other machines can reach it.

    Raises:
        BadOption: the token in the environment is too short.
    """
    from facesmith.studio.access import MIN_TOKEN_LENGTH, Access

    address, port = server_socket.getsockname()[:2]
    is_loopback = ipaddress.ip_address(address).is_loopback
    token = os.environ.get(TOKEN_VARIABLE, "")
    if token and (len(token) < MIN_TOKEN_LENGTH or re.fullmatch(r"[A-Za-z0-9_-]+", token) is None):
        raise BadOption(
            f"{TOKEN_VARIABLE} must have at least {MIN_TOKEN_LENGTH} letters, digits, - or _. Make one with: "
            "python -c 'import secrets; print(secrets.token_urlsafe())'"
        )
    if not token and (not is_loopback or options.allow_hosts):
        token = secrets.token_urlsafe(24)
    return Access(
        hosts=frozenset(f"{name}:{port}" for name in (LOOPBACK, "localhost", _bracketed(address))),
        names=frozenset(name.lower() for name in (*options.allow_hosts, *_own_names(is_loopback))),
        any_address=not is_loopback,
        token=token,
        cookie=f"facesmith-{port}",  # cookies are shared by all ports of a host
        root_path=options.root_path.removesuffix("/"),
    )


def _own_names(is_loopback: bool) -> list[str]:
    """Return the names of this machine, with any port; none if it listens to itself only.

    In a container, the port that browsers use can be another one than the studio's.
    """
    return [] if is_loopback else ["localhost", socket.gethostname(), socket.getfqdn()]


def _urls(access: Access, server_socket: socket.socket) -> list[str]:
    """Return the address of the page on this machine, and the addresses for other machines."""
    address, port = server_socket.getsockname()[:2]
    is_any, is_loopback = (getattr(ipaddress.ip_address(address), name) for name in ("is_unspecified", "is_loopback"))
    here = LOOPBACK if is_any else _bracketed(address)
    path = f"{access.root_path}/" + (f"?token={access.token}" if access.token else "")
    urls = [f"http://{here}:{port}{path}"]
    if is_any:
        urls.append(f"http://{_outgoing_address()}:{port}{path}")
    if is_loopback:
        urls += [f"https://{name}{path}" for name in sorted(access.names)]
    return urls


def _outgoing_address() -> str:
    """Return the address that other machines see, or this machine's name if it has no network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # an address for documentation; connecting a datagram socket sends nothing
        except OSError:
            return socket.gethostname()
        return str(probe.getsockname()[0])


def _bracketed(address: str) -> str:
    """Return an address as it is written in a URL."""
    return f"[{address}]" if ":" in address else address


def _open_studio(options: StudioOptions) -> Studio:
    """Open the models and runs; without any, the bundled generator."""
    from facesmith.studio.open_models import OpenModels
    from facesmith.studio.services import Studio

    models, runs = options.models, options.runs
    paths = list(dict.fromkeys([*models, *runs])) or [model_file(None)]
    open_models = OpenModels(paths, model_names(paths), _marks_id(options.marking))
    for path in models:
        open_models.open(path)  # reports a damaged model before the page opens; a run may have no model yet
    # A run folder that is given as a model is shown as a run, too.
    run_folders = [path for path in paths if (path / PLAN).is_file() or path in runs]
    for folder in run_folders:
        read_plan_and_log(folder)  # reports a folder that is not a run before the page opens
    runs_by_id = {_run_id(folder): folder for folder in run_folders}
    run_names = dict(zip(runs_by_id, model_names(list(runs_by_id.values())), strict=True))
    osc = _open_osc(options.osc_port)
    return Studio(open_models, runs_by_id, run_names, photos=options.photos, osc=osc, marking=options.marking)


def _marks_id(marking: Marking) -> str:
    """Return an id of the marks; empty for the usual ones."""
    return (marking.own_key or "") + ("" if marking.sign is None else "signed")


def _open_osc(port: int | None) -> OscInput | None:
    """Return a receiver of OSC messages if a port is given.

    Raises:
        MissingExtra: python-osc is not installed.
        BadOption: the port is not available.
    """
    if port is None:
        return None
    from facesmith.studio.osc_input import OscInput

    try:
        return OscInput(port)
    except ImportError:
        raise MissingExtra("--osc needs an extra: pip install 'facesmith[osc]'") from None
    except OSError as error:
        raise BadOption(
            f"--osc {port}: the port is not available ({error.strerror}). Choose another one, or 0 for a free one."
        ) from None


def _run_id(folder: Path) -> str:
    """Return an id that does not reveal where the folder is."""
    return hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:12]


def _listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens on an address and port.

    Raises:
        BadOption: they are not available.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except (OSError, UnicodeError):
        raise BadOption(
            f"--host {shorten(host, 60)!r} is not an address of this machine; expected one like 127.0.0.1 or 0.0.0.0."
        ) from None
    # asyncio sends small answers at once (TCP_NODELAY) only if the protocol is named. Otherwise, each takes 40 ms.
    server_socket = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    if sys.platform == "win32":  # where SO_REUSEADDR would let two programs share a port
        server_socket.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
    else:
        server_socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        server_socket.bind(address)
        server_socket.listen(BACKLOG)  # from now on, browsers wait until the server has started
    except OSError as error:
        server_socket.close()
        if error.errno == errno.EADDRNOTAVAIL:
            raise BadOption(f"--host {shorten(host, 60)!r} is not an address of this machine.") from None
        raise BadOption(
            f"Port {port} is not available ({error.strerror}). Choose another --port, or 0 for a free one."
        ) from None
    return server_socket
