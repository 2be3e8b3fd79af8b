"""How busy this machine is: what a worker tells its callers with every answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

CPU_GAIN = 0.3
"""Weight of the newest second. What a machine did in one second says little about the next, and
nodes that share it measure different seconds."""
SAMPLES_MIN = 3
"Before, it only knows how busy its own start has made the machine."


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
        self._cpu = 0.0
        self._samples = 0

    def measure(self, loop_lag_s: float) -> None:
        """Look at the machine, and tell."""
        busy_s, all_s = self._cpu_times()
        passed_s = all_s - self._last[1]
        if passed_s > 0:
            cpu = (busy_s - self._last[0]) / passed_s
            self._samples += 1
            self._cpu += max(CPU_GAIN, 1.0 / self._samples) * (cpu - self._cpu)
        self._last = (busy_s, all_s)
        cpu_known = self._cpu if self._samples >= SAMPLES_MIN else None
        self._tell(cpu=cpu_known, memory=self._memory(), loop_lag_s=loop_lag_s)
