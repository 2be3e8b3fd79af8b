"""What every protocol of the mesh looks like: inputs with `now`, effects out, one next deadline."""

from __future__ import annotations

from typing import Protocol


class Machine(Protocol):
    """A protocol without I/O (sans-IO). A driver tells it things, then reads what it wants done."""

    def next_deadline(self) -> float | None:
        """Monotonic time at which `advance` must be called at the latest, or None."""
        ...

    def advance(self, *, now: float) -> None:
        """Do what has become due."""
        ...


def earliest(*deadlines: float | None) -> float | None:
    """The first of several deadlines, None standing for 'never'."""
    known = [deadline for deadline in deadlines if deadline is not None]
    return min(known) if known else None
