"""Control planes in virtual time: links with a delay between them, cut and healed, from a seed.

Signatures are hashes, so that thousands cost nothing: what is tested is who believes what.
"""

from __future__ import annotations

import hashlib
import heapq
import itertools
from collections.abc import Callable, Iterable
from functools import partial
from random import Random
from typing import Any, TypeVar

from mreza.config.mesh import MeshConfig
from mreza.errors import CertificateRejected
from mreza.events import Event
from mreza.ids import MeshId, NodeId, make_epoch
from mreza.planes.control import ControlPlane
from mreza.planes.effects import Announce, RaiseEpoch, SendFrame
from mreza.planes.reading import RecordReader
from mreza.security.certificates import MemberCertificate
from mreza.security.identity import node_id_of
from mreza.wire.records import AgedRecord, Introduction, Prekey, Record

MESH = MeshId(b"mesh of the test")
WALL = 1_700_000_000.0
"Wall clock at virtual time zero."
EVENTS_AT_ONE_INSTANT_MAX = 100_000

E = TypeVar("E")


class FakeKey:
    """A key whose signature is a hash. Stands in for Ed25519."""

    def __init__(self, name: str) -> None:
        self.public = hashlib.sha256(name.encode()).digest()
        self.node_id = node_id_of(self.public)

    def sign(self, data: bytes) -> bytes:
        return hashlib.blake2b(self.public + data).digest()


def fake_verify(public_key: bytes, signature: bytes, data: bytes) -> bool:
    return hashlib.blake2b(public_key + data).digest() == signature


class FakeAnchors:
    """Believes a chain of one 'certificate', the raw public key, unless it was expired by hand."""

    def __init__(self) -> None:
        self.rejected: dict[bytes, str] = {}
        self.checked = 0

    def check_chain(self, certificates: tuple[bytes, ...], *, wall: float) -> MemberCertificate:
        self.checked += 1
        if not certificates or len(certificates[0]) != 32:
            raise CertificateRejected("no chain", code="malformed")
        key = certificates[0]
        if key in self.rejected:
            raise CertificateRejected("by hand", code=self.rejected[key])
        return MemberCertificate(
            node_id=node_id_of(key),
            public_key=key,
            role="member",
            authority_id=bytes(16),
            serial=1,
            not_before=wall - 86400,
            not_after=wall + 86400,
            mesh=MESH,
        )


def introduction(key: FakeKey, *, name: str = "", instance: int = 1, **more: Any) -> Introduction:
    """An introduction that `FakeAnchors` believes."""
    given: dict[str, Any] = {
        "certificates": (key.public,),
        "name": name,
        "addresses": (),
        "prekeys": (Prekey(1, bytes(32)),),
        "offers": (),
        "instance": instance,
        "uptime_s": 0.0,
    }
    return Introduction(**{**given, **more})


def signed(
    key: FakeKey,
    kind: int,
    body: bytes,
    *,
    epoch: int = make_epoch(boot=1, random_bits=0),
    sequence: int = 1,
    slot: bytes = b"",
) -> Record:
    """A record with a right signature."""
    record = Record(key.node_id, kind, slot, epoch, sequence, body, b"")
    signature = key.sign(record.signed_bytes(MESH))
    return Record(key.node_id, kind, slot, epoch, sequence, body, signature)


class WorldNode:
    """One process: a control plane and all it ever asked for, with the time."""

    def __init__(self, name: str, key: FakeKey, plane: ControlPlane, boot: int) -> None:
        self.name = name
        self.key = key
        self.plane = plane
        self.boot = boot
        self.alive = True
        self.obeys = True
        "False: does not raise its epoch when asked."
        self.effects: list[tuple[float, Any]] = []
        self.wakes_at: float | None = None
        self.frames_sent = 0

    @property
    def id(self) -> NodeId:
        return self.key.node_id

    def heard(self, kind: type[E]) -> list[E]:
        """Effects, or events in an Announce, of this type, in order."""
        found: list[E] = []
        for _, effect in self.effects:
            value = effect.event if isinstance(effect, Announce) else effect
            if isinstance(value, kind):
                found.append(value)
        return found

    def forget_effects(self) -> None:
        self.effects = []


class FakeReader(RecordReader):
    def verify(self, public_key: bytes, signature: bytes, data: bytes) -> bool:
        return fake_verify(public_key, signature, data)


class ControlWorld:
    """Processes and links. Every run with one seed is the same run."""

    def __init__(
        self, *, seed: int = 1, delay_s: float = 0.005, config: MeshConfig | None = None
    ) -> None:
        self.rng = Random(seed)  # noqa: S311
        self.now = 0.0
        self.delay_s = delay_s
        self.config = config or MeshConfig()
        self.anchors = FakeAnchors()
        self.nodes: dict[str, WorldNode] = {}
        self.links: dict[tuple[str, str], int] = {}
        "Both directions of each link, with the number of its incarnation."
        self._numbers = itertools.count(1)
        self._queue: list[tuple[float, int, Callable[[], None]]] = []

    # Building

    def node(
        self,
        name: str,
        *,
        boot: int = 1,
        identity: str | None = None,
        label: str | None = None,
        uptime_s: float = 0.0,
        **introduced: Any,
    ) -> WorldNode:
        """Start a process. `identity`: whose key it has, its own by default."""
        key = FakeKey(identity or name)
        plane = ControlPlane(
            me=key.node_id,
            mesh=MESH,
            epoch=make_epoch(boot=boot, random_bits=self.rng.getrandbits(32)),
            identity_sign=key.sign,
            anchors=self.anchors,
            introduction=introduction(
                key,
                name=label or identity or name,
                instance=self.rng.getrandbits(63),
                uptime_s=uptime_s,
                **introduced,
            ),
            config=self.config,
            rng=Random(self.rng.random()),  # noqa: S311
            now=self.now,
            wall_offset_s=WALL,
            reader=FakeReader(),
        )
        node = WorldNode(name, key, plane, boot)
        self.nodes[name] = node
        self._pump(node)
        return node

    def grow(self, names: Iterable[str]) -> list[WorldNode]:
        return [self.node(name) for name in names]

    def line(self, *names: str) -> list[WorldNode]:
        """Nodes linked one after the other, settled for a second."""
        nodes = self.grow(names)
        for a, b in itertools.pairwise(names):
            self.link(a, b)
        self.run(1.0)
        return nodes

    def link(self, a: str, b: str) -> None:
        number = next(self._numbers)
        self.links[a, b] = self.links[b, a] = number
        ends = (self.nodes[a], self.nodes[b])
        for near, far in (ends, ends[::-1]):
            near.plane.link_up(
                far.id, peer_epoch=far.plane.epoch, rtt_s=2 * self.delay_s, now=self.now
            )
        for end in ends:
            self._pump(end)

    def cut(self, a: str, b: str, *, cause: str = "silent") -> None:
        del self.links[a, b], self.links[b, a]
        ends = (self.nodes[a], self.nodes[b])
        for near, far in (ends, ends[::-1]):
            if near.alive:
                near.plane.link_down(far.id, cause=cause, now=self.now)
                self._pump(near)

    def neighbors(self, name: str) -> list[str]:
        return [b for a, b in self.links if a == name]

    def crash(self, name: str, *, gone: bool = True) -> None:
        """End a process without a word. `gone`: its neighbors are refused when they dial again."""
        node = self.nodes[name]
        node.alive = False
        for other in self.neighbors(name):
            self.cut(name, other, cause="reset")
            if gone:
                self._at(0.3, partial(self._gone, self.nodes[other], node.id))

    def restart(self, name: str, *, boot: int | None = None) -> WorldNode:
        """Start the process again with its next boot counter."""
        return self.node(name, boot=self.nodes[name].boot + 1 if boot is None else boot)

    # Running

    def run(self, seconds: float) -> None:
        """Let virtual time pass."""
        end = self.now + seconds
        instant, count = self.now, 0
        while self._queue and self._queue[0][0] <= end:
            at, _, action = heapq.heappop(self._queue)
            count = count + 1 if at == instant else 0
            instant = at
            assert count < EVENTS_AT_ONE_INSTANT_MAX, f"time stands still at {at}"
            self.now = max(self.now, at)
            action()
        self.now = end

    def do(self, name: str, action: Callable[[ControlPlane], object]) -> None:
        """Call a node's plane and carry out what it asks for."""
        node = self.nodes[name]
        action(node.plane)
        self._pump(node)

    def inject(self, to: str, frm: str, kind: int, body: bytes) -> None:
        """A frame that arrives at `to` as if its peer `frm` had sent it."""
        peer = self.nodes[frm].id
        self.do(to, lambda plane: plane.receive(peer, kind, body, now=self.now))

    def offer(self, to: str, frm: str | None, aged: AgedRecord) -> None:
        peer = None if frm is None else self.nodes[frm].id
        self.do(to, lambda plane: plane.offer(aged, from_peer=peer, now=self.now))

    def events(self, name: str, kind: type[Event]) -> list[Event]:
        return self.nodes[name].heard(kind)

    # Rules

    def _at(self, delay_s: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._queue, (self.now + delay_s, next(self._numbers), action))

    def _gone(self, peer: WorldNode, node: NodeId) -> None:
        if peer.alive and not peer.plane.router.has_link(node):
            peer.plane.link_down(node, cause="gone", now=self.now)
            self._pump(peer)

    def _pump(self, node: WorldNode) -> None:
        node.plane.advance(now=self.now)
        for effect in node.plane.drain():
            if isinstance(effect, SendFrame):
                self._carry(node, effect)
                continue
            node.effects.append((self.now, effect))
            if isinstance(effect, RaiseEpoch) and node.obeys:
                self._at(0.001, partial(self._raise, node, effect.boot))
        deadline = node.plane.next_deadline()
        if deadline is not None and (node.wakes_at is None or deadline < node.wakes_at):
            node.wakes_at = max(deadline, self.now)
            self._at(node.wakes_at - self.now, partial(self._wake, node, node.wakes_at))

    def _wake(self, node: WorldNode, at: float) -> None:
        if node.alive and node.wakes_at == at:
            node.wakes_at = None
            node.plane.advance(now=self.now)
            self._pump(node)

    def _raise(self, node: WorldNode, boot: int) -> None:
        if node.alive:
            node.boot = boot
            bits = self.rng.getrandbits(32)
            node.plane.epoch_raised(make_epoch(boot=boot, random_bits=bits), now=self.now)
            self._pump(node)

    def _carry(self, node: WorldNode, frame: SendFrame) -> None:
        """A frame arrives after the delay, if its link still is the same one then."""
        node.frames_sent += 1
        for other in self.nodes.values():
            number = self.links.get((node.name, other.name))
            if other.id == frame.peer and number is not None:
                body = bytes(frame.body)
                arrive = partial(self._arrive, node, other, number, frame.kind, body)
                self._at(self.delay_s, arrive)

    def _arrive(self, frm: WorldNode, to: WorldNode, number: int, kind: int, body: bytes) -> None:
        if to.alive and self.links.get((frm.name, to.name)) == number:
            to.plane.receive(frm.id, kind, body, now=self.now)
            self._pump(to)
