"""The line in front of one process."""

from __future__ import annotations

from collections import deque

from mreza.ids import NodeId
from mreza.qos import Priority

LOW_EVERY = 8
"Every so many, the lowest waiting priority is served first, so that it never starves."


LOW_GAIN = 1 / 16
"Weight of a new turn in the share of LOW."


class RequestQueue:
    """Ids of requests that wait, at most `limit`. Higher priorities first.

    Within a priority requesters take turns, and each one's requests keep their order: who asks much
    waits for itself, and nobody else waits for it. When it is full, `put` refuses, unless somebody
    can be found who gives way.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lines: tuple[dict[NodeId, deque[int]], ...] = tuple({} for _ in Priority)
        "For each priority the requesters; the one whose turn it is comes first."
        self._served = 0
        self._length = 0
        self.low_share = 1.0
        "Of the turns for which LOW waited lately, how many it got."

    def __len__(self) -> int:
        return self._length

    @property
    def is_full(self) -> bool:
        return self._length >= self._limit

    def put(self, request: int, *, requester: NodeId, priority: int) -> bool:
        """Join the line; False: it is full."""
        if self._length >= self._limit:
            return False
        line = self._lines[priority]
        mine = line.get(requester)
        if mine is None:
            line[requester] = deque((request,))
        else:
            mine.append(request)
        self._length += 1
        return True

    @property
    def low(self) -> int:
        """How many of LOW wait."""
        return sum(len(theirs) for theirs in self._lines[Priority.LOW].values())

    def take(self) -> int | None:
        """The next one, or None."""
        waiting = [line for line in self._lines if line]
        if not waiting:
            return None
        self._served += 1
        line = waiting[0 if self._served % LOW_EVERY == 0 else -1]
        low = self._lines[Priority.LOW]
        if low:
            self.low_share += LOW_GAIN * ((line is low) - self.low_share)
        requester = next(iter(line))
        theirs = line.pop(requester)
        request = theirs.popleft()
        if theirs:
            line[requester] = theirs
        self._length -= 1
        return request

    def who_gives_way(self, *, requester: NodeId, priority: int) -> int | None:
        """The request that has less right to wait than one more of `requester`, if there is one.

        That is one of a lower priority, or one of a requester that has at least two more of the
        same; of these the newest of who has most.
        """
        lowest = next((rank for rank, line in enumerate(self._lines) if line), None)
        if lowest is None or lowest > priority:
            return None
        line = self._lines[lowest]
        fullest = max(line, key=lambda node: len(line[node]))
        if lowest == priority and len(line[fullest]) < len(line.get(requester, ())) + 2:
            return None
        return line[fullest][-1]

    def remove(self, request: int, *, requester: NodeId, priority: int) -> None:
        """Leave the line."""
        line = self._lines[priority]
        line[requester].remove(request)
        if not line[requester]:
            del line[requester]
        self._length -= 1

    def clear(self) -> list[int]:
        """Send all away; who they were."""
        gone = [request for line in self._lines for theirs in line.values() for request in theirs]
        for line in self._lines:
            line.clear()
        self._length = 0
        return gone
