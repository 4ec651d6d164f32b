"""How the studio answers many clients at once: python benchmarks/studio_load.py [MODEL]

Starts a studio and measures, over the loopback interface:

1. the page in Chromium, if Playwright is installed: its first paint, and a slider until its picture is visible;
2. one client alone that drags a slider, with the requests that pages send;
3. 30 clients that draw walls of 48 faces for 30 seconds, over 6 connections each, while one more drags a slider;
4. 30 clients that send a photo each at the same time, to be inverted.

Takes a few minutes on an idle machine. Prints the Markdown table of docs/reference/studio.md, how much the memory of
the studio grew, and which targets were missed; then its exit status is 1. The photo is a generated face.
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
from collections.abc import AsyncIterator, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

import facesmith
from facesmith.pictures.images import png_bytes

CHROMIUM = Path("/usr/bin/chromium")
CHROMIUM_FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
PAGE_LOADS, SLIDER_STEPS = 10, 60
DRAG_SLIDER = """
async (steps) => {
  const slider = document.querySelector('.sliders input[type=range]');
  const picture = document.querySelector('.after img');
  const seconds = [];
  for (let i = 1; i <= steps; i++) {
    const start = performance.now();
    const shown = new Promise((resolve) => picture.addEventListener('load', resolve, { once: true }));
    slider.value = String(i / 10 - 3);
    slider.dispatchEvent(new Event('input'));
    await shown;
    await picture.decode();
    seconds.push((performance.now() - start) / 1000);
  }
  return seconds;
}
"""
SLIDER, SLIDER_IN_PAGE, PAINT = (
    "slider, alone",
    "slider in the page, until its picture is visible",
    "first paint of the page",
)
FIRST_FACE, INVERSION = "first face of a wall", "inversion of a photo, with the time in the queue"
MAX_GROWTH_MIB = 32.0
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


def measure_page(url: str) -> dict[str, list[float]]:
    """Seconds until the first paint in new browser profiles, and from a slider in Edit to its picture."""
    from playwright.sync_api import sync_playwright

    paints = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(CHROMIUM_FLAGS))
        for _ in range(PAGE_LOADS):
            page = browser.new_context().new_page()
            page.goto(url)
            page.wait_for_selector(".wall img.loaded")
            paint = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
            paints.append(page.evaluate(paint) / 1000)
            page.context.close()
        page = browser.new_context().new_page()
        page.goto(f"{url}#edit?face=7")
        page.wait_for_selector(".after img.loaded")
        drags = page.evaluate(DRAG_SLIDER, SLIDER_STEPS)
        browser.close()
    return {PAINT: paints, SLIDER_IN_PAGE: drags}


class Report:
    """Prints the rows of the table, and remembers the targets that were missed."""

    def __init__(self) -> None:
        self.missed: list[str] = []
        print("| what | median | 95 % | longest |\n|---|---|---|---|", flush=True)

    def add(self, name: str, seconds: Sequence[float], median: float = np.inf, high: float = np.inf) -> None:
        """Print a row. `median` and `high` are the targets in seconds for the median and for 95 %."""
        measured = np.percentile(seconds, [50, 95, 100])
        print(f"| {name} | {' | '.join(map(_text, measured))} |", flush=True)
        for part, value, target in zip(("median", "95 %"), measured, (median, high), strict=False):
            self.check(f"{name}, {part}: {_text(value)}, target {_text(target)}", value <= target)

    def check(self, name: str, reached: bool) -> None:
        """Remember a target that was missed."""
        self.missed += [] if reached else [name]


def slider_targets(resolution: int) -> tuple[float, float]:
    """Targets in seconds, for the median and for 95 %."""
    return (0.06, 0.12) if resolution <= 64 else (np.inf, 0.2)


def _text(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.2g} s"


async def measure(url: str, process: psutil.Process, clients: int, seconds: float, report: Report) -> None:
    host, port = url.removeprefix("http://").rstrip("/").split(":")
    everyone = [Client(host, int(port)) for _ in range(clients)]
    slider = Client(host, int(port))
    facts = json.loads(await slider.get(await slider.connection(), "/api/models"))["models"][0]
    model = facts["id"]
    report.add(SLIDER, await drag_slider(slider, model, time.monotonic() + 5), *slider_targets(facts["resolution"]))

    until = time.monotonic() + seconds
    work = asyncio.gather(drag_slider(slider, model, until), *(draw_walls(client, model, until) for client in everyone))
    await asyncio.sleep(seconds / 3)  # by then all caches are filled
    before = process.memory_info().rss
    dragged, *walls = await work
    growth_mib = (process.memory_info().rss - before) / 2**20
    everything = [wall for of_client in walls for wall in of_client]
    report.add(f"slider, while {clients} clients draw walls", dragged, high=1.5)
    report.add(FIRST_FACE, [first for first, _ in everything], high=4)
    report.add(f"whole wall of {WALL_FACES} faces", [last for _, last in everything])
    fewest = min(map(len, walls))
    report.check("a client finished no wall", fewest > 0)
    report.check(f"memory grew by {growth_mib:.0f} MiB", growth_mib < MAX_GROWTH_MIB)

    # A photo of 512 pixels, so that the face fills half of it.
    face = Image.fromarray(facesmith.load().sample([3], psi=0.6)[0]).resize((256, 256), Image.Resampling.LANCZOS)
    canvas = np.full((512, 512, 3), 128, np.uint8)
    canvas[128:384, 128:384] = np.asarray(face)
    photo = png_bytes(canvas)
    dragging = asyncio.create_task(drag_slider(slider, model, time.monotonic() + 10))
    results = await asyncio.gather(*(invert(client, model, photo) for client in everyone))
    report.add(f"slider, while {clients} photos are inverted", await dragging, high=1.5)
    report.add(INVERSION, [duration for duration, _, _ in results])
    finished, messages = sum(done for _, _, done in results), sum(count for _, count, _ in results)
    report.check(f"{clients - finished} inversions did not finish", finished == clients)
    report.check("no message about the queue", messages > 0 or clients <= 2)
    print(f"\n{finished} of {clients} inversions finished, after {messages} messages about the queue.")
    print(f"Walls of the slowest client: {fewest}. Memory grew by {growth_mib:.1f} MiB.")


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
        report = Report()
        try:
            if CHROMIUM.exists() and find_spec("playwright"):
                page, resolution = measure_page(url), facesmith.load(options.model).G.resolution
                report.add(PAINT, page[PAINT], median=0.6)
                report.add(SLIDER_IN_PAGE, page[SLIDER_IN_PAGE], *slider_targets(resolution))
            asyncio.run(measure(url, psutil.Process(server.pid), options.clients, options.seconds, report))
        finally:
            server.terminate()
    print("\n".join(f"Missed: {each}" for each in report.missed) or "All targets are reached.")
    sys.exit(bool(report.missed))


if __name__ == "__main__":
    main()
