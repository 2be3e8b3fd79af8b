"""One (destination, priority) on its way out: numbers, window, what is in the air or must go again.

Loss is noticed as in QUIC (RFC 9002): three later transmissions acknowledged, or a timeout that
doubles. A number stays with its batch for ever; only the order of transmissions says which came
later. Differs from QUIC: the window is halved by a timeout or a declared drop, not by reordering,
because below us are TCP links.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from mreza.ids import NodeId
from mreza.machine import NEVER
from mreza.messaging.batch import EMPTY_BATCH, ORDERED, Batch, Cutting, Flight
from mreza.messaging.credit import SendCredit
from mreza.messaging.fragments import BODY_MAX, PIECE_MAX
from mreza.messaging.lanes import Lanes
from mreza.messaging.round_trip import RoundTrip
from mreza.qos import Delivery, Priority
from mreza.wire.packet import Ack, PacketKind

SPAN_MAX = 1024
"""Numbers between the oldest batch that may still be sent and the newest: four priorities stay
within the 4,096 unacknowledged envelopes of a session."""
REORDERING = 3
"Later transmissions acknowledged before one counts as lost (RFC 9002, 6.1.1)."
LOW_QUEUEING_S = 0.05
"LOW stops growing its window at this queueing delay: bulk gives way before others feel it."
HURRY_MIN_S = 0.02
"After a declared drop, wait at least this long for acknowledgements that are on their way."


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
        self.lanes = Lanes(credits_)
        self.freed = 0
        "Cost of what was acknowledged or given up; the outbox takes it away."
        self.expired = 0
        "Requests that were too late to be sent; whoever counts drops takes it away."
        self._cutting: Cutting | None = None
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
        self._timeout_at = NEVER
        self._hurry_at = NEVER
        self._hurry_before = 0.0
        self._hurries = 0
        "Declared drops believed since the last acknowledgement: each makes the next wait longer."
        self._probe_at = NEVER
        self._probes = 0
        self._probe_inbox: int | None = None
        self._ordered_highest = 0
        self._given_up_highest = 0
        self._awaited_highest = 0
        "The highest number given up before an ordered batch, which waits until it hears of that."
        self._base_acked = 0

    # Inputs

    def next_flight(self, *, next_hop: NodeId, now: float) -> Flight | None:
        """The next packet that window and credit allow; it counts as sent over `next_hop`."""
        flight = self._next_lost(now) if self._lost else None
        if flight is None:
            if self._lost or not self._has_new:
                return None
            flight = self._next_new(now)
            if flight is None:
                return None
        self._launch(flight, next_hop, now)
        return flight

    def acknowledge(self, ack: Ack, *, now: float) -> bool:
        """What the receiver has admitted; False if it speaks of numbers that were never sent."""
        highest = ack.ranges[-1][1] if ack.ranges else ack.cumulative
        if highest >= self._next:
            return False
        was_limited = self._in_flight * 2 >= self._window
        acked: list[Flight] = []
        if ack.cumulative >= self._base:
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
        self._doublings = self._hurries = 0
        self._find_lost()
        self._timeout_at = now + self._round_trip.timeout_s() if self._in_flight else NEVER
        return True

    def expect_soon(self, *, now: float, ack_delay_s: float) -> None:
        """Something of ours was dropped on the way: do not wait for the whole timeout."""
        if self._in_flight and self._hurry_at == NEVER:
            self._hurry_before = now
            wait_s = max(HURRY_MIN_S, self._round_trip.likely_s + ack_delay_s)
            wait_s *= 2.0 ** min(self._hurries, 16)
            self._hurry_at = now + min(wait_s, self._round_trip.timeout_s())

    def advance(self, *, now: float) -> bool:
        """Do what is due; True if something may be sent now."""
        due = False
        if self._hurry_at <= now:
            self._hurry_at = NEVER
            due = bool(self._lose_sent_before(self._hurry_before))
            if due:
                self._hurries += 1
                self._halve()
        if self._timeout_at <= now:
            due = self._time_out(now) or due
        if self._probe_at <= now:
            self._probe_at = NEVER
            self._probes += 1
            self._probe_inbox = self.lanes.blocked_inbox()
            due = due or self._probe_inbox is not None
        return due

    def lose(self, *, unless: Callable[[Flight], bool] | None = None) -> bool:
        """What is in the air, but for that of which `unless` is true, is lost; True if any was."""
        any_lost = False
        for flight in list(self._flights.values()):
            if not flight.lost and (unless is None or not unless(flight)):
                self._lose(flight)
                any_lost = True
        if any_lost:
            self._doublings = 0
            self._timeout_at = self._timeout_at if self._in_flight else NEVER
        return any_lost

    def credit_came(self) -> None:
        """A blocked inbox may be open again."""
        self._probe_at = NEVER
        self._probes = 0

    def drop(self, given_up: Callable[[Batch], bool]) -> list[int]:
        """Give up such batches, sent or not; the ids of the requests among it."""
        batches: dict[Batch, None] = {}
        for flight in [f for f in self._flights.values() if given_up(f.batch)]:
            batches[flight.batch] = None
            self._give_up(flight)
        cutting = self._cutting
        if cutting is not None and given_up(cutting.batch):
            batches[cutting.batch] = None
            self._stop(cutting)
        for batch in self.lanes.drop(given_up):
            batches[batch] = None
            self.freed += batch.cost
        self._advance_base()
        return [number for batch in batches for number in batch.ids()]

    def waits(self, *, now: float) -> None:
        """What is left after a flush waits: requests age, and those too late go."""
        for batch in self.lanes.age(now=now):
            self.expired += len(batch.items)
            self.freed += batch.cost

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
        return not (self._flights or self._cutting or self.lanes)

    @property
    def may_send(self) -> bool:
        """Something is left that window or credit may let go now."""
        return bool(self._lost or self._has_new)

    def next_deadline(self) -> float | None:
        return None if self.due_at == NEVER else self.due_at

    @property
    def due_at(self) -> float:
        """When `advance` has something to do, or NEVER."""
        return min(self._timeout_at, self._hurry_at, self._probe_at)

    # Rules: what goes next.

    @property
    def _has_new(self) -> bool:
        """Something waits that has no number yet, or an empty batch is due."""
        return bool(
            self._cutting or self.lanes or self._probe_inbox is not None or self._must_tell_base
        )

    def _fits(self, size: int) -> bool:
        return not self._in_flight or self._in_flight + min(size, PIECE_MAX) <= self._window

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
                batch.position = self.lanes.credit(batch.inbox).take(len(body))
            if len(body) <= BODY_MAX:
                return self._number(Flight(batch, body, sequence=self._next, cost=batch.cost))
            self._cutting = Cutting(batch, body, transfer=self._next)
        if not self._fits(self._cutting.piece_bytes):
            return None
        flight, is_last = self._cutting.next(self._next)
        if is_last:
            self._cutting = None
        return self._number(flight)

    def _next_batch(self, now: float) -> Batch | None:
        batch = self.lanes.take(self._fits)
        if (
            batch is None
            and not self._flights
            and self._probe_at == NEVER
            and self._probe_inbox is None
            and self.lanes.blocked_inbox() is not None
        ):
            self._probe_at = now + self._round_trip.timeout_s(doublings=self._probes)
        return batch

    def _next_empty(self) -> Flight | None:
        """An empty batch, if the receiver must learn our base, or we its credit."""
        inbox = self._probe_inbox
        self._probe_inbox = None
        if inbox is None:
            if not self._must_tell_base or not self.is_idle:
                return None
            inbox = 0
        batch = Batch(PacketKind.DATA, delivery=Delivery.AT_LEAST_ONCE, inbox=inbox)
        batch.position = self.lanes.credit(inbox).position
        return self._number(Flight(batch, EMPTY_BATCH, sequence=self._next, cost=0))

    @property
    def _must_tell_base(self) -> bool:
        """An ordered batch waits for one given up since the receiver last heard our base."""
        return bool(self._awaited_highest) and self._base_acked <= self._awaited_highest

    def _number(self, flight: Flight) -> Flight:
        self._flights[self._next] = flight
        if flight.batch.flags & ORDERED:
            self._ordered_highest = self._next
            self._awaited_highest = self._given_up_highest
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
        self._in_flight += len(flight.body)
        if self._timeout_at == NEVER:
            self._timeout_at = now + self._round_trip.timeout_s(doublings=self._doublings)

    # Rules: what has arrived, and what has not.

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
        newest = acked[0] if len(acked) == 1 else max(acked, key=_order_of)
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

    def _lose_sent_before(self, at: float) -> list[Flight]:
        late = [f for f in self._flights.values() if not f.lost and f.sent_at <= at]
        for flight in late:
            self._lose(flight)
        return late

    def _time_out(self, now: float) -> bool:
        """The oldest transmissions have waited too long; True if any was in the air."""
        self._timeout_at = NEVER
        if not self._in_flight:
            return False
        oldest_at = min(f.sent_at for f in self._flights.values() if not f.lost)
        for flight in self._lose_sent_before(max(oldest_at, now - self._round_trip.timeout_s())):
            flight.unanswered += 1
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
        if flight.sequence < self._ordered_highest:
            self._awaited_highest = max(self._awaited_highest, flight.sequence)

    def _give_up_batch(self, batch: Batch) -> None:
        for flight in [f for f in self._flights.values() if f.batch is batch]:
            self._give_up(flight)
        if self._cutting is not None and self._cutting.batch is batch:
            self._stop(self._cutting)
        self._advance_base()

    def _stop(self, cutting: Cutting) -> None:
        self.freed += cutting.cost_left
        self._cutting = None

    def _halve(self) -> None:
        self._window = max(self._window_first, self._window // 2)


def _order_of(flight: Flight) -> int:
    return flight.order
