"""Where records wait for the introduction of their origin, without which they cannot be checked."""

from __future__ import annotations

from typing import Generic, TypeVar

from mreza.ids import NodeId

WAITING_MAX = 1024
"Records in all. Their signatures are unchecked, so this bounds what a liar can make us keep."
WAITING_PER_ORIGIN_MAX = 16
WAITING_BYTES_MAX = 1024 * 1024

T = TypeVar("T")


class WaitingRoom(Generic[T]):
    """Bounded; when full, the records of the origin that waits longest give way.

    They come again in the next synchronisation.
    """

    def __init__(self) -> None:
        self._items: dict[NodeId, list[tuple[T, int]]] = {}
        self._count = 0
        self._bytes = 0

    def __len__(self) -> int:
        return self._count

    def put(self, origin: NodeId, item: T, *, size: int) -> int:
        """Keep an item; returns how many others had to give way."""
        items = self._items.setdefault(origin, [])
        items.append((item, size))
        self._count += 1
        self._bytes += size
        lost = 0
        if len(items) > WAITING_PER_ORIGIN_MAX:
            self._bytes -= items.pop(0)[1]
            self._count -= 1
            lost = 1
        while self._count > WAITING_MAX or self._bytes > WAITING_BYTES_MAX:
            lost += len(self.take(next(iter(self._items))))
        return lost

    def take(self, origin: NodeId) -> list[T]:
        """All that waited for this origin, oldest first."""
        items = self._items.pop(origin, [])
        self._count -= len(items)
        self._bytes -= sum(size for _, size in items)
        return [item for item, _ in items]
