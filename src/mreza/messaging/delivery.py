"""The receiving side of one source: each batch once, in order where asked, acknowledged in company.

A source is followed under the newest of its epochs. A packet that an older process of it sent is
refused; the process that spoke last before is remembered, too, so that two clones that take turns
cause no duplicates. A receiver without memory learns from `sequence - behind` where to begin.
"""

from __future__ import annotations

from mreza.ids import NodeId
from mreza.messaging.batch import EMPTY_BATCH
from mreza.messaging.credit import CreditBudget, ReceiveCredit
from mreza.messaging.reassembly import ReassemblyBudget
from mreza.messaging.receive_stream import Arrival, ReceiveStream
from mreza.wire.packet import RANGES_MAX, Ack, Head, PacketKind

INBOXES_MAX = 64
"Inboxes of ours that one source may use."
ACK_EVERY_BATCHES = 2
"An acknowledgement goes at the end of the turn in which the second batch came (RFC 9000, 13.2.2)."
ACK_EVERY_BYTES = 128 * 1024
CREDITS_PER_PACKET = 8
"With RANGES_MAX runs in all acknowledgements together, keeps the longest head below 1 KiB."
_PRIORITIES = 4


class Inbound:
    """The four streams of one process of a source."""

    __slots__ = ("stream_epoch", "streams")

    def __init__(self, stream_epoch: int) -> None:
        self.stream_epoch = stream_epoch
        self.streams: list[ReceiveStream | None] = [None] * _PRIORITIES

    def close(self) -> None:
        """Free what waits for pieces or for order: its sender is gone."""
        for stream in self.streams:
            if stream is not None:
                stream.close()


class Source:
    """One node that sends to us. `receive` says what to hand over; `take_acks` what to tell it."""

    def __init__(
        self,
        node: NodeId,
        *,
        reassembly: ReassemblyBudget,
        growth: CreditBudget,
        inbox_bytes: int,
    ) -> None:
        self.node = node
        self.newest_epoch = 0
        "Highest epoch it was heard under, or is known to have."
        self.ack_at: float | None = None
        "Not earlier than this must it hear from us; None: nothing to tell."
        self._current: Inbound | None = None
        self._previous: Inbound | None = None
        self._credits: dict[int, ReceiveCredit] = {}
        self._touched: dict[int, None] = {}
        "Inboxes whose credit it should hear of."
        self._unacked = 0
        self._unacked_bytes = 0
        self._reassembly = reassembly
        self._growth = growth
        self._inbox_bytes = inbox_bytes

    # Inputs

    def receive(
        self,
        head: Head,
        body: memoryview,
        *,
        priority: int,
        source_epoch: int,
        now: float,
        ack_delay_s: float,
    ) -> tuple[list[Arrival], str]:
        """A numbered packet: what to hand over now, and why the packet was refused, or ""."""
        inbound = self._inbound(head.stream_epoch, source_epoch)
        if inbound is None:
            return [], "old_stream"
        stream = inbound.streams[priority]
        if stream is None:
            stream = inbound.streams[priority] = ReceiveStream(
                self.node, priority, first=head.sequence - head.behind, reassembly=self._reassembly
            )
        credit: ReceiveCredit | None = None
        if head.kind == PacketKind.DATA:
            credit = self._credit(head.inbox)
            if credit is None:
                arrivals = stream.skip_to(head)
                self._hand_over(arrivals)
                return arrivals, "too_many_inboxes"
            self._touched[head.inbox] = None
        arrivals, reason = stream.receive(
            head,
            body,
            has_room=credit is None or credit.has_room,
            may_hold=credit is not None and credit.may_hold,
            now=now,
        )
        if reason == "":
            if credit is not None:
                credit.admit(head.position, stream.completed)
            self._unacked += 1
            self._unacked_bytes += len(body)
            urgent = (
                self._unacked >= ACK_EVERY_BATCHES
                or self._unacked_bytes >= ACK_EVERY_BYTES
                or len(body) == len(EMPTY_BATCH)
            )
            self._owe(now if urgent else now + ack_delay_s)
        elif reason in {"duplicate", "no_credit"}:
            self._owe(now)
        self._hand_over(arrivals)
        return arrivals, reason

    def consumed(self, inbox: int, size: int, *, now: float) -> bool:
        """A handler is done with that many bytes; True if the source should hear of it."""
        credit = self._credits.get(inbox)
        if credit is None or not credit.consumed(size, now=now):
            return False
        self._touched[inbox] = None
        self._owe(now)
        return True

    def restarted(self, epoch: int, *, same_process: bool) -> None:
        """It is known to have this epoch now; under another process its old streams are over."""
        if epoch <= self.newest_epoch:
            return
        self.newest_epoch = epoch
        if not same_process:
            self._retire()

    def postpone(self, at: float) -> None:
        """It cannot be told now."""
        self.ack_at = at

    def close(self) -> None:
        """Forget everything about it."""
        for inbound in (self._current, self._previous):
            if inbound is not None:
                inbound.close()
        for credit in self._credits.values():
            credit.close()
        self._current = self._previous = None
        self._credits = {}
        self._nothing_owed()

    # Outputs

    @property
    def stream_epoch(self) -> int | None:
        """Of its process that we listen to; None: not heard yet."""
        return None if self._current is None else self._current.stream_epoch

    def take_acks(self, *, epoch: int, now: float) -> tuple[Ack, ...]:
        """All there is to tell, for a packet sealed for this epoch of the source.

        Numbers of one process must never reach another one, which would take them for its own:
        nothing is told to an epoch under which the streams have not been heard.
        """
        inbound = self._current
        if self.ack_at is None or inbound is None or epoch != self.newest_epoch:
            return ()
        acks: list[Ack] = []
        runs_left = RANGES_MAX
        credits_ = self._take_credits(now)
        for stream in inbound.streams:
            if stream is None or not (stream.owes or (credits_ and not acks)):
                continue
            ack = stream.take_ack(runs_max=runs_left, credits_=credits_, now=now)
            runs_left -= len(ack.ranges)
            credits_ = ()
            acks.append(ack)
        if not self._touched:
            self._nothing_owed()
        return tuple(acks)

    @property
    def most_urgent(self) -> int:
        """Highest priority that waits for an acknowledgement."""
        streams = () if self._current is None else self._current.streams
        return max((s.priority for s in streams if s is not None and s.owes), default=1)

    # Rules

    def _inbound(self, stream_epoch: int, source_epoch: int) -> Inbound | None:
        current = self._current
        if current is not None and current.stream_epoch == stream_epoch:
            self.newest_epoch = max(self.newest_epoch, source_epoch)
            return current
        if source_epoch < self.newest_epoch:
            return None
        if current is not None and source_epoch == self.newest_epoch:
            return None
        self.newest_epoch = source_epoch
        before = self._previous
        self._retire()
        if before is not None and before.stream_epoch == stream_epoch:
            self._current = before
        else:
            self._current = Inbound(stream_epoch)
        return self._current

    def _retire(self) -> None:
        """Another process of this source speaks from now on."""
        if self._current is None:
            return
        self._current.close()
        self._previous, self._current = self._current, None
        self._credits = {
            inbox: self._new_credit(stale=credit.close()) for inbox, credit in self._credits.items()
        }
        self._nothing_owed()

    def _hand_over(self, arrivals: list[Arrival]) -> None:
        for arrival in arrivals:
            if arrival.kind == PacketKind.DATA:
                self._credits[arrival.inbox].hand_over(len(arrival.body))

    def _credit(self, inbox: int) -> ReceiveCredit | None:
        credit = self._credits.get(inbox)
        if credit is None:
            if len(self._credits) >= INBOXES_MAX:
                return None
            credit = self._credits[inbox] = self._new_credit(stale=0)
        return credit

    def _new_credit(self, *, stale: int) -> ReceiveCredit:
        return ReceiveCredit(self._growth, window_max=self._inbox_bytes, stale=stale)

    def _take_credits(self, now: float) -> tuple[tuple[int, int], ...]:
        if not self._touched:
            return ()
        told = list(self._touched)[:CREDITS_PER_PACKET]
        for inbox in told:
            del self._touched[inbox]
        return tuple((inbox, self._credits[inbox].announce(now=now)) for inbox in told)

    def _owe(self, at: float) -> None:
        if self.ack_at is None or at < self.ack_at:
            self.ack_at = at

    def _nothing_owed(self) -> None:
        self.ack_at = None
        self._unacked = self._unacked_bytes = 0
        self._touched.clear()
