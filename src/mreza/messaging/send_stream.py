"""One direction of one (destination, priority): numbers, window, what is in the air, what must go
again.

Loss is noticed as in QUIC (RFC 9002): three later transmissions acknowledged, or a timeout that
doubles. A number stays with its batch for ever; only the order of transmissions says which came
later. Differs from QUIC: the window is halved by a timeout or a declared drop, not by reordering,
because below us are TCP links.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from mreza.ids import NodeId
from mreza.machine import earliest
from mreza.messaging.batch import EMPTY_BATCH, Batch, Flight
from mreza.messaging.credit import SendCredit
from mreza.messaging.fragments import BODY_MAX, cut, piece_bytes
from mreza.messaging.round_trip import RoundTrip
from mreza.qos import Delivery, Priority
from mreza.wire.packet import Ack, Fragment, PacketFlag, PacketKind

SPAN_MAX = 1024
"""Numbers between the oldest batch that may still be sent and the newest: four priorities stay
within the 4,096 unacknowledged envelopes of a session (DESIGN.md, section 6)."""
REORDERING = 3
"Later transmissions acknowledged before one counts as lost (RFC 9002, 6.1.1)."
LOW_QUEUEING_S = 0.05
"LOW stops growing its window at this queueing delay (DESIGN.md, section 8)."
HURRY_MIN_S = 0.02
"After a declared drop, wait at least this long for acknowledgements that are on their way."


class _Cutting:
    """A body larger than a packet, on its way out piece by piece."""

    def __init__(self, batch: Batch, body: bytes, *, transfer: int) -> None:
        self.batch = batch
        self.piece_bytes = piece_bytes(len(body))
        self._pieces: Iterator[tuple[Fragment, memoryview]] = cut(body, transfer=transfer)
        self._left = len(body)
        self.cost_left = batch.cost

    def next(self, sequence: int) -> tuple[Flight, bool]:
        """The next piece, and whether it was the last."""
        fragment, piece = next(self._pieces)
        self._left -= len(piece)
        cost = min(self.cost_left, len(piece)) if self._left else self.cost_left
        self.cost_left -= cost
        flight = Flight(self.batch, piece, sequence=sequence, cost=cost, fragment=fragment)
        return flight, not self._left


class SendStream:
    """Batches of one priority for one destination, from `add` to their acknowledgement."""

    def __init__(
        self,
        priority: int,
        *,
        round_trip: RoundTrip,
        credits_: dict[int, SendCredit],
        window_first: int,
        window_max: int,
    ) -> None:
        """`credits_` is shared by all priorities of the destination, by inbox."""
        self.priority = priority
        self.tail: Batch | None = None
        "The DATA batch that the next message may join."
        self.freed = 0
        "Cost of what was acknowledged or given up; the outbox takes it away."
        self.expired = 0
        "Requests that were too late to be sent; whoever counts drops takes it away."
        self.retransmitted = 0
        self._lanes: dict[tuple[PacketKind, int], deque[Batch]] = {}
        self._credits = credits_
        self._cutting: _Cutting | None = None
        self._flights: dict[int, Flight] = {}
        self._lost: deque[Flight] = deque()
        self._base = 1
        self._next = 1
        self._order = 0
        self._order_acked = 0
        self._in_flight = 0
        self._window = window_first
        self._window_first = window_first
        self._window_max = window_max
        self._round_trip = round_trip
        self._doublings = 0
        self._timeout_at: float | None = None
        self._hurry_at: float | None = None
        self._hurry_before = 0.0
        self._probe_at: float | None = None
        self._probes = 0
        self._probe_inbox: int | None = None
        self._ordered_highest = 0
        self._given_up_highest = 0
        self._base_acked = 0

    # Inputs

    def lane(self, kind: PacketKind, inbox: int) -> deque[Batch]:
        """Batches waiting for one inbox, or of one kind: those that must not overtake each other."""
        lane = self._lanes.get((kind, inbox))
        if lane is None:
            lane = self._lanes[kind, inbox] = deque()
        return lane

    def next_flight(self, *, next_hop: NodeId, now: float) -> Flight | None:
        """The next packet that window and credit allow; it counts as sent over `next_hop`."""
        flight = self._next_lost(now)
        if flight is None:
            if self._lost:
                return None
            flight = self._next_new(now)
            if flight is None:
                return None
        self._launch(flight, next_hop, now)
        return flight

    def acknowledge(self, ack: Ack, *, now: float) -> bool:
        """What the receiver has admitted; False if it speaks of numbers that were never sent."""
        if not self._could_be(ack):
            return False
        was_limited = self._in_flight * 2 >= self._window
        acked: list[Flight] = []
        for number in range(self._base, ack.cumulative + 1):
            self._take(number, acked)
        for first, last in ack.ranges:
            for number in range(max(first, self._base), last + 1):
                self._take(number, acked)
        if not acked:
            return True
        self._advance_base()
        rtt_s = self._measure(acked, ack.delay_us / 1e6, now)
        if was_limited and not self._queueing(rtt_s):
            gained = sum(len(flight.body) for flight in acked)
            self._window = min(self._window_max, self._window + gained)
        self._doublings = 0
        self._find_lost()
        self._timeout_at = now + self._round_trip.timeout_s() if self._in_flight else None
        return True

    def expect_soon(self, *, now: float, ack_delay_s: float) -> None:
        """Something of ours was dropped on the way: do not wait for the whole timeout."""
        if self._in_flight and self._hurry_at is None:
            self._hurry_before = now
            wait_s = self._round_trip.likely_s + ack_delay_s
            self._hurry_at = now + min(max(HURRY_MIN_S, wait_s), self._round_trip.timeout_s())

    def advance(self, *, now: float) -> bool:
        """Do what is due; True if something may be sent now."""
        due = False
        if self._hurry_at is not None and self._hurry_at <= now:
            self._hurry_at = None
            due = self._lose_sent_before(self._hurry_before)
            if due:
                self._halve()
        if self._timeout_at is not None and self._timeout_at <= now:
            due = self._time_out(now) or due
        if self._probe_at is not None and self._probe_at <= now:
            self._probe_at = None
            self._probes += 1
            self._probe_inbox = self._blocked_inbox()
            due = due or self._probe_inbox is not None
        return due

    def lose(self, *, unless_over: NodeId | None) -> bool:
        """All that is in the air by another way than over this neighbor will not arrive; True if
        any was."""
        any_lost = False
        for flight in list(self._flights.values()):
            if not flight.lost and (unless_over is None or flight.next_hop != unless_over):
                self._lose(flight)
                any_lost = True
        if any_lost:
            self._doublings = 0
            self._timeout_at = None if not self._in_flight else self._timeout_at
        return any_lost

    def credit_came(self) -> None:
        """A blocked inbox may be open again."""
        self._probe_at = None
        self._probes = 0

    def drop_kinds(self, *kinds: PacketKind) -> list[int]:
        """Give up everything of these kinds, sent or not; the ids of the requests among it."""
        batches: dict[Batch, None] = {}
        for flight in [f for f in self._flights.values() if f.batch.kind in kinds]:
            batches[flight.batch] = None
            self._give_up(flight)
        if self._cutting is not None and self._cutting.batch.kind in kinds:
            batches[self._cutting.batch] = None
            self._stop_cutting()
        for (kind, _), lane in self._lanes.items():
            if kind in kinds:
                for batch in lane:
                    batches[batch] = None
                    self.freed += batch.cost
                lane.clear()
        if PacketKind.DATA in kinds:
            self.tail = None
        self._advance_base()
        return [number for batch in batches for number in batch.ids()]

    def waits(self, *, now: float) -> None:
        """What is left after a flush waits: requests age, and those too late go."""
        for (kind, _), lane in self._lanes.items():
            if kind is PacketKind.DATA:
                continue
            while lane and lane[0].deadline is not None and lane[0].deadline <= now:
                batch = lane.popleft()
                self.expired += len(batch.items)
                self.freed += batch.cost
            for batch in reversed(lane):
                if batch.since is not None:
                    break
                batch.waits(now)

    # Outputs

    @property
    def base(self) -> int:
        """The lowest number that may still be sent."""
        return self._base

    @property
    def window(self) -> int:
        return self._window

    @property
    def is_idle(self) -> bool:
        """Nothing waits and nothing is in the air."""
        return not (self._flights or self._cutting or any(self._lanes.values()))

    def next_deadline(self) -> float | None:
        return earliest(self._timeout_at, self._hurry_at, self._probe_at)

    # Rules: what goes next.

    def _fits(self, size: int) -> bool:
        return not self._in_flight or self._in_flight + size <= self._window

    def _next_lost(self, now: float) -> Flight | None:
        while self._lost:
            flight = self._lost[0]
            if self._flights.get(flight.sequence) is not flight:
                self._lost.popleft()
                continue
            deadline = flight.batch.deadline
            if deadline is not None and deadline <= now:
                self.expired += len(flight.batch.request_ids)
                self._give_up_batch(flight.batch)
                continue
            if not self._fits(len(flight.body)):
                return None
            return self._lost.popleft()
        return None

    def _next_new(self, now: float) -> Flight | None:
        if self._next - self._base >= SPAN_MAX:
            return None
        while self._cutting is None:
            batch = self._next_batch(now)
            if batch is None:
                return self._next_empty()
            body = batch.encode(now=now)
            if body is None:
                self.expired += len(batch.items)
                self.freed += batch.cost
                continue
            if batch.kind is PacketKind.DATA:
                batch.position = self._credits[batch.inbox].take(len(body))
            if len(body) <= BODY_MAX:
                return self._number(Flight(batch, body, sequence=self._next, cost=batch.cost))
            self._cutting = _Cutting(batch, body, transfer=self._next)
        if not self._fits(self._cutting.piece_bytes):
            return None
        flight, is_last = self._cutting.next(self._next)
        if is_last:
            self._cutting = None
        return self._number(flight)

    def _next_batch(self, now: float) -> Batch | None:
        """Take the next waiting batch; lanes with one share the window in turn."""
        blocked = False
        for key, lane in self._lanes.items():
            if not lane:
                continue
            batch = lane[0]
            if not self._fits(min(batch.size, BODY_MAX)):
                return None
            if batch.kind is PacketKind.DATA and not self._credit(batch.inbox).is_open:
                blocked = True
                continue
            lane.popleft()
            if batch is self.tail:
                self.tail = None
            if len(self._lanes) > 1:
                self._lanes[key] = self._lanes.pop(key)
            return batch
        if blocked and not self._flights and self._probe_at is None and self._probe_inbox is None:
            self._probe_at = now + self._round_trip.timeout_s(doublings=self._probes)
        return None

    def _next_empty(self) -> Flight | None:
        """An empty batch, if the receiver must learn our base, or we its credit."""
        inbox = self._probe_inbox
        self._probe_inbox = None
        if inbox is None:
            given_up = self._given_up_highest
            if not self._base_acked <= given_up < self._ordered_highest or not self.is_idle:
                return None
            inbox = 0
        batch = Batch(PacketKind.DATA, delivery=Delivery.AT_LEAST_ONCE, inbox=inbox)
        batch.position = self._credit(inbox).position
        return self._number(Flight(batch, EMPTY_BATCH, sequence=self._next, cost=0))

    def _number(self, flight: Flight) -> Flight:
        self._flights[self._next] = flight
        if flight.batch.flags & PacketFlag.ORDERED:
            self._ordered_highest = self._next
        self._next += 1
        return flight

    def _launch(self, flight: Flight, next_hop: NodeId, now: float) -> None:
        self._order += 1
        flight.order = self._order
        flight.sent_at = now
        flight.next_hop = next_hop
        flight.lost = False
        flight.transmissions += 1
        if flight.transmissions == 1:
            flight.base_told = self._base
        else:
            self.retransmitted += 1
        self._in_flight += len(flight.body)
        if self._timeout_at is None:
            self._timeout_at = now + self._round_trip.timeout_s(doublings=self._doublings)

    def _credit(self, inbox: int) -> SendCredit:
        credit = self._credits.get(inbox)
        if credit is None:
            credit = self._credits[inbox] = SendCredit()
        return credit

    def _blocked_inbox(self) -> int | None:
        for (kind, inbox), lane in self._lanes.items():
            if kind is PacketKind.DATA and lane and not self._credit(inbox).is_open:
                return inbox
        return None

    # Rules: what has arrived, and what has not.

    def _could_be(self, ack: Ack) -> bool:
        """Only numbers that were sent, in rising runs."""
        floor = ack.cumulative
        for first, last in ack.ranges:
            if not floor < first <= last:
                return False
            floor = last
        return floor < self._next

    def _take(self, number: int, acked: list[Flight]) -> None:
        flight = self._flights.pop(number, None)
        if flight is None:
            return
        if not flight.lost:
            self._in_flight -= len(flight.body)
        self.freed += flight.cost
        self._base_acked = max(self._base_acked, flight.base_told)
        acked.append(flight)

    def _advance_base(self) -> None:
        while self._base < self._next and self._base not in self._flights:
            self._base += 1

    def _measure(self, acked: list[Flight], delay_s: float, now: float) -> float | None:
        """A round-trip sample from the newest batch that was sent only once, if there is one."""
        newest = max(acked, key=_order_of)
        if newest.transmissions != 1:
            return None
        self._order_acked = max(self._order_acked, newest.order)
        rtt_s = now - newest.sent_at - delay_s
        self._round_trip.sample(rtt_s)
        return rtt_s

    def _queueing(self, rtt_s: float | None) -> bool:
        return (
            self.priority == Priority.LOW
            and rtt_s is not None
            and rtt_s > self._round_trip.least_s + LOW_QUEUEING_S
        )

    def _find_lost(self) -> None:
        """Three later transmissions have arrived: this one has not."""
        limit = self._order_acked - REORDERING
        oldest = self._flights.get(self._base)
        if oldest is None or (oldest.order > limit and not oldest.lost):
            return
        for flight in list(self._flights.values()):
            if not flight.lost and flight.order <= limit:
                self._lose(flight)

    def _lose_sent_before(self, at: float) -> bool:
        late = [f for f in self._flights.values() if not f.lost and f.sent_at <= at]
        for flight in late:
            self._lose(flight)
        return bool(late)

    def _time_out(self, now: float) -> bool:
        """The oldest transmissions have waited too long; True if any was in the air."""
        self._timeout_at = None
        if not self._in_flight:
            return False
        oldest_at = min(f.sent_at for f in self._flights.values() if not f.lost)
        self._lose_sent_before(max(oldest_at, now - self._round_trip.timeout_s()))
        self._doublings += 1
        self._halve()
        if self._in_flight:
            self._timeout_at = now + self._round_trip.timeout_s(doublings=self._doublings)
        return True

    def _lose(self, flight: Flight) -> None:
        if not flight.batch.is_reliable:
            self._give_up(flight)
            self._advance_base()
            return
        flight.lost = True
        self._in_flight -= len(flight.body)
        self._lost.append(flight)

    def _give_up(self, flight: Flight) -> None:
        """It will never be sent again; `base` tells the receiver."""
        del self._flights[flight.sequence]
        if not flight.lost:
            self._in_flight -= len(flight.body)
        self.freed += flight.cost
        self._given_up_highest = max(self._given_up_highest, flight.sequence)

    def _give_up_batch(self, batch: Batch) -> None:
        for flight in [f for f in self._flights.values() if f.batch is batch]:
            self._give_up(flight)
        if self._cutting is not None and self._cutting.batch is batch:
            self._stop_cutting()
        self._advance_base()

    def _stop_cutting(self) -> None:
        if self._cutting is not None:
            self.freed += self._cutting.cost_left
            self._cutting = None

    def _halve(self) -> None:
        self._window = max(self._window_first, self._window // 2)


def _order_of(flight: Flight) -> int:
    return flight.order
