"""What every protocol of the mesh looks like: inputs with `now`, effects out, one next deadline."""

from __future__ import annotations

import math
from typing import Protocol

NEVER = math.inf


class Machine(Protocol):
    """A protocol without I/O (sans-IO). A driver tells it things, then reads what it wants done."""

    def next_deadline(self) -> float | None:
        """Monotonic time at which `advance` must be called at the latest, or None."""
        ...

    def advance(self, *, now: float) -> None:
        """Do what has become due."""
        ...


class Alarm:
    """The earliest time that any of several machines has set: until then none has anything to do.

    May ring early, when that machine has changed its mind; whoever is called asks all of them, and
    sets the alarm anew.
    """

    __slots__ = ("at",)

    def __init__(self) -> None:
        self.at = -NEVER
        "It rings at once: nobody has been asked yet."

    def set(self, at: float) -> None:
        """Ring then, if not before."""
        if at >= self.at:
            return
        self.at = at


def earliest(*deadlines: float | None) -> float | None:
    """The first of several deadlines, None standing for 'never'."""
    known = [deadline for deadline in deadlines if deadline is not None]
    return min(known) if known else None
