"""Presence on a local network: a small signed datagram, said by multicast every two seconds.

A beacon is a hint whom to dial; TLS then proves who is there. Its signature keeps a stranger from
speaking for a member; the rising stamp, from repeating an old one. A stranger can still make up
nodes, so those of which nothing else speaks are dialed with little patience (`candidates`). Beacons
of other meshes are normal and counted.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Callable

import msgspec

from mreza.address import Address
from mreza.errors import DecodeError, InvalidAddress
from mreza.ids import ID_BYTES, MeshId, NodeId
from mreza.token_bucket import TokenBucket
from mreza.wire.codec import ENCODER
from mreza.wire.link import BEACON, Beacon
from mreza.wire.records import ADDRESSES_MAX

SIGNATURE_CONTEXT = b"mreza/beacon/1"
QUICK = 5
"Beacons said quickly at start."
QUICK_INTERVAL_S = 0.2
CHECKS_PER_S = 100.0
"Signatures checked a second at most: 1.6 % of a core. 200 nodes say so much in two seconds."
HEARD_MAX = 4096
"Nodes whose last stamp is remembered; the one unheard for longest gives way."

Verify = Callable[[bytes, bytes, bytes], bool]
"(public key, signature, data): `mreza.security.identity.verify`."


class Ignored(enum.Enum):
    """Why a datagram is no news."""

    MALFORMED = "malformed"
    OTHER_MESH = "other_mesh"
    OURSELF = "ourself"
    REPEATED = "repeated"
    TOO_MANY = "too_many"
    FORGED = "forged"


class Heard(msgspec.Struct, frozen=True):
    """A member that is present and where it says it can be dialed."""

    node: NodeId
    epoch: int
    port: int
    addresses: tuple[Address, ...]


def signed_bytes(beacon: Beacon) -> bytes:
    """What the signature covers: all but itself."""
    content = (
        beacon.mesh,
        beacon.node,
        beacon.public_key,
        beacon.epoch,
        beacon.port,
        beacon.addresses,
        beacon.stamp_ms,
    )
    return SIGNATURE_CONTEXT + ENCODER.encode(content)


class BeaconSpeaker:
    """When to say what."""

    def __init__(
        self,
        *,
        mesh: MeshId,
        public_key: bytes,
        sign: Callable[[bytes], bytes],
        interval_s: float,
        now: float,
    ) -> None:
        self._mesh = mesh
        self._public_key = public_key
        self._sign = sign
        self._interval_s = interval_s
        self._said = 0
        self._due_at = now
        self._stamp_ms = 0

    def next_deadline(self) -> float:
        """When to speak next."""
        return self._due_at

    def speak(
        self, *, epoch: int, port: int, addresses: tuple[str, ...], now: float, wall: float
    ) -> bytes | None:
        """The next beacon if it is time, else None."""
        if now < self._due_at:
            return None
        self._said += 1
        self._due_at = now + (QUICK_INTERVAL_S if self._said < QUICK else self._interval_s)
        # A wall clock may stand still or go back; the stamp may not.
        self._stamp_ms = max(self._stamp_ms + 1, int(wall * 1000))
        unsigned = Beacon(
            mesh=self._mesh,
            node=_node_of(self._public_key),
            public_key=self._public_key,
            epoch=epoch,
            port=port,
            addresses=addresses[:ADDRESSES_MAX],
            stamp_ms=self._stamp_ms,
            signature=b"",
        )
        signature = self._sign(signed_bytes(unsigned))
        return BEACON.encode(msgspec.structs.replace(unsigned, signature=signature))


class BeaconListener:
    """What of all that is heard is true and new."""

    def __init__(self, *, me: NodeId, mesh: MeshId, verify: Verify) -> None:
        self._me = me
        self._mesh = mesh
        self._verify = verify
        self._stamps: dict[NodeId, tuple[int, int]] = {}
        "(epoch, stamp) last heard, the node heard last at the end."
        self._bucket = TokenBucket(rate_per_s=CHECKS_PER_S, burst=CHECKS_PER_S)
        self.ignored: dict[Ignored, int] = dict.fromkeys(Ignored, 0)
        "Counters."

    def receive(self, data: bytes, *, now: float) -> Heard | None:
        """Judge one datagram, the cheap questions first; None if there is nothing to learn."""
        try:
            beacon = BEACON.decode(data)
            addresses = tuple(
                Address.parse(text, default_port=beacon.port) for text in beacon.addresses
            )
        except (DecodeError, InvalidAddress):
            self.ignored[Ignored.MALFORMED] += 1
            return None
        why = self._why_ignored(beacon, now)
        if why is not None:
            self.ignored[why] += 1
            return None
        self._stamps.pop(beacon.node, None)
        if len(self._stamps) >= HEARD_MAX:
            del self._stamps[next(iter(self._stamps))]
        self._stamps[beacon.node] = (beacon.epoch, beacon.stamp_ms)
        return Heard(beacon.node, beacon.epoch, beacon.port, addresses)

    def _why_ignored(self, beacon: Beacon, now: float) -> Ignored | None:
        if beacon.mesh != self._mesh:
            return Ignored.OTHER_MESH
        if beacon.node == self._me:
            return Ignored.OURSELF
        last = self._stamps.get(beacon.node)
        if last is not None and (beacon.epoch, beacon.stamp_ms) <= last:
            return Ignored.REPEATED
        if _node_of(beacon.public_key) != beacon.node:
            return Ignored.FORGED
        if not self._bucket.take(now=now):
            return Ignored.TOO_MANY
        if not self._verify(beacon.public_key, beacon.signature, signed_bytes(beacon)):
            return Ignored.FORGED
        return None


def _node_of(public_key: bytes) -> NodeId:
    return NodeId(hashlib.sha256(public_key).digest()[:ID_BYTES])
