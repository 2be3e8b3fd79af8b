"""How busy this machine is: what a worker tells its callers with every answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

CPU_GAIN = 0.3
"""Weight of the newest second. What a machine did in one second says little about the next, and
nodes that share it measure different seconds."""


class Tell(Protocol):
    """Who wants to know (`ServicePlane.measured`)."""

    def __call__(
        self, *, cpu: float | None, memory: float | None, loop_lag_s: float | None
    ) -> None: ...


class LoadMeter:
    """Measures when it is told to. Costs 0.2 ms: once a second is enough."""

    def __init__(
        self,
        tell: Tell,
        *,
        cpu_times: Callable[[], tuple[float, float]],
        memory: Callable[[], float],
    ) -> None:
        """`cpu_times` gives seconds of work and of everything since some moment."""
        self._tell = tell
        # Not psutil's own percentages: they share one memory in a process, and we may be several.
        self._cpu_times = cpu_times
        self._memory = memory
        self._last = self._cpu_times()
        self._cpu: float | None = None

    def measure(self, loop_lag_s: float) -> None:
        """Look at the machine, and tell."""
        busy_s, all_s = self._cpu_times()
        passed_s = all_s - self._last[1]
        if passed_s > 0:
            cpu = (busy_s - self._last[0]) / passed_s
            self._cpu = cpu if self._cpu is None else self._cpu + CPU_GAIN * (cpu - self._cpu)
        self._last = (busy_s, all_s)
        self._tell(cpu=self._cpu, memory=self._memory(), loop_lag_s=loop_lag_s)
