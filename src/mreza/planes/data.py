"""The data plane: what programs say to each other, from one node's outbox to another's inbox.

It joins outboxes and deliveries (messaging), keys (sealing) and next hops (routing):

- Batches are numbered per (destination, priority) from 1, and a batch keeps its number. `behind`
  says how far back the sender may still go; a receiver without memory begins there.
- What is in the air is sent again, sealed anew: at once when the way changed, the key was unknown
  or the destination restarted; a little later after a declared drop; else by timeout.
  AT_MOST_ONCE never.
- When a destination restarts, data goes again; requests and responses do not: their ids are
  returned, and who asked decides. When it only raised its epoch, everything goes again.
- When it is lost, calls are returned; messages wait for it, and it gets each of them once.
- To ourselves: the same streams and bounds, without sealing and links.
- Relays never open an envelope. What they drop is counted and declared to its source.
"""

from __future__ import annotations

from typing import Any

from mreza.config.messaging import MessagingConfig
from mreza.errors import DecodeError
from mreza.ids import NodeId
from mreza.machine import Alarm, earliest
from mreza.messaging.outbox import Outbox, WaitingControl
from mreza.planes.drop_declarations import DropDeclarations
from mreza.planes.effects import Offence, RequestsReturned, SendFrame
from mreza.planes.outgoing import Outgoing
from mreza.planes.reception import Reception
from mreza.planes.traffic import Traffic
from mreza.planes.transmission import Directory, Transmission
from mreza.qos import Delivery, Priority
from mreza.routing.router import Deliver, Expired, Forward, Router
from mreza.security.sealing import Sealing
from mreza.wire.envelope import HOP_LIMIT, Envelope, EnvelopeKind, decode_envelope, for_next_hop
from mreza.wire.frame import FrameType
from mreza.wire.link import RefusalCode
from mreza.wire.packet import Control, Request, Response


class DataPlane:
    """Envelopes in and out. `send` only appends; `flush`, once a turn, builds, seals and emits."""

    def __init__(
        self,
        *,
        me: NodeId,
        stream_epoch: int,
        sealing: Sealing,
        router: Router,
        directory: Directory,
        config: MessagingConfig,
        now: float,
        effects: list[Any] | None = None,
        alarm: Alarm | None = None,
    ) -> None:
        """What it asks for goes to `effects`, where given, in place of a list of its own."""
        self._effects: list[Any] = [] if effects is None else effects
        self.stats = Traffic(self._effects)
        self._me = me
        self._stream_epoch = stream_epoch
        self._sealing = sealing
        self._router = router
        self._directory = directory
        self._now = now
        self._declarations = DropDeclarations(alarm)
        self._transmission = Transmission(
            me=me,
            stream_epoch=stream_epoch,
            sealing=sealing,
            router=router,
            directory=directory,
            traffic=self.stats,
            effects=self._effects,
        )
        self._outgoing = Outgoing(
            me=me, config=config, transmission=self._transmission, traffic=self.stats, alarm=alarm
        )
        self._outboxes = self._outgoing.outboxes
        self._reception = Reception(
            me=me,
            sealing=sealing,
            directory=directory,
            config=config,
            transmission=self._transmission,
            outgoing=self._outgoing,
            traffic=self.stats,
            effects=self._effects,
            alarm=alarm,
        )

    # Inputs: what this node sends.

    def send(
        self,
        destination: NodeId,
        payload: Any,
        *,
        priority: int = Priority.NORMAL,
        delivery: Delivery = Delivery.AT_LEAST_ONCE,
        inbox: int = 0,
    ) -> None:
        """Append a payload for an inbox of `destination`.

        Raises:
            OutboxFull: `outbox_bytes` wait for that node.
            PayloadError: the payload cannot be encoded or is too large.
        """
        outbox = self._outboxes.get(destination)
        if outbox is None:
            outbox = self._outgoing.open(destination)
        outbox.put(payload, priority=priority, delivery=delivery, inbox=inbox)

    def send_request(self, destination: NodeId, request: Request, *, priority: int) -> None:
        """Append a request; raises as `send` does."""
        self._outgoing.open(destination).put_request(request, priority=priority)

    def send_response(
        self, destination: NodeId, response: Response, *, priority: int, stream_epoch: int
    ) -> None:
        """Append the answer to a request of the process that `stream_epoch` names.

        Dropped if that process is gone, because ids count within it. Raises OutboxFull at twice the
        bound of `send`.
        """
        source = self._transmission.sources.get(destination)
        if source is None or source.stream_epoch != stream_epoch:
            self.stats.drop("requester_gone")
            return
        self._outgoing.open(destination).put_response(response, priority=priority)

    def send_control(
        self,
        destination: NodeId,
        control: Control,
        *,
        priority: int = Priority.CRITICAL,
        kind: int = EnvelopeKind.SEALED,
        hop_limit: int = HOP_LIMIT,
    ) -> None:
        """Append a small fact that is sent once, or dropped if there is no way."""
        waiting = WaitingControl(control, priority=priority, kind=kind, hop_limit=hop_limit)
        if not self._outgoing.open(destination).put_control(waiting):
            self.stats.drop("control_overflow")

    def flush(self, *, now: float) -> None:
        """Build, seal and emit all that window, credit and routes allow."""
        self._now = now
        for node, control in self._declarations.take(now=now):
            self.send_control(node, control)
        if not self.wants_flush:
            return
        self._acknowledge_self(now)
        for outbox in self._outgoing.take_ready():
            if outbox.destination == self._me:
                self._pump_self(outbox, now)
            else:
                self._outgoing.pump(outbox, now=now)
        self._reception.acknowledge(now=now)

    # Inputs: what links bring, and what they could not take.

    def receive(self, peer: NodeId, body: bytes, *, now: float) -> None:
        """The body of one ENVELOPE frame from a neighbor."""
        self._now = now
        stats = self.stats
        stats.received += 1
        stats.received_bytes += len(body)
        try:
            envelope = decode_envelope(body)
        except DecodeError as error:
            stats.drop("malformed")
            self._effects.append(Offence(peer, RefusalCode.MALFORMED, str(error)))
            return
        match self._router.decide(envelope, peer):
            case Deliver():
                self._reception.open(envelope, from_peer=peer, now=now)
            case Forward(next_hop, advance_path):
                copy = for_next_hop(body, envelope, advance_path=advance_path)
                stats.forwarded += 1
                stats.forwarded_bytes += len(body)
                self._effects.append(
                    SendFrame(next_hop, FrameType.ENVELOPE, copy, envelope.priority)
                )
            case Expired():
                self._reception.trace_expired(envelope, now=now)
            case dropped:
                self._drop(envelope, dropped.reason)

    def frame_dropped(self, body: bytes | bytearray, reason: str, *, now: float) -> None:
        """A link's full send queue gave up this envelope, ours or another's."""
        self._now = now
        envelope = decode_envelope(bytes(body))
        self._drop(envelope, reason)
        outbox = self._outboxes.get(envelope.destinations[0])
        if envelope.source == self._me and outbox is not None:
            self._outgoing.expect_soon(outbox, now=now)

    # Inputs: what other planes and handlers say.

    def consumed(self, source: NodeId, inbox: int, bytes_: int, *, now: float) -> None:
        """A handler is done with `credit_bytes` of a batch: its sender may send as much again."""
        self._now = now
        self._reception.consumed(source, inbox, bytes_, now=now)

    def routes_changed(self, *, now: float) -> None:
        """What went over another next hop goes again at once, and so does what had none."""
        self._now = now
        self._outgoing.routes_changed()
        self._reception.routes_changed()

    def peer_restarted(self, node: NodeId, *, same_process: bool, now: float) -> None:
        """It has a new epoch; a new process of it does not know what the one before admitted."""
        self._now = now
        source, outbox = self._transmission.sources.get(node), self._outboxes.get(node)
        epoch = self._directory.epoch_of(node)
        if source is not None and epoch is not None:
            source.restarted(epoch, same_process=same_process)
        if outbox is None:
            return
        if same_process:
            outbox.send_again()
        else:
            self._returned(node, outbox.restarted())

    def node_lost(self, node: NodeId, *, now: float) -> None:
        """It is not expected back soon: calls of processes are returned, the rest waits for it."""
        self._now = now
        outbox = self._outboxes.get(node)
        if outbox is not None:
            self._returned(node, outbox.drop_calls())

    def forget(self, node: NodeId) -> None:
        """It will not come back: drop what waits for it or came from it. Numbers are remembered."""
        outbox = self._outboxes.get(node)
        if outbox is not None:
            self._returned(node, outbox.clear())
        self._reception.forget(node)
        self._sealing.forget(node)

    def raise_epoch(self, *, now: float) -> None:
        """Our sealing keys were replaced: nobody can open what is in the air."""
        self._now = now
        self._outgoing.keys_replaced()

    def advance(self, *, now: float) -> None:
        """Timeouts, and acknowledgements that waited for company long enough."""
        self._now = now
        self._outgoing.advance(now=now)
        self._reception.advance(now=now)

    # Outputs

    @property
    def wants_flush(self) -> bool:
        """Something could be sent."""
        return bool(self._outgoing.ready or self._reception.owing)

    def waiting(self, destination: NodeId | None = None) -> int:
        """Bytes not acknowledged yet, for one destination or all."""
        if destination is None:
            return self._outgoing.waiting()
        outbox = self._outboxes.get(destination)
        return 0 if outbox is None else outbox.waiting

    def fullest(self, destination: NodeId | None = None) -> int:
        """Bytes not acknowledged yet in that outbox, or in the one that has most."""
        return self._outgoing.fullest() if destination is None else self.waiting(destination)

    def next_deadline(self) -> float | None:
        return self._now if self.wants_flush else self.next_timeout()

    def next_timeout(self) -> float | None:
        """When `advance` has something to do, whatever a flush may find."""
        return earliest(
            self._outgoing.next_deadline(),
            self._reception.next_deadline(),
            self._declarations.next_deadline(),
        )

    def drain(self) -> list[Any]:
        """The effects since the last time, in order."""
        effects = self._effects.copy()
        self._effects.clear()
        return effects

    # Rules

    def _pump_self(self, outbox: Outbox, now: float) -> None:
        """What we send to ourselves goes through the same streams, and is admitted on the spot."""
        controls, outbox.controls = outbox.controls, []
        for waiting in controls:
            self._reception.control(self._me, waiting.control, now=now)
        source = self._reception.source(self._me)
        if source is None:
            return
        epoch = self._stream_epoch
        for stream in reversed(outbox.streams):
            while stream and (flight := stream.next_flight(next_hop=self._me, now=now)):
                head = self._transmission.head_of(
                    self._me, flight, base=stream.base, epoch=None, now=now
                )
                body = memoryview(flight.body)
                self._reception.admit(
                    source, head, body, priority=stream.priority, epoch=epoch, now=now
                )
                for ack in source.take_acks(epoch=epoch, now=now):
                    outbox.acknowledge(ack, now=now)
        if not outbox.controls:
            self._outgoing.ready.pop(self._me, None)
        self._outgoing.wait(outbox, now=now)

    def _acknowledge_self(self, now: float) -> None:
        """Handlers of ours gave credit back to ourselves."""
        source = self._reception.owing.pop(self._me, None)
        if source is not None:
            for ack in source.take_acks(epoch=self._stream_epoch, now=now):
                self._outboxes[self._me].acknowledge(ack, now=now)

    def _returned(self, node: NodeId, ids: list[int]) -> None:
        if ids:
            self._effects.append(RequestsReturned(node, ids))

    def _drop(self, envelope: Envelope, reason: str) -> None:
        """An envelope on its way ends here: count it, and tell its source."""
        self.stats.drop(reason)
        source = envelope.source
        if source != self._me and self._directory.epoch_of(source) is not None:
            self._declarations.note(envelope, reason)
