"""How the studio answers many clients at once: python benchmarks/studio_load.py [MODEL]

Starts a studio and sends what pages send, over the loopback interface:

1. one client alone drags a slider;
2. 30 clients draw walls of 48 faces for 30 seconds, over 6 connections each, while one more drags a slider;
3. 30 clients send a photo each at the same time, to be inverted.

Prints a Markdown table of times, and how much the memory of the studio grew. The photo is a generated face.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import AsyncIterator

import numpy as np
import psutil
from PIL import Image

import facesmith
from facesmith.io.images import png_bytes

WALL_FACES, CONNECTIONS = 48, 6
PAUSE_SECONDS = 0.016  # of a slider between two pictures: one frame of a screen


class Client:
    """A browser: an id, and connections that stay open."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        self.id = f"{random.getrandbits(128):032x}"

    async def connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(self.host, self.port, limit=2**22)

    async def get(self, connection: tuple[asyncio.StreamReader, asyncio.StreamWriter], path: str) -> bytes:
        """The body of a response. "Busy" is answered by trying again, as the page does.

        Raises:
            RuntimeError: any other status than 200.
        """
        reader, writer = connection
        while True:
            writer.write(
                f"GET {path} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\nX-Client: {self.id}\r\n\r\n".encode()
            )
            status, headers = await _read_head(reader)
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            if status == 200:
                return body
            if status != 503:
                raise RuntimeError(f"{path}: {status} {body[:200]!r}")
            await asyncio.sleep(0.5)

    async def post_lines(self, path: str, body: bytes) -> AsyncIterator[dict[str, object]]:
        """The messages of a streamed response."""
        reader, writer = await self.connection()
        head = f"POST {path} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\nX-Client: {self.id}\r\n"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        status, _ = await _read_head(reader)
        if status != 200:
            raise RuntimeError(f"{path}: {status}")
        while size := int(await reader.readline(), 16):  # chunked encoding, one message per chunk
            yield json.loads(await reader.readexactly(size))
            await reader.readline()
        writer.close()


async def _read_head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    pairs = (line.split(":", 1) for line in head[1:] if line)
    return int(head[0].split()[1]), {name.lower(): value.strip() for name, value in pairs}


async def drag_slider(client: Client, model: str, until: float) -> list[float]:
    """Seconds of each picture of a slider that is dragged without a pause."""
    connection, seconds = await client.connection(), []
    rng = random.Random(1)
    while time.monotonic() < until:
        start = time.monotonic()
        path = f"/api/face.png?model={model}&seed=7&live=1&smiling={rng.uniform(-3, 3):.4f}"
        await client.get(connection, path)
        seconds.append(time.monotonic() - start)
        await asyncio.sleep(PAUSE_SECONDS)
    return seconds


async def draw_walls(client: Client, model: str, until: float) -> list[tuple[float, float]]:
    """Seconds to the first face and to the last one, of each wall."""
    connections = [await client.connection() for _ in range(CONNECTIONS)]
    walls = []
    while time.monotonic() < until:
        start, first = time.monotonic(), random.randrange(10**6)
        seeds, arrivals = iter(range(first, first + WALL_FACES)), []

        async def fetch(
            connection: tuple[asyncio.StreamReader, asyncio.StreamWriter],
            seeds: object = seeds,
            arrivals: list[float] = arrivals,
        ) -> None:
            for seed in seeds:  # type: ignore[attr-defined]
                await client.get(connection, f"/api/face.png?model={model}&seed={seed}&psi=0.9")
                arrivals.append(time.monotonic())

        await asyncio.gather(*map(fetch, connections))
        walls.append((arrivals[0] - start, arrivals[-1] - start))
    return walls


async def invert(client: Client, model: str, photo: bytes) -> tuple[float, int, bool]:
    """Seconds of an inversion, the number of messages about the queue, and whether it finished."""
    start, waiting, finished = time.monotonic(), 0, False
    async for message in client.post_lines(f"/api/invert?model={model}", photo):
        waiting += "ahead" in message
        finished |= "psnr_db" in message
    return time.monotonic() - start, waiting, finished


def percentiles(name: str, seconds: list[float]) -> str:
    middle, high, longest = np.percentile(seconds, [50, 95, 100])
    return f"| {name} | {len(seconds)} | {middle:.3f} | {high:.3f} | {longest:.3f} |"


async def measure(url: str, process: psutil.Process, clients: int, seconds: float) -> None:
    host, port = url.removeprefix("http://").rstrip("/").split(":")
    everyone = [Client(host, int(port)) for _ in range(clients)]
    slider = Client(host, int(port))
    models = json.loads(await slider.get(await slider.connection(), "/api/models"))
    model = models["models"][0]["id"]
    print("| what | number | median s | 95 % s | longest s |\n|---|---|---|---|---|", flush=True)
    print(percentiles("slider, alone", await drag_slider(slider, model, time.monotonic() + 5)), flush=True)

    until = time.monotonic() + seconds
    work = asyncio.gather(drag_slider(slider, model, until), *(draw_walls(client, model, until) for client in everyone))
    await asyncio.sleep(seconds / 3)  # by then all caches are filled
    before = process.memory_info().rss
    dragged, *walls = await work
    growth_mib = (process.memory_info().rss - before) / 2**20
    everything = [wall for of_client in walls for wall in of_client]
    print(percentiles(f"slider, while {clients} clients draw walls", dragged))
    print(percentiles("first face of a wall", [first for first, _ in everything]))
    print(percentiles(f"whole wall of {WALL_FACES} faces", [last for _, last in everything]), flush=True)

    # A photo of 512 pixels, so that the face fills half of it.
    face = Image.fromarray(facesmith.load().sample([3], psi=0.6)[0]).resize((256, 256), Image.Resampling.LANCZOS)
    canvas = np.full((512, 512, 3), 128, np.uint8)
    canvas[128:384, 128:384] = np.asarray(face)
    photo = png_bytes(canvas)
    start = time.monotonic()
    dragging = asyncio.create_task(drag_slider(slider, model, start + 10))
    results = await asyncio.gather(*(invert(client, model, photo) for client in everyone))
    print(percentiles(f"slider, while {clients} photos are inverted", await dragging))
    print(percentiles("inversion of a photo", [seconds for seconds, _, _ in results]))
    finished = sum(done for _, _, done in results)
    print(f"\n{finished} of {clients} inversions finished; {sum(n for _, n, _ in results)} messages about the queue.")
    print(f"Walls of the slowest client: {min(map(len, walls))}. Memory grew by {growth_mib:.1f} MiB.")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", nargs="?", help="a run folder or model file; default: the bundled generator")
    parser.add_argument("--clients", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=30)
    options = parser.parse_args()
    command = [sys.executable, "-m", "facesmith", "studio", "--port", "0", "--no-browser"]
    command += ["--model", options.model] if options.model else []
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=dict(os.environ)) as server:
        assert server.stderr is not None
        url = next(word for word in server.stderr.readline().split() if word.startswith("http"))
        try:
            asyncio.run(measure(url, psutil.Process(server.pid), options.clients, options.seconds))
        finally:
            server.terminate()


if __name__ == "__main__":
    main()
