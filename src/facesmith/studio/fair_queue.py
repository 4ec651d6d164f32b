"""A queue in which clients take turns, so that one client with many requests does not delay the others."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class FairQueue(Generic[T]):
    """First in, first out for each client; the clients take turns. Not thread-safe: the caller holds a lock."""

    def __init__(self) -> None:
        self._queues: OrderedDict[str, deque[T]] = OrderedDict()  # by client; the next client is first

    def append(self, client: str, item: T) -> None:
        """Add an item of a client."""
        self._queues.setdefault(client, deque()).append(item)

    def pop(self, fits: Callable[[T], bool] = lambda _: True) -> T | None:
        """Remove and return the oldest item of the next client, whose turn is then over; None if there is no item.

        Args:
            fits: clients whose oldest item does not fit keep their turn.
        """
        for client, queue in self._queues.items():
            if fits(queue[0]):
                item = queue.popleft()
                self._queues.move_to_end(client)
                if not queue:
                    del self._queues[client]
                return item
        return None

    def remove(self, unwanted: Callable[[T], bool]) -> None:
        """Remove all items for which `unwanted` returns True."""
        kept = {client: deque(item for item in queue if not unwanted(item)) for client, queue in self._queues.items()}
        self._queues = OrderedDict((client, queue) for client, queue in kept.items() if queue)

    def count(self, client: str) -> int:
        """Return the number of items of a client."""
        return len(self._queues.get(client, ()))

    def __iter__(self) -> Iterator[T]:
        """Yield the items in the order in which `pop` would return them."""
        queues = [list(queue) for queue in self._queues.values()]
        for place in range(max(map(len, queues), default=0)):
            yield from (queue[place] for queue in queues if place < len(queue))

    def __len__(self) -> int:
        return sum(map(len, self._queues.values()))
