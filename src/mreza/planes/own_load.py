"""How busy this node is: what every answer of ours says."""

from __future__ import annotations

from mreza.wire.packet import Load


class OwnLoad:
    """The last measurement of the machine."""

    def __init__(self) -> None:
        self._cpu: int | None = None
        self._memory: int | None = None
        self._loop_lag_us: int | None = None

    def measured(
        self, *, cpu: float | None, memory: float | None, loop_lag_s: float | None
    ) -> None:
        """How busy the machine is (shares from 0 to 1) and how late its loop."""
        self._cpu = None if cpu is None else _per_mille(cpu)
        self._memory = None if memory is None else _per_mille(memory)
        self._loop_lag_us = None if loop_lag_s is None else max(0, round(loop_lag_s * 1e6))

    def told(self, *, in_flight: int, capacity: int) -> Load | None:
        """For an answer, with so many requests here; None while there is no place for any."""
        if not capacity:
            return None
        return Load(in_flight, capacity, self._cpu, self._memory, self._loop_lag_us)


def _per_mille(share: float) -> int:
    return min(1000, max(0, round(share * 1000)))
