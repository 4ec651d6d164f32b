"""The studio under heavy load: it may be busy, but it must not fail, leak memory or block other clients."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time

import httpx
import psutil
import pytest
from small import saved_model
from test_studio import with_directions

pytest.importorskip("fastapi", reason="the studio is an extra")
CLIENTS, SECONDS = 50, 60
MAX_GROWTH_MIB = 60
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    """URL and process of a studio on a tiny model."""
    run = with_directions(saved_model(tmp_path_factory.mktemp("load") / "tiny"))
    command = [sys.executable, "-m", "facesmith", "studio", "--model", str(run), "--port", "0", "--no-browser"]
    one_thread = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=one_thread) as process:
        yield process.stderr.readline().split()[4], psutil.Process(process.pid)
        process.terminate()


def first_model_id(url):
    return httpx.get(f"{url}api/models", timeout=60).json()["models"][0]["id"]


def random_path(rng, model_id):
    """A path that a page requests, or, rarely, an invalid one."""
    seed, kind = rng.randrange(10**6), rng.random()
    if kind < 0.75:
        live = rng.choice(("", "&live=1"))
        return (
            f"api/face.png?model={model_id}&seed={seed}&psi={rng.random():.2f}&smiling={rng.uniform(-3, 3):.1f}{live}"
        )
    if kind < 0.85:
        return f"api/mix.png?model={model_id}&terms={seed}-3%2B{rng.randrange(99)}"
    if kind < 0.9:
        return f"api/walk.mp4?model={model_id}&faces={seed},7&seconds=0.4&fps=10"
    return rng.choice(("", "api/models", "main.js", "api/face.png?seed=x", "nowhere", "api/runs"))


def test_fifty_clients_for_a_minute(studio):
    url, process = studio
    model_id, stop = first_model_id(url), time.monotonic() + SECONDS
    statuses: dict[int, int] = {}
    errors: list[str] = []
    lock = threading.Lock()

    def send_requests(number):
        rng = random.Random(number)
        with httpx.Client(base_url=url, timeout=60) as client:
            while time.monotonic() < stop:
                path = random_path(rng, model_id)
                try:
                    status = client.get(path).status_code
                except httpx.HTTPError as error:
                    with lock:
                        errors.append(f"{path}: {error!r}")
                    continue
                with lock:
                    statuses[status] = statuses.get(status, 0) + 1

    threads = [threading.Thread(target=send_requests, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    time.sleep(SECONDS / 3)  # by then all caches are filled
    before = process.memory_info().rss
    for thread in threads:
        thread.join()
    growth_mib = (process.memory_info().rss - before) / 2**20
    print(f"{statuses} in {SECONDS} s by {CLIENTS} clients; memory grew by {growth_mib:.1f} MiB")
    assert errors == []
    assert set(statuses) <= {200, 400, 404, 503}, "a picture, a refusal with its reason, or busy"
    assert statuses[200] > 100
    assert growth_mib < MAX_GROWTH_MIB


def test_slow_clients_do_not_block_others(studio):
    url, _ = studio
    model_id, (host, port) = first_model_id(url), url.removeprefix("http://").rstrip("/").split(":")
    slow = [socket.create_connection((host, int(port))) for _ in range(60)]
    for i, each in enumerate(slow):  # a third send nothing, a third half of a request, a third half of a photo
        if i % 3 == 1:
            each.sendall(f"GET /api/models HTTP/1.1\r\nHost: {host}:{port}\r\nX-Slow:".encode())
        if i % 3 == 2:
            head = f"POST /api/detect HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: 100000\r\n\r\n"
            each.sendall(head.encode() + b"x" * 500)
    start = time.monotonic()
    for seed in range(20):
        assert httpx.get(f"{url}api/face.png?model={model_id}&seed={seed}", timeout=30).status_code == 200
    assert time.monotonic() - start < 20
    for each in slow:
        each.close()


def test_work_for_disconnected_clients_is_dropped(studio):
    url, _ = studio
    model_id = first_model_id(url)

    def request_and_disconnect(number):
        path = f"{url}api/walk.gif?model={model_id}&faces={number},5&seconds=10&fps=25&scale=8"
        with contextlib.suppress(httpx.TimeoutException):
            httpx.get(path, timeout=0.05)

    threads = [threading.Thread(target=request_and_disconnect, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    deadline = time.monotonic() + 60
    while httpx.get(f"{url}api/walk.mp4?model={model_id}&faces=1,2&seconds=0.2&fps=5", timeout=60).status_code == 503:
        assert time.monotonic() < deadline, "abandoned films still fill the queue"
        time.sleep(0.5)


def test_busy_studio_stops_without_warnings(tmp_path):
    run = with_directions(saved_model(tmp_path / "tiny"))
    command = [sys.executable, "-m", "facesmith", "studio", "--model", str(run), "--port", "0", "--no-browser"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process, contextlib.ExitStack() as stack:
        url = process.stderr.readline().split()[4]
        host, port = url.removeprefix("http://").rstrip("/").split(":")
        model_id = first_model_id(url)
        film = f"api/walk.mp4?model={model_id}&faces=3,5,8&seconds=8&fps=40"
        for i, path in enumerate([film, film, *(f"api/face.png?model={model_id}&seed={seed}" for seed in range(60))]):
            connection = socket.create_connection((host, int(port)))
            connection.sendall(f"GET /{path} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
            if i % 2:
                connection.close()  # clients that have gone
            else:
                stack.enter_context(contextlib.closing(connection))
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        _, rest = process.communicate(timeout=60)
    assert rest == "facesmith: interrupted\n"
