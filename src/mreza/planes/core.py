"""One node without I/O: the three planes joined, told things with `now`, drained of effects.

A driver (sockets in `mreza.node`, virtual time in the tests' world) calls the inputs, then
`advance` and `flush` once per turn, then carries out what `drain` returns. Facts cross between
planes here and nowhere else: a plane says what happened, the core passes it on.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from mreza.config.mesh import MeshConfig
from mreza.errors import MeshError, PayloadError
from mreza.events import WorkMoved
from mreza.ids import NodeId, make_epoch
from mreza.machine import NEVER, Alarm, earliest
from mreza.planes.answers import unsendable
from mreza.planes.control import ControlPlane
from mreza.planes.data import DataPlane
from mreza.planes.effects import (
    Announce,
    CancelRequest,
    CloseLink,
    Dropped,
    InboundControl,
    InboundRequests,
    InboundResponses,
    NodeDoubted,
    NodeLost,
    Offence,
    PeerRestarted,
    RequestsNumbered,
    RequestsReturned,
    RoutesChanged,
    RoutesLead,
    WorkLost,
)
from mreza.planes.reading import RecordReader
from mreza.planes.service import SendRequest, SendResponse, ServicePlane
from mreza.security.credentials import Credentials
from mreza.security.sealing import Sealing
from mreza.wire.frame import FrameType
from mreza.wire.link import RefusalCode
from mreza.wire.packet import Control, ControlKind
from mreza.wire.records import AgedRecord, Introduction

CLOCK_JUMP_S = 10.0
"A wall clock that moved this much against the monotonic one: a suspended or cloned machine."


class NodeCore:
    """A whole node as a value: identity, shared state, routes, envelopes, calls."""

    def __init__(
        self,
        *,
        credentials: Credentials,
        name: str,
        addresses: tuple[str, ...],
        boot: int,
        config: MeshConfig,
        rng: Random,
        now: float,
        wall: float,
        version: str = "",
        reader: RecordReader | None = None,
    ) -> None:
        """`reader` is for simulators: many nodes of one process may read their records with it."""
        identity = credentials.identity
        self.me: NodeId = identity.node_id
        self.epoch = make_epoch(boot=boot, random_bits=rng.getrandbits(32))
        self.instance = rng.getrandbits(63)
        self._rng = rng
        self._offset_s = wall - now
        self._alarm = Alarm()
        self._said: list[Any] = []
        "What planes asked for and nobody has heard yet, in order: one list for all of them."
        self._out: list[Any] = []
        self._hears: dict[type, Callable[[Any, float], None]] = {
            SendRequest: self._send_request,
            RequestsNumbered: self._requests_numbered,
            SendResponse: self._send_response,
            CancelRequest: self._cancel_request,
            InboundControl: self._inbound_control,
            InboundRequests: self._inbound_requests,
            InboundResponses: self._inbound_responses,
            RequestsReturned: self._requests_returned,
            RoutesChanged: self._routes_changed,
            PeerRestarted: self._peer_restarted,
            NodeDoubted: self._node_doubted,
            NodeLost: self._node_lost,
            WorkLost: self._work_lost,
            Offence: self._offence,
            Dropped: self._dropped,
        }
        "Which of the effects concern another plane; all others are for the driver."
        self.sealing = Sealing(
            me=self.me,
            mesh=credentials.mesh,
            epoch=self.epoch,
            sign=identity.sign,
            config=config.security,
            now=now,
        )
        self.control = ControlPlane(
            me=self.me,
            mesh=credentials.mesh,
            epoch=self.epoch,
            identity_sign=identity.sign,
            anchors=credentials.anchors,
            introduction=Introduction(
                certificates=credentials.chain,
                name=name,
                addresses=addresses,
                prekeys=self.sealing.prekeys(),
                offers=(),
                instance=self.instance,
                uptime_s=0.0,
                authorities=tuple(authority.authority_id for authority in credentials.authorities),
                version=version,
            ),
            config=config,
            rng=rng,
            now=now,
            wall_offset_s=self._offset_s,
            effects=self._said,
            alarm=self._alarm,
            reader=reader,
        )
        self.data = DataPlane(
            me=self.me,
            stream_epoch=self.epoch,
            sealing=self.sealing,
            router=self.control.router,
            directory=self.control,
            config=config.messaging,
            now=now,
            effects=self._said,
            alarm=self._alarm,
        )
        self.service = ServicePlane(
            me=self.me,
            instance=self.instance,
            offering=self.control.offering,
            path_to=self.control.path_to,
            config=config,
            rng=rng,
            stream_epoch=self.epoch,
            role_of=self.control.role_of,
            effects=self._said,
            alarm=self._alarm,
        )
        self._streams = self.epoch
        "The epoch of our streams: the first of this process."
        self.drops: dict[str, int] = {}
        "Drops counted outside the data plane, by reason."
        self.offences: dict[str, int] = {}
        "What neighbors did that no honest node does, by code."
        self._offers_version = -1

    # Inputs: what links hear.

    def link_up(self, peer: NodeId, *, peer_epoch: int, rtt_s: float, now: float) -> None:
        """A peer's hello was accepted."""
        self.control.link_up(peer, peer_epoch=peer_epoch, rtt_s=rtt_s, now=now)

    def link_down(self, peer: NodeId, *, cause: str, now: float) -> None:
        """The only link to a peer ended."""
        self.control.link_down(peer, cause=cause, now=now)

    def frame(self, peer: NodeId, kind: int, body: bytes, *, now: float) -> None:
        """One frame of a link that is up."""
        if kind == FrameType.ENVELOPE:
            self.data.receive(peer, body, now=now)
        elif kind in (FrameType.RECORDS, FrameType.DIGEST):
            self.control.receive(peer, kind, body, now=now)
        else:
            self._offence(
                Offence(peer, RefusalCode.MALFORMED, f"frame type {kind} after the hello")
            )

    def frame_dropped(
        self, peer: NodeId, kind: int, body: bytes | bytearray, *, now: float
    ) -> None:
        """A full send queue gave up a frame; envelopes are declared to their source."""
        if kind == FrameType.ENVELOPE:
            self.data.frame_dropped(body, "link_queue_full", now=now)
        else:
            self._count_drop("control_frame")
            self.control.frame_dropped(peer, now=now)

    # Inputs: what the node itself decides.

    def offer(self, record: AgedRecord, *, now: float) -> None:
        """A record that came outside of a RECORDS frame (a refusal's introduction)."""
        self.control.offer(record, from_peer=None, now=now)

    def own_key_said_hello(self, epoch: int, *, uptime_s: float, now: float) -> None:
        """A process with our key is at the other end of a connection; its epoch and uptime."""
        self.control.own_key_said_hello(epoch, uptime_s=uptime_s, now=now)

    def offers_changed(self, *, now: float) -> None:
        """Handlers were registered or removed: the introduction says so."""
        offers = () if self.service.retired else self.service.registry.offers()
        self.control.introduce(offers=offers, now=now)
        self.service.offers_changed(now=now)

    def retire(self, *, now: float) -> None:
        """Offer nothing any more: who waits for work here goes elsewhere, what runs may end."""
        self.service.close(now=now)
        self.offers_changed(now=now)

    def epoch_raised(self, boot: int, *, now: float) -> None:
        """The boot counter is on disk: everything of ours is signed and sealed again."""
        self.epoch = make_epoch(boot=boot, random_bits=self._rng.getrandbits(32))
        self.sealing.raise_epoch(self.epoch, now=now)
        self.control.epoch_raised(self.epoch, now=now)
        self.control.introduce(prekeys=self.sealing.prekeys(), now=now)
        self.data.raise_epoch(now=now)

    def clocks(self, *, now: float, wall: float) -> None:
        """The driver's two clocks, now and then; a jump between them replaces all sealing keys."""
        offset_s = wall - now
        jumped = abs(offset_s - self._offset_s) > CLOCK_JUMP_S
        self._offset_s = self.control.wall_offset_s = offset_s
        if jumped:
            self.sealing.raise_epoch(self.epoch, now=now)
            self.control.introduce(prekeys=self.sealing.prekeys(), now=now)
            self.data.raise_epoch(now=now)

    def advance(self, *, now: float) -> None:
        """Do what is due, and let the planes hear of each other. Costs little while nothing is."""
        if now >= self._alarm.at:
            self._advance_all(now)
        self._settle(now)

    def _advance_all(self, now: float) -> None:
        if self.sealing.advance(now=now):
            self.control.introduce(prekeys=self.sealing.prekeys(), now=now)
        self.control.advance(now=now)
        self.data.advance(now=now)
        if self._offers_version != self.control.roster.version:
            self._offers_version = self.control.roster.version
            # That a node lost its memory must be known before it is given anything.
            self._settle(now)
            self.service.offers_changed(now=now)
        self.service.advance(now=now)
        self._settle(now)
        due = earliest(
            self.sealing.next_deadline(),
            self.control.next_deadline(),
            self.data.next_timeout(),
            self.service.next_deadline(),
        )
        self._alarm.at = NEVER if due is None else due

    def flush(self, *, now: float) -> None:
        """Seal and emit what this turn produced."""
        if self._said:
            # A node must be known to be lost before anything is sent there: who had nothing of a
            # request when it was lost did not do the work.
            self._settle(now)
        self.data.flush(now=now)
        self._settle(now)

    # Outputs.

    def next_deadline(self) -> float | None:
        """When `advance` must be called at the latest; it may find that nothing is due then."""
        if self.data.wants_flush:
            return self.data.next_deadline()
        return None if self._alarm.at == NEVER else self._alarm.at

    def drain(self) -> list[Any]:
        """The effects for the driver, in order."""
        out, self._out = self._out, []
        return out

    # Rules.

    def _settle(self, now: float) -> None:
        """Tell the planes of each other until all is quiet; the rest is for the driver."""
        said, hears, out = self._said, self._hears, self._out
        told = 0
        try:
            # It grows meanwhile: what follows from something that was said comes behind it.
            for effect in said:
                told += 1
                hear = hears.get(type(effect))
                if hear is None:
                    out.append(effect)
                else:
                    hear(effect, now)
        finally:
            del said[:told]

    def _send_request(self, effect: SendRequest, now: float) -> None:
        request = effect.request
        if not self.service.wants(request.id):
            return
        try:
            self.data.send_request(effect.destination, request, priority=effect.priority)
        except MeshError as error:
            self.service.not_sent(request.id, error, now=now)

    def _requests_numbered(self, effect: RequestsNumbered, _: float) -> None:
        for request_id, message in effect.messages():
            self.service.numbered(request_id, message)

    def _send_response(self, effect: SendResponse, now: float) -> None:
        try:
            self.data.send_response(
                effect.destination,
                effect.response,
                priority=effect.priority,
                stream_epoch=effect.stream_epoch,
            )
        except PayloadError as error:
            self._send_response(unsendable(effect, error), now)
        except MeshError:
            # Its requester takes nothing in: it will hear of its deadline.
            self._count_drop("response_not_taken")

    def _cancel_request(self, effect: CancelRequest, _: float) -> None:
        cancel = Control(
            kind=ControlKind.CANCEL, number=effect.request_id, session_id=self._streams
        )
        self.data.send_control(effect.destination, cancel, priority=effect.priority)

    def _inbound_control(self, effect: InboundControl, now: float) -> None:
        control = effect.control
        if control.kind == ControlKind.CANCEL:
            self.service.receive_cancel(
                effect.source,
                stream_epoch=control.session_id,
                request_id=control.number,
                now=now,
            )
        else:
            self._out.append(effect)

    def _inbound_requests(self, effect: InboundRequests, now: float) -> None:
        self.service.receive_requests(effect, now=now)

    def _inbound_responses(self, effect: InboundResponses, now: float) -> None:
        self.service.receive_responses(effect, now=now)

    def _requests_returned(self, effect: RequestsReturned, now: float) -> None:
        self.service.requests_returned(effect, now=now)

    def _routes_changed(self, _: RoutesChanged, now: float) -> None:
        self.data.routes_changed(now=now)
        self.service.offers_changed(now=now)
        self._out.append(RoutesLead(self.control.router.next_hops()))

    def _peer_restarted(self, effect: PeerRestarted, now: float) -> None:
        node, same_process = effect.node, effect.same_process
        self.data.peer_restarted(node, same_process=same_process, now=now)
        self.service.peer_restarted(node, same_process=same_process, now=now)

    def _node_doubted(self, effect: NodeDoubted, _: float) -> None:
        self.service.node_doubted(effect.node, effect.reason)

    def _node_lost(self, effect: NodeLost, now: float) -> None:
        self.data.node_lost(effect.node, now=now)
        self.service.node_lost(effect.node, cause=effect.cause, now=now)

    def _work_lost(self, effect: WorkLost, now: float) -> None:
        self._out.append(
            Announce(
                WorkMoved(
                    at=now + self._offset_s,
                    node=effect.node,
                    label=self.control.label_of(effect.node),
                    cause=effect.cause,
                    moved=effect.moved,
                    failed=effect.failed,
                )
            )
        )

    def _dropped(self, effect: Dropped, _: float) -> None:
        self._count_drop(effect.reason, effect.count)

    def _offence(self, offence: Offence, _: float = 0.0) -> None:
        self.offences[offence.code] = self.offences.get(offence.code, 0) + 1
        self._out.append(CloseLink(offence.peer, offence.code, offence.text))

    def _count_drop(self, reason: str, count: int = 1) -> None:
        self.drops[reason] = self.drops.get(reason, 0) + count
