"""Virtual time: what happens when. At one instant, what was entered first goes first."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any

START_S = 1000.0
"Monotonic time at which a world begins: no machine may take 0 for 'never'."
WALL_START_S = 1_800_000_000.0
"Seconds since 1970 at that moment."

INSTANT_MAX = 200_000
"Things at one instant. More: somebody asks for a deadline that has passed, again and again."

Entry = tuple[float, int, Callable[..., None], tuple[Any, ...]]


def tick(seconds: float) -> float:
    """A span rounded to microseconds, so that no machine's last bit of a logarithm shows."""
    return round(seconds, 6)


class NeverAtRest(Exception):
    """An instant that does not end: a machine is busy without time going on."""


class Agenda:
    """A clock and a heap of what is to come. Idle time costs nothing."""

    __slots__ = ("_entries", "_order", "now", "steps")

    def __init__(self) -> None:
        self.now = START_S
        self.steps = 0
        "Things that have happened."
        self._entries: list[Entry] = []
        self._order = 0

    @property
    def wall(self) -> float:
        """True time of day."""
        return self.now + (WALL_START_S - START_S)

    def after(self, delay_s: float, action: Callable[..., None], *arguments: Any) -> None:
        """Do something so many seconds from now."""
        self.at(self.now + delay_s, action, *arguments)

    def at(self, when: float, action: Callable[..., None], *arguments: Any) -> None:
        """Do something at that time, or at the end of this instant if that has passed."""
        self._order += 1
        heapq.heappush(self._entries, (max(when, self.now), self._order, action, arguments))

    def next_at(self) -> float | None:
        """When the next thing happens."""
        return self._entries[0][0] if self._entries else None

    def instant(self, *, until: float) -> bool:
        """Let everything of the next instant happen; False if there is none up to `until`."""
        entries = self._entries
        if not entries or entries[0][0] > until:
            return False
        self.now = now = entries[0][0]
        last = self.steps + INSTANT_MAX
        while entries and entries[0][0] <= now:
            _, _, action, arguments = heapq.heappop(entries)
            self.steps += 1
            if self.steps > last:
                raise NeverAtRest(f"{INSTANT_MAX} things at {now - START_S:.6f} s, last {action}")
            action(*arguments)
        return True
