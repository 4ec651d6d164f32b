"""Progress bars, with rate and time left, on the console that a verb was given (standard error)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

T = TypeVar("T")


class Rate(ProgressColumn):
    """Things a second, over the last seconds rather than from the start."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.1f}/s" if task.speed else "", style="progress.data.speed")


def progress(console: Console) -> Progress:
    """A bar with count, rate and time left; draws nothing where the console is quiet or no terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Rate(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True, disable=console.quiet or not console.is_terminal)


def bar(things: Iterable[T], total: int, what: str, console: Console) -> Iterator[T]:
    """The same things, with a bar that moves as they are taken."""
    with progress(console) as shown:
        yield from shown.track(things, total=total, description=what)
