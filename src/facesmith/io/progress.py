"""The progress of long tasks on a verb's console (standard error): a bar in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.text import Text

T = TypeVar("T")
FIRST_LINE_SECONDS = 5.0  # tasks that take less have no line
LINE_SECONDS = 30.0
LINE_SHARE = 0.1  # of the task; a line follows after this share, too, if FIRST_LINE_SECONDS have passed


def shows_bars(console: Console) -> bool:
    """Whether a console can show a bar that changes in place. If not, plain lines take its place.

    Log files, pipes and TERM=dumb can't. Variables such as FORCE_COLOR, which ask for color in logs, don't change that.
    """
    return not console.quiet and console.is_interactive and console.file.isatty()


def shows_lines(console: Console) -> bool:
    """Whether a console gets plain lines in place of a bar."""
    return not console.quiet and not shows_bars(console)


class LineClock:
    """Decides when a log needs its next line about a task.

    The first line is due after a few seconds, the next one after half a minute or a tenth of the task.
    """

    def __init__(self, total: int | None, done: int) -> None:
        self.total = total
        self.started = self._last_line = time.monotonic()
        self.done_at_start = self._done_at_line = done
        self.has_shown = False

    def is_due(self, done: int) -> bool:
        """Whether a line is due now that `done` of `total` items are done."""
        passed = time.monotonic() - self._last_line
        advanced = self.total is not None and done - self._done_at_line >= LINE_SHARE * self.total
        return passed >= LINE_SECONDS or (passed >= FIRST_LINE_SECONDS and (advanced or not self.has_shown))

    def shown(self, done: int) -> None:
        """Note that a line was printed now."""
        self._last_line, self._done_at_line, self.has_shown = time.monotonic(), done, True

    def rate(self, done: int) -> float:
        """Items per second since the start; 0 if there are none yet."""
        passed = time.monotonic() - self.started
        return (done - self.done_at_start) / passed if passed > 0 else 0.0


class Rate(ProgressColumn):
    """Items per second, averaged over the last seconds rather than since the start."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.1f}/s" if task.speed else "", style="progress.data.speed")


class Progress:
    """Counts the items of one task, and shows the count; a context manager.

    A terminal gets a bar with rate and remaining time. A log gets plain lines now and then, without control characters.
    A quiet console gets nothing.

    Args:
        description: of the task, such as "packing".
        total: number of items; None if it is unknown, as for a video without an index.
        done: number of items that an earlier start has done.
    """

    def __init__(self, console: Console, description: str, total: int | None, done: int = 0) -> None:
        self.console, self.description, self.total, self.done = console, description, total, done
        # The description may name a file, whose name may contain brackets.
        text = TextColumn("{task.description}", markup=False)
        columns = (text, BarColumn(), MofNCompleteColumn(), Rate(), TimeRemainingColumn())
        self._bars = Bars(*columns, console=console, transient=True, disable=not shows_bars(console))
        self._task = self._bars.add_task(description, total=total, completed=done)
        self._clock = LineClock(total, done) if shows_lines(console) else None

    def __enter__(self) -> Progress:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()
        if kind is None and self._clock is not None and self._clock.has_shown:
            seconds = time.monotonic() - self._clock.started
            self._print(f"{self.description}: {self.done:,} done, took {duration(seconds)}")

    def advance(self, items: int = 1, description: str | None = None) -> None:
        """Count more items, and optionally change the description."""
        self.done += items
        self.description = description or self.description
        self._bars.update(self._task, completed=self.done, description=self.description)
        if self._clock is not None and self.done != self.total and self._clock.is_due(self.done):
            self._print(self._line(self._clock.rate(self.done)))
            self._clock.shown(self.done)

    def _print(self, line: str) -> None:
        self.console.print(line)

    def _line(self, rate: float) -> str:
        line = f"{self.description}: {self.done:,}"
        if self.total is not None:
            line += f" of {self.total:,} ({100 * self.done // max(1, self.total)} %)"
        if rate:
            line += f", {rate:,.0f}/s" if rate >= 100 else f", {rate:.3g}/s"
        if rate and self.total is not None:
            line += f", {duration((self.total - self.done) / rate)} left"
        return line


def duration(seconds: float) -> str:
    """A duration as text, such as 40 s, 12 min or 3.5 h."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 99.5 * 60 else f"{seconds / 3600:.1f} h"


def duration_in_words(seconds: float) -> str:
    """A duration for a page, such as 40 seconds, 12 minutes or 3.5 hours."""
    if seconds < 99.5:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 99.5 * 60 else f"{seconds / 3600:.1f} hours"


def bar(items: Iterable[T], total: int, description: str, console: Console) -> Iterator[T]:
    """Yield the items, and show how many are done."""
    with Progress(console, description, total) as progress:
        for item in items:
            yield item
            progress.advance()
