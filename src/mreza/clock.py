"""The two times a node knows. Machines get them as arguments and never ask."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Source of time; `mreza.io.clock` has the real one, tests a virtual one."""

    def monotonic(self) -> float:
        """Seconds that never go back, for intervals and deadlines."""
        ...

    def wall(self) -> float:
        """Seconds since 1970 UTC, for certificates and for people; may jump."""
        ...
