"""Many deadlines of which most are withdrawn in time."""

from __future__ import annotations

import heapq

from mreza.machine import Alarm

_SLACK = 64


class Deadlines:
    """Number → monotonic time. Withdrawing is cheap; the heap stays below twice what is set."""

    def __init__(self, alarm: Alarm | None = None) -> None:
        """`alarm` rings when the first one comes, whoever else sets it."""
        self._alarm = alarm or Alarm()
        self._at: dict[int, float] = {}
        self._heap: list[tuple[float, int]] = []

    def __len__(self) -> int:
        return len(self._at)

    def set(self, number: int, at: float) -> None:
        """Be reminded of `number` at this time, instead of any time set before."""
        self._at[number] = at
        self._alarm.set(at)
        heapq.heappush(self._heap, (at, number))
        if len(self._heap) > 2 * len(self._at) + _SLACK:
            self._heap = [(at, number) for number, at in self._at.items()]
            heapq.heapify(self._heap)

    def discard(self, number: int) -> None:
        """No reminder any more."""
        self._at.pop(number, None)

    def next(self) -> float | None:
        """The earliest, or None."""
        heap = self._heap
        while heap and self._at.get(heap[0][1]) != heap[0][0]:
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def take_due(self, *, now: float) -> list[int]:
        """Numbers whose time has come, earliest first; they are set no longer."""
        due: list[int] = []
        while (at := self.next()) is not None and at <= now:
            _, number = heapq.heappop(self._heap)
            del self._at[number]
            due.append(number)
        return due
