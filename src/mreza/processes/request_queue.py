"""The line in front of one process."""

from __future__ import annotations

from collections import deque

from mreza.qos import Priority

LOW_EVERY = 8
"Every so many, the lowest waiting priority is served first, so that it never starves."


class RequestQueue:
    """Ids of requests that wait, at most `limit`. Higher priorities first; equal ones as they came.

    When it is full, `put` refuses: the requester hears `Overloaded` and can ask another node.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lines: tuple[deque[int], ...] = tuple(deque() for _ in Priority)
        self._served = 0
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def put(self, request: int, *, priority: int) -> bool:
        """Join the line; False: it is full."""
        if self._length >= self._limit:
            return False
        self._lines[priority].append(request)
        self._length += 1
        return True

    def take(self) -> int | None:
        """The next one, or None."""
        waiting = [line for line in self._lines if line]
        if not waiting:
            return None
        self._served += 1
        self._length -= 1
        return waiting[0 if self._served % LOW_EVERY == 0 else -1].popleft()

    def remove(self, request: int, *, priority: int) -> None:
        """Leave the line."""
        self._lines[priority].remove(request)
        self._length -= 1

    def clear(self) -> list[int]:
        """Send all away; who they were."""
        gone = [request for line in self._lines for request in line]
        for line in self._lines:
            line.clear()
        self._length = 0
        return gone
