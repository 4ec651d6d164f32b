"""Signals that stop a command: Ctrl-C, SIGTERM, SIGHUP from a closed terminal, and SIGUSR1 from Slurm."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

IMPORT_SYSTEM = "<frozen importlib"  # the beginning of its file names, in the frames of a program that imports
RETRY_SECONDS = 0.05
STOP_SIGNAL_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1")  # Windows lacks some; schedulers send the last one
STOP_SIGNALS = [getattr(signal, name) for name in STOP_SIGNAL_NAMES if hasattr(signal, name)]


class Interrupted(KeyboardInterrupt):
    """A stop signal has arrived.

    A KeyboardInterrupt itself makes CPython end as if by SIGINT, whatever the exit code, if C code that runs a string
    of Python has passed it on. A subclass does not.
    """


class StopHandler:
    """A handler of stop signals that remembers the last one.

    Attributes:
        received: the number of the last signal; SIGINT if there was none.
    """

    def __init__(self, function: Callable[[int, FrameType | None], None]) -> None:
        self.function = function
        self.replaced: dict[int, Any] = {}  # the handlers that were in place before, by signal
        self.received: int = signal.SIGINT

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self._remember(number)
        self.function(number, frame)

    @property
    def exit_code(self) -> int:
        """The exit code of a program that the last signal stopped: 130 for SIGINT, as shells count them."""
        return 128 + self.received

    def _remember(self, number: int) -> None:
        """Remember a signal here and in the handlers around this one, so that the program's exit code names it."""
        self.received = number
        if isinstance(outer := self.replaced.get(number), StopHandler):
            outer._remember(number)


@contextmanager
def handling_stop_signals(function: Callable[[int, FrameType | None], None]) -> Iterator[StopHandler]:
    """Call `function` for each stop signal while the block runs.

    Signals but SIGINT stay ignored if they are: `nohup` ignores SIGHUP, so that work continues after a logout. Does
    nothing outside the main thread, which alone can handle signals.
    """
    handler = StopHandler(function)
    if threading.current_thread() is not threading.main_thread():
        yield handler
        return
    numbers = [n for n in STOP_SIGNALS if n == signal.SIGINT or signal.getsignal(n) is not signal.SIG_IGN]
    handler.replaced = {number: signal.getsignal(number) for number in numbers}
    for number in numbers:
        signal.signal(number, handler)
    try:
        yield handler
    finally:
        for number, earlier in handler.replaced.items():
            signal.signal(number, earlier)


def interrupt(number: int, frame: FrameType | None) -> None:
    """Stops a command as Ctrl-C does.

    While a module is imported, the signal waits. An exception would leave the module half loaded, and what is done on
    the way out would fail on it: numpy, for example, can't be loaded twice.
    """
    if not _is_importing(frame):
        raise Interrupted
    retry = threading.Timer(RETRY_SECONDS, _send_again, [number])
    retry.daemon = True
    retry.start()


def _send_again(number: int) -> None:
    """Send a signal to this process. On Windows, `os.kill` would end it without calling a handler."""
    if os.name == "nt":
        signal.raise_signal(number)
    else:
        os.kill(os.getpid(), number)


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith(IMPORT_SYSTEM):
            return True
        frame = frame.f_back
    return False
