"""The real liveness machine at both ends of a simulated link, with real probes between them.

By default a world models what this machine would find out (`mreza.sim.network`): ten probes a
second and link cost more than all that a mesh at rest does. With `World(liveness="real")` they are
sent, for tests of patience, jitter and lateness.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from mreza.link.liveness import Liveness
from mreza.link.rtt import RoundTripTime, stamp_us
from mreza.sim.agenda import Agenda
from mreza.wire.frame import FrameType
from mreza.wire.link import PROBE, Probe

if TYPE_CHECKING:
    from mreza.config.link import LinkConfig
    from mreza.sim.link import Way

UsableChanged = Callable[["Way", bool], None]
Over = Callable[["Way"], None]
_PRIORITY = 3


class Probing:
    """What one end of a connection knows of the other. The end is the source of `way`."""

    def __init__(
        self,
        way: Way,
        *,
        config: LinkConfig,
        agenda: Agenda,
        usable_changed: UsableChanged,
        over: Over,
    ) -> None:
        self._way = way
        self._agenda = agenda
        self._usable_changed = usable_changed
        self._over = over
        self._liveness = Liveness(config=config, now=self._now)
        self._usable = True
        self._echo_us = 0
        self._echo_at = 0.0
        self._timer_at: float | None = None
        way.rtt = RoundTripTime()
        self.advance()

    # Inputs.

    def heard(self, kind: int, body: bytes) -> None:
        """A frame came from the peer."""
        now = self._now
        self._liveness.heard(now=now)
        if kind == FrameType.PROBE:
            probe = PROBE.decode(body)
            self._echo_us, self._echo_at = probe.stamp_us, now
            self._liveness.probe_heard(next_s=probe.next_us / 1e6, hears=probe.hears, now=now)
            if self._usable and self._way.rtt.echoed(
                echo_us=probe.echo_us, held_us=probe.held_us, now=now
            ):
                self._way.source.link_measured(self._way, rtt_s=self._way.rtt.smoothed_s or 0.0)
        self._conclude()

    def carry(self, *, routes: bool) -> None:
        """Whether routes of this end lead over the link."""
        self._liveness.carry(routes=routes, now=self._now)
        self._arm()

    def advance(self) -> None:
        """Pass a verdict, and probe if it is time."""
        now = self._now
        self._liveness.advance(now=now)
        if self._liveness.is_over(now=now):
            self._over(self._way)
            return
        self._conclude()

    # Rules.

    @property
    def _now(self) -> float:
        return self._way.source.clock.monotonic()

    def _conclude(self) -> None:
        if self._liveness.probe_due(now=self._now):
            self._probe()
        usable = self._liveness.usable
        if usable != self._usable:
            self._usable = usable
            self._usable_changed(self._way, usable)
        self._arm()

    def _probe(self) -> None:
        now = self._now
        held_us = int((now - self._echo_at) * 1e6) if self._echo_us else 0
        probe = Probe(
            stamp_us(now),
            self._echo_us,
            held_us,
            int(self._liveness.interval_s * 1e6),
            self._liveness.hears,
        )
        self._way.transmit(FrameType.PROBE, PROBE.encode(probe), _PRIORITY)

    def _arm(self) -> None:
        at = self._way.source.clock.true_time(self._liveness.next_deadline())
        if self._timer_at is None or at < self._timer_at:
            self._timer_at = at
            self._agenda.at(at + self._way.source.lag_s, self._fired, at)

    def _fired(self, at: float) -> None:
        if self._timer_at != at or self._way.probing is not self:
            return
        self._timer_at = None
        if self._way.source.frozen:
            self._way.source.when_thawed(self._thawed)
        elif self._way.source.alive:
            self.advance()

    def _thawed(self) -> None:
        if self._way.probing is self:
            self.advance()
