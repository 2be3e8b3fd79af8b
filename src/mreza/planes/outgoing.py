"""Outboxes of all destinations: which have something to send, which wait, and for what."""

from __future__ import annotations

from typing import NamedTuple

from mreza.config.messaging import MessagingConfig
from mreza.errors import DecodeError
from mreza.ids import NodeId
from mreza.machine import Alarm, earliest
from mreza.messaging.outbox import Outbox
from mreza.messaging.timers import Timers
from mreza.planes.traffic import Traffic
from mreza.planes.transmission import Reach, Transmission

STUCK_RETRY_S = 0.25
"How soon an outbox without a way looks for one, beside being told of every new route."
STUCK_RETRY_MAX_S = 30.0
"""It looks less and less often: mail may wait for days, and for many nodes. Default: as often as
neighbors compare what they know."""


class _Stuck(NamedTuple):
    retry_at: float
    wait_s: float


class Outgoing:
    """Decides which outbox sends when; `Transmission` says how."""

    def __init__(
        self,
        *,
        me: NodeId,
        config: MessagingConfig,
        transmission: Transmission,
        traffic: Traffic,
        alarm: Alarm | None = None,
    ) -> None:
        self.outboxes: dict[NodeId, Outbox] = {}
        self.ready: dict[NodeId, Outbox] = {}
        "Outboxes with something new; they enter themselves."
        self._me = me
        self._config = config
        self._transmission = transmission
        self._traffic = traffic
        self._stuck: dict[NodeId, _Stuck] = {}
        "Outboxes without a way, and when to look again."
        self._timers: Timers[NodeId] = Timers(alarm)

    # Inputs

    def open(self, destination: NodeId) -> Outbox:
        """The outbox for a node."""
        outbox = self.outboxes.get(destination)
        if outbox is None:
            outbox = Outbox(destination, config=self._config, ready=self.ready)
            self.outboxes[destination] = outbox
        return outbox

    def take_ready(self) -> list[Outbox]:
        """Those to be pumped now."""
        ready = list(self.ready.values())
        self.ready.clear()
        return ready

    def pump(self, outbox: Outbox, *, now: float) -> None:
        """Send what may go to one destination, most urgent first."""
        destination = outbox.destination
        reach = self._transmission.reach(destination)
        if reach is None:
            if outbox.controls:
                self._traffic.drop("no_route", len(outbox.controls))
                outbox.controls.clear()
            if outbox.is_idle:
                self._stuck.pop(destination, None)
            else:
                self._look_again(destination, now)
        else:
            self._stuck.pop(destination, None)
            try:
                self._send_all(outbox, reach, now)
            except DecodeError:
                # It published a prekey that nobody can seal for; its next one may be better.
                self._traffic.drop("bad_prekey")
        self.wait(outbox, now=now)

    def wait(self, outbox: Outbox, *, now: float) -> None:
        """What is left after a flush waits on; requests that became too late go."""
        expired = outbox.waits(now=now)
        if expired:
            self._traffic.drop("request_expired", expired)
        self._timers.set(outbox.destination, self._deadline(outbox.destination))

    def expect_soon(self, outbox: Outbox, *, now: float) -> None:
        """Something of ours for this destination was dropped on the way."""
        outbox.expect_soon(now=now)
        self._timers.set(outbox.destination, self._deadline(outbox.destination))

    def dropped_under(self, session_id: int, *, now: float) -> None:
        """A relay says that it dropped an envelope of this session."""
        for outbox in self.outboxes.values():
            if session_id in outbox.sessions:
                self.expect_soon(outbox, now=now)

    def routes_changed(self) -> None:
        """What went a way that is no more goes again at once, and so does what had none."""
        for destination, outbox in self.outboxes.items():
            self._stuck.pop(destination, None)
            if destination != self._me and not outbox.is_idle:
                outbox.send_again(unless=self._transmission.on_its_way(destination))
                self.ready[destination] = outbox

    def keys_replaced(self) -> None:
        """Nobody can open what is in the air."""
        for destination, outbox in self.outboxes.items():
            if destination != self._me:
                outbox.send_again()

    def advance(self, *, now: float) -> None:
        """Timeouts; and another look for a way."""
        for node in self._timers.due(self._deadline, now=now):
            outbox = self.outboxes[node]
            outbox.advance(now=now)
            stuck = self._stuck.get(node)
            if stuck is not None and stuck.retry_at <= now:
                self.ready[node] = outbox
            self._timers.set(node, self._deadline(node))

    # Outputs

    def next_deadline(self) -> float | None:
        return self._timers.next_deadline()

    def waiting(self) -> int:
        """Bytes in all outboxes."""
        return sum(outbox.waiting for outbox in self.outboxes.values())

    def fullest(self) -> int:
        """Bytes in the outbox that has most."""
        return max((outbox.waiting for outbox in self.outboxes.values()), default=0)

    # Rules

    def _send_all(self, outbox: Outbox, reach: Reach, now: float) -> None:
        destination, transmission = outbox.destination, self._transmission
        controls, outbox.controls = outbox.controls, []
        for waiting in controls:
            transmission.send_control(destination, reach, waiting, now=now)
        for stream in reversed(outbox.streams):
            if stream is None:
                continue
            while (flight := stream.next_flight(next_hop=reach.next_hop, now=now)) is not None:
                way = transmission.detour(destination, reach) if flight.wants_detour else reach
                flight.next_hop, flight.path = way.next_hop, way.path
                session_id = transmission.send_flight(
                    destination, way, flight, priority=stream.priority, base=stream.base, now=now
                )
                outbox.sealed_under(session_id)

    def _deadline(self, node: NodeId) -> float | None:
        stuck = self._stuck.get(node)
        retry_at = None if stuck is None else stuck.retry_at
        return earliest(self.outboxes[node].next_deadline(), retry_at)

    def _look_again(self, node: NodeId, now: float) -> None:
        """There was no way now; look twice as late as the last time."""
        stuck = self._stuck.get(node)
        if stuck is None:
            self._stuck[node] = _Stuck(now + STUCK_RETRY_S, STUCK_RETRY_S)
        elif stuck.retry_at <= now:
            wait_s = min(2 * stuck.wait_s, STUCK_RETRY_MAX_S)
            self._stuck[node] = _Stuck(now + wait_s, wait_s)
