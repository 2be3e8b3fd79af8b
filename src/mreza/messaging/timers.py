"""Deadlines of many things of which few have one: a heap that is corrected when its top comes due.

A deadline that moves later costs nothing; whoever asks early is told so when it is looked at.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from mreza.machine import Alarm

K = TypeVar("K", bound=Hashable)


class Timers(Generic[K]):
    """When to look at which key. May fire early, never late."""

    def __init__(self, alarm: Alarm | None = None) -> None:
        """`alarm` rings when the first look is due, whoever else sets it."""
        self._alarm = alarm or Alarm()
        self._heap: list[tuple[float, int, K]] = []
        self._at: dict[K, float] = {}
        self._order = itertools.count()

    def set(self, key: K, at: float | None) -> None:
        """Look at `key` by then at the latest; None asks for nothing."""
        if at is None:
            return
        scheduled = self._at.get(key)
        if scheduled is None or at < scheduled:
            self._at[key] = at
            self._alarm.set(at)
            heapq.heappush(self._heap, (at, next(self._order), key))

    def due(self, deadline_of: Callable[[K], float | None], *, now: float) -> list[K]:
        """The keys whose deadline has come, in order; of the others, the look is put off."""
        due: list[K] = []
        while self._heap and self._heap[0][0] <= now:
            at, _, key = heapq.heappop(self._heap)
            if self._at.get(key) != at:
                continue
            del self._at[key]
            deadline = deadline_of(key)
            if deadline is None:
                continue
            if deadline <= now:
                due.append(key)
            else:
                self.set(key, deadline)
        return due

    def next_deadline(self) -> float | None:
        return self._heap[0][0] if self._heap else None
