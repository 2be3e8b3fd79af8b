"""One node without I/O: the three planes joined, told things with `now`, drained of effects.

A driver (sockets in `mreza.node`, virtual time in the tests' world) calls the inputs, then
`advance` and `flush` once per turn, then carries out what `drain` returns. Facts cross between
planes here and nowhere else: a plane says what happened, the core passes it on.
"""

from __future__ import annotations

from random import Random
from typing import Any

from mreza.config.mesh import MeshConfig
from mreza.errors import MeshError, PayloadError
from mreza.events import WorkMoved
from mreza.ids import NodeId, make_epoch
from mreza.machine import earliest
from mreza.planes.answers import unsendable
from mreza.planes.control import ControlPlane
from mreza.planes.data import DataPlane
from mreza.planes.effects import (
    Announce,
    CancelRequest,
    CloseLink,
    Dropped,
    InboundControl,
    InboundData,
    InboundRequests,
    InboundResponses,
    NodeLost,
    Offence,
    PeerRestarted,
    RequestsNumbered,
    RequestsReturned,
    Resolve,
    RoutesChanged,
    RunHandler,
    SendFrame,
    WorkLost,
)
from mreza.planes.service import SendRequest, SendResponse, ServicePlane
from mreza.security.credentials import Credentials
from mreza.security.sealing import Sealing
from mreza.wire.frame import FrameType
from mreza.wire.link import RefusalCode
from mreza.wire.packet import Control, ControlKind
from mreza.wire.records import AgedRecord, Introduction

CLOCK_JUMP_S = 10.0
"A wall clock that moved this much against the monotonic one: a suspended or cloned machine."


_FOR_THE_DRIVER = frozenset((SendFrame, InboundData, RunHandler, Resolve))
"The effects that come once per envelope or call: they need no look at the table of the others."


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
    ) -> None:
        identity = credentials.identity
        self.me: NodeId = identity.node_id
        self.epoch = make_epoch(boot=boot, random_bits=rng.getrandbits(32))
        self.instance = rng.getrandbits(63)
        self._rng = rng
        self._offset_s = wall - now
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
        )
        self.data = DataPlane(
            me=self.me,
            stream_epoch=self.epoch,
            sealing=self.sealing,
            router=self.control.router,
            directory=self.control,
            config=config.messaging,
            now=now,
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
        )
        self._streams = self.epoch
        "The epoch of our streams: the first of this process."
        self.drops: dict[str, int] = {}
        "Drops counted outside the data plane, by reason."
        self.offences: dict[str, int] = {}
        "What neighbors did that no honest node does, by code."
        self._offers_version = -1
        self._out: list[Any] = []

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
        """Do what is due and let the planes hear of each other until all is quiet."""
        if self.sealing.advance(now=now):
            self.control.introduce(prekeys=self.sealing.prekeys(), now=now)
        self.control.advance(now=now)
        self.data.advance(now=now)
        if self._offers_version != self.control.roster.version:
            self._offers_version = self.control.roster.version
            self.service.offers_changed(now=now)
        self.service.advance(now=now)
        self._settle(now)

    def flush(self, *, now: float) -> None:
        """Seal and emit what this turn produced."""
        self.data.flush(now=now)
        self._settle(now)

    # Outputs.

    def next_deadline(self) -> float | None:
        """When `advance` must be called at the latest."""
        return earliest(
            self.sealing.next_deadline(),
            self.control.next_deadline(),
            self.data.next_deadline(),
            self.service.next_deadline(),
        )

    def drain(self) -> list[Any]:
        """The effects for the driver, in order."""
        out, self._out = self._out, []
        return out

    # Rules.

    def _settle(self, now: float) -> None:
        planes, out = (self.control, self.data, self.service), self._out
        quiet = 0
        while quiet < len(planes):
            for plane in planes:
                effects = plane.drain()
                quiet = 0 if effects else quiet + 1
                for effect in effects:
                    if type(effect) in _FOR_THE_DRIVER:
                        out.append(effect)
                    else:
                        self._pass_on(effect, now)

    def _pass_on(self, effect: Any, now: float) -> None:
        match effect:
            case SendRequest(destination, request, priority):
                try:
                    self.data.send_request(destination, request, priority=priority)
                except MeshError as error:
                    self.service.not_sent(request.id, error, now=now)
            case RequestsNumbered():
                for request_id, message in effect.messages():
                    self.service.numbered(request_id, message)
            case SendResponse(destination, response, priority, stream_epoch):
                try:
                    self.data.send_response(
                        destination, response, priority=priority, stream_epoch=stream_epoch
                    )
                except PayloadError as error:
                    self._pass_on(unsendable(effect, error), now)
                except MeshError:
                    # Its requester takes nothing in: it will hear of its deadline.
                    self._count_drop("response_not_taken")
            case CancelRequest(destination, request_id, priority):
                cancel = Control(
                    kind=ControlKind.CANCEL, number=request_id, session_id=self._streams
                )
                self.data.send_control(destination, cancel, priority=priority)
            case InboundControl(source, control) if control.kind == ControlKind.CANCEL:
                self.service.receive_cancel(
                    source, stream_epoch=control.session_id, request_id=control.number, now=now
                )
            case InboundRequests():
                self.service.receive_requests(effect, now=now)
            case InboundResponses():
                self.service.receive_responses(effect, now=now)
            case RequestsReturned():
                self.service.requests_returned(effect, now=now)
            case RoutesChanged():
                self.data.routes_changed(now=now)
                self.service.offers_changed(now=now)
            case PeerRestarted(node, _, same_process):
                self.data.peer_restarted(node, same_process=same_process, now=now)
                self.service.peer_restarted(node, same_process=same_process, now=now)
            case NodeLost(node, cause):
                self.data.node_lost(node, now=now)
                self.service.node_lost(node, cause=cause, now=now)
            case WorkLost(node, cause, moved, failed):
                self._out.append(
                    Announce(
                        WorkMoved(
                            at=now + self._offset_s,
                            node=node,
                            label=self.control.label_of(node),
                            cause=cause,
                            moved=moved,
                            failed=failed,
                        )
                    )
                )
            case Offence():
                self._offence(effect)
            case Dropped(reason, count):
                self._count_drop(reason, count)
            case _:
                self._out.append(effect)

    def _offence(self, offence: Offence) -> None:
        self.offences[offence.code] = self.offences.get(offence.code, 0) + 1
        self._out.append(CloseLink(offence.peer, offence.code, offence.text))

    def _count_drop(self, reason: str, count: int = 1) -> None:
        self.drops[reason] = self.drops.get(reason, 0) + count
