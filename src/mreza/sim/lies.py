"""Nodes that do not do what they should: what a malicious program in a node's place could send.

A lie stands between a node's core and its links (`SimNode.lies`): it sees each frame that leaves,
and says what leaves in its place. It has the node's key, and nobody else's.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import NamedTuple, Protocol

import msgspec

from mreza.ids import NodeId
from mreza.routing.router import Forward
from mreza.sim.link import Way
from mreza.sim.node import SimNode
from mreza.wire.envelope import HOP_LIMIT, decode_envelope
from mreza.wire.frame import FrameType
from mreza.wire.records import (
    LINKS,
    RECORDS,
    AgedRecord,
    LinksBody,
    Record,
    RecordKind,
    RecordsBody,
)


class Frame(NamedTuple):
    """One frame that leaves a node over a way."""

    way: Way
    kind: int
    body: bytes
    after_s: float = 0.0
    "How long it is held back."


class Lie(Protocol):
    """What leaves a node in place of what should."""

    def __call__(self, frame: Frame) -> Iterable[Frame]: ...


class DropTransit:
    """A relay that gives up what others sent, and declares nothing."""

    def __init__(self, *, share: float, rng: Random) -> None:
        self._share = share
        self._rng = rng
        self.dropped = 0

    def __call__(self, frame: Frame) -> Iterable[Frame]:
        if _in_transit(frame) and self._rng.random() < self._share:
            self.dropped += 1
            return ()
        return (frame,)


class DelayTransit:
    """A relay that holds back what others sent."""

    def __init__(self, *, seconds: float) -> None:
        self._seconds = seconds

    def __call__(self, frame: Frame) -> Iterable[Frame]:
        if _in_transit(frame):
            return (frame._replace(after_s=frame.after_s + self._seconds),)
        return (frame,)


class Tamper:
    """A relay that changes the last byte of what others sealed."""

    def __init__(self) -> None:
        self.changed = 0

    def __call__(self, frame: Frame) -> Iterable[Frame]:
        if not _in_transit(frame):
            return (frame,)
        self.changed += 1
        return (frame._replace(body=frame.body[:-1] + bytes((frame.body[-1] ^ 1,))),)


class RenewHopLimit:
    """A relay that lets envelopes live for ever."""

    def __call__(self, frame: Frame) -> Iterable[Frame]:
        if not _in_transit(frame):
            return (frame,)
        envelope = decode_envelope(frame.body)
        envelope.hop_limit = HOP_LIMIT
        return (frame._replace(body=envelope.encode()),)


class Replay:
    """A node that says everything again that it has said, long after."""

    def __init__(self, *, after_s: float) -> None:
        self._after_s = after_s
        self.replayed = 0

    def __call__(self, frame: Frame) -> Iterable[Frame]:
        self.replayed += 1
        return (frame, frame._replace(after_s=frame.after_s + self._after_s))


class Equivocate:
    """A node that signs one number for two contents: some peers hear of no links of it."""

    def __init__(self, node: SimNode, *, to: Iterable[str]) -> None:
        self._node = node
        self._to = set(to)
        self._signed: dict[tuple[int, int], Record] = {}

    def __call__(self, frame: Frame) -> Iterable[Frame]:
        if frame.kind != FrameType.RECORDS or frame.way.target.name not in self._to:
            return (frame,)
        records = tuple(self._other(aged) for aged in RECORDS.decode(frame.body).records)
        return (frame._replace(body=RECORDS.encode(RecordsBody(records))),)

    def _other(self, aged: AgedRecord) -> AgedRecord:
        record = aged.record
        if record.origin != self._node.id or record.kind != RecordKind.LINKS:
            return aged
        lie = self._signed.get(record.version)
        if lie is None:
            body = LINKS.encode(LinksBody(()))
            unsigned = msgspec.structs.replace(record, body=body, signature=b"")
            mesh = self._node.world.trust.anchors.mesh
            signature = self._node.disk.identity.sign(unsigned.signed_bytes(mesh))
            lie = msgspec.structs.replace(unsigned, signature=signature)
            self._signed[record.version] = lie
        return AgedRecord(lie, aged.age_s)


def claim_link(liar: SimNode, victim: SimNode) -> None:
    """Have a node sign a link that the other end does not have."""
    now = liar.clock.monotonic()
    liar.core.link_up(victim.id, peer_epoch=victim.core.epoch, rtt_s=0.0001, now=now)
    liar.wake()


def force_next_hop(node: SimNode, destination: SimNode, next_hop: SimNode) -> None:
    """Give a node a wrong route until it computes routes again."""
    router = node.core.control.router
    router._forward[destination.id] = Forward(next_hop.id)


def _in_transit(frame: Frame) -> bool:
    """An envelope that this node passes on."""
    if frame.kind != FrameType.ENVELOPE:
        return False
    source: NodeId = decode_envelope(frame.body).source
    return source != frame.way.source.id
