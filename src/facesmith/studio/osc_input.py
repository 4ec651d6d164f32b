"""Receives OSC messages (Open Sound Control), with which music programs and controllers move the sliders of the page.

It listens on the loopback address only. The page decides what an address means; see `routes_osc.py`.
"""

from __future__ import annotations

import asyncio
import math
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

LOOPBACK = "127.0.0.1"
POLL_SECONDS = 0.1  # how often the thread looks whether it should stop
MAX_ADDRESSES = 256  # of messages that wait for one page
MAX_ADDRESS_LENGTH, MAX_VALUES, MAX_TEXT_LENGTH = 200, 16, 200
Values = list[float | str | bool]


class OscMessages:
    """What one page has not received yet: the newest message of each address, oldest address first."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop, self._waiting = loop, asyncio.Event()
        self._newest: dict[str, Values] = {}

    def add(self, address: str, values: Values) -> None:
        """Add a message, or replace an older one of this address. The receiving thread calls it."""
        self._loop.call_soon_threadsafe(self._add, address, values)

    def _add(self, address: str, values: Values) -> None:
        if address in self._newest or len(self._newest) < MAX_ADDRESSES:
            self._newest[address] = values
        self._waiting.set()

    async def next(self, timeout_seconds: float) -> dict[str, Values]:
        """Wait for messages, and return values by address; empty after the timeout."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._waiting.wait()
        except TimeoutError:
            return {}
        self._waiting.clear()
        newest, self._newest = self._newest, {}
        return newest


class OscInput:
    """A thread that receives messages. `close` stops it.

    Args:
        port: 0 chooses a free one.

    Raises:
        ImportError: python-osc is not installed.
        OSError: the port is not available.
    """

    def __init__(self, port: int) -> None:
        from pythonosc.dispatcher import Dispatcher
        from pythonosc.osc_server import BlockingOSCUDPServer

        dispatcher = Dispatcher(strict_timing=False)  # otherwise it sleeps until the time of a message
        dispatcher.set_default_handler(self._receive)
        self._pages: set[OscMessages] = set()
        self._server: socketserver.BaseServer = BlockingOSCUDPServer((LOOPBACK, port), dispatcher)
        self._server.handle_error = _ignore  # type: ignore[method-assign,assignment] # damaged ones
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(POLL_SECONDS,), name="osc", daemon=True
        )
        self._thread.start()

    @contextmanager
    def page(self) -> Iterator[OscMessages]:
        """Return the messages for one page. Call it in the event loop."""
        messages = OscMessages(asyncio.get_running_loop())
        self._pages = self._pages | {messages}
        try:
            yield messages
        finally:
            self._pages = self._pages - {messages}

    def close(self) -> None:
        """Stop receiving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _receive(self, address: str, *values: Any) -> None:
        accepted = [value for value in values[:MAX_VALUES] if _is_plain(value)]
        if len(address) <= MAX_ADDRESS_LENGTH and address.isprintable():
            for page in self._pages:
                page.add(address, accepted)


def _is_plain(value: object) -> bool:
    """Return whether a value can be sent to the page: a finite number, a truth value or a short text."""
    if isinstance(value, str):
        return len(value) <= MAX_TEXT_LENGTH
    return isinstance(value, int | float) and math.isfinite(value)


def _ignore(*_: object) -> None:
    pass
