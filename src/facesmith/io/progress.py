"""Progress bars with rate and remaining time, on a verb's console (standard error)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

T = TypeVar("T")


class Rate(ProgressColumn):
    """Items per second, averaged over the last seconds rather than since the start."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.1f}/s" if task.speed else "", style="progress.data.speed")


def progress(console: Console) -> Progress:
    """A progress bar that the caller updates. Invisible if the console is quiet or not a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Rate(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True, disable=console.quiet or not console.is_terminal)


def bar(items: Iterable[T], total: int, description: str, console: Console) -> Iterator[T]:
    """Yield the items and advance a progress bar with each."""
    with progress(console) as bars:
        yield from bars.track(items, total=total, description=description)
