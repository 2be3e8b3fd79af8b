"""A node's own clocks: they may run too fast or slow, and the time of day may jump."""

from __future__ import annotations

from mreza.sim.agenda import Agenda

SLACK_S = 1e-6
"A timer that fires a last bit early finds nothing due, for ever."


class SkewedClock:
    """Monotonic and wall time as one node sees them."""

    __slots__ = ("_agenda", "_base", "_rate", "_since", "wall_offset_s")

    def __init__(self, agenda: Agenda) -> None:
        self._agenda = agenda
        self._since = self._base = agenda.now
        self._rate = 1.0
        self.wall_offset_s = agenda.wall - agenda.now
        "Wall time less monotonic time, both the node's own."

    def monotonic(self) -> float:
        if self._rate == 1.0 and self._base == self._since:
            return self._agenda.now
        return self._base + (self._agenda.now - self._since) * self._rate

    def wall(self) -> float:
        return self.monotonic() + self.wall_offset_s

    def true_time(self, local: float) -> float:
        """When, in the world's time, this clock shows `local`, and not a last bit less."""
        if self._rate == 1.0 and self._base == self._since:
            return local
        return self._since + (local - self._base) / self._rate + SLACK_S

    @property
    def rate(self) -> float:
        """Seconds of this clock in one second; monotonic time never goes back."""
        return self._rate

    @rate.setter
    def rate(self, rate: float) -> None:
        if rate <= 0:
            raise ValueError(f"a monotonic clock cannot run at {rate} of true")
        self._base, self._since = self.monotonic(), self._agenda.now
        self._rate = rate

    def jump(self, seconds: float) -> None:
        """Somebody set the time of day."""
        self.wall_offset_s += seconds
