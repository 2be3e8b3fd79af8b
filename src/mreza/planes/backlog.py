"""Records that wait for a check: each peer has a line of its own, and lines take turns.

A check costs time, so a peer that sends more than can be checked waits for itself, and nobody else
waits for it. When all lines together are full, the longest gives way.
"""

from __future__ import annotations

from typing import Generic, Protocol, TypeVar

from mreza.ids import NodeId
from mreza.records.database import Slot
from mreza.wire.records import AgedRecord, RecordKind

BACKLOG_MAX = 8192
"Records that wait for a check. A mesh of 1,000 nodes has 2,000."
BACKLOG_BYTES_MAX = 16 * 1024 * 1024


class Waits(Protocol):
    """A record, who sent it, and the memory it takes."""

    @property
    def aged(self) -> AgedRecord: ...
    @property
    def peer(self) -> NodeId | None: ...
    @property
    def size(self) -> int: ...


T = TypeVar("T", bound=Waits)


class _Line(Generic[T]):
    __slots__ = ("introductions", "others", "size")

    def __init__(self) -> None:
        self.introductions: dict[Slot, T] = {}
        self.others: dict[Slot, T] = {}
        self.size = 0

    def of(self, kind: int) -> dict[Slot, T]:
        return self.introductions if kind == RecordKind.INTRODUCTION else self.others

    def __bool__(self) -> bool:
        return bool(self.introductions or self.others)


class Backlog(Generic[T]):
    """At most one record for each (peer, origin, kind, key): the newest."""

    def __init__(self) -> None:
        self._lines: dict[NodeId | None, _Line[T]] = {}
        "The one whose turn it is comes first."
        self._count = 0
        self.size = 0
        "Bytes of all that waits."

    # Inputs

    def put(self, item: T) -> int:
        """Let it wait; how many records were given up for want of room, this one included."""
        record = item.aged.record
        line = self._lines.get(item.peer)
        if line is None:
            line = self._lines[item.peer] = _Line()
        queue = line.of(record.kind)
        old = queue.get(record.slot)
        if old is not None and old.aged.record.version > record.version:
            return 0
        queue[record.slot] = item
        self._count += old is None
        self._grow(line, item.size - (0 if old is None else old.size))
        dropped = 0
        while self._count > BACKLOG_MAX or self.size > BACKLOG_BYTES_MAX:
            longest = max(self._lines, key=lambda peer: self._lines[peer].size)
            full = self._lines[longest]
            # Its newest: of what it sent, too, the older keeps its place.
            self._remove(longest, full.others or full.introductions, last=True)
            dropped += 1
        return dropped

    def take(self) -> T:
        """The next of the line whose turn it is, introductions first."""
        peer, line = next(iter(self._lines.items()))
        item = self._remove(peer, line.introductions or line.others)
        if line:
            self._lines[peer] = self._lines.pop(peer)
        return item

    def drop(self, peer: NodeId) -> None:
        """Forget all that this peer sent."""
        line = self._lines.pop(peer, None)
        if line is not None:
            self._count -= len(line.introductions) + len(line.others)
            self.size -= line.size

    # Outputs

    def __len__(self) -> int:
        return self._count

    def __bool__(self) -> bool:
        return bool(self._lines)

    def get(self, peer: NodeId | None, slot: Slot) -> T | None:
        """What waits there."""
        line = self._lines.get(peer)
        return None if line is None else line.of(slot[1]).get(slot)

    # Rules

    def _remove(self, peer: NodeId | None, queue: dict[Slot, T], *, last: bool = False) -> T:
        line = self._lines[peer]
        item = queue.popitem()[1] if last else queue.pop(next(iter(queue)))
        self._count -= 1
        self._grow(line, -item.size)
        if not line:
            del self._lines[peer]
        return item

    def _grow(self, line: _Line[T], more: int) -> None:
        line.size += more
        self.size += more
