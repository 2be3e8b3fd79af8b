"""Honest loss is declared: who drops an envelope on its way tells the source, many in one word."""

from __future__ import annotations

from mreza.ids import NodeId
from mreza.machine import Alarm
from mreza.wire.envelope import Envelope
from mreza.wire.packet import Control, ControlKind

INTERVAL_S = 0.1
"At most ten declarations a second to one source."
SOURCES_MAX = 256
"Sources told at one time; drops for others are counted and not declared."


class _Drops:
    __slots__ = ("count", "counter", "reason", "session_id")

    def __init__(self) -> None:
        self.count = 0
        self.reason = ""
        self.session_id = 0
        self.counter = 0


class DropDeclarations:
    """Drops to be declared, by source; each source hears at most once in `INTERVAL_S`."""

    def __init__(self, alarm: Alarm | None = None) -> None:
        """`alarm` rings when somebody may be told, whoever else sets it."""
        self._alarm = alarm or Alarm()
        self._drops: dict[NodeId, _Drops] = {}
        self._quiet_until: dict[NodeId, float] = {}

    def note(self, envelope: Envelope, reason: str) -> None:
        """An envelope of another node was dropped here."""
        drops = self._drops.get(envelope.source)
        if drops is None:
            if len(self._drops) >= SOURCES_MAX:
                return
            drops = self._drops[envelope.source] = _Drops()
            self._alarm.set(self._quiet_until.get(envelope.source, 0.0))
        drops.count += 1
        drops.reason = reason
        drops.session_id = envelope.session_id
        drops.counter = envelope.counter

    def take(self, *, now: float) -> list[tuple[NodeId, Control]]:
        """Those that may be told now."""
        if not self._drops:
            return []
        self._quiet_until = {n: at for n, at in self._quiet_until.items() if now < at}
        told = [node for node in self._drops if node not in self._quiet_until]
        self._quiet_until.update(dict.fromkeys(told, now + INTERVAL_S))
        return [(node, _declaration(self._drops.pop(node))) for node in told]

    def next_deadline(self) -> float | None:
        """When the next one may be told; 0 is at once."""
        if not self._drops:
            return None
        return min(self._quiet_until.get(node, 0.0) for node in self._drops)


def _declaration(drops: _Drops) -> Control:
    return Control(
        kind=ControlKind.DROPPED,
        number=drops.counter,
        session_id=drops.session_id,
        count=drops.count,
        reason=drops.reason,
    )
