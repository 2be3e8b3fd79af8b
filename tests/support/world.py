"""A mesh in virtual time: real node cores, modelled links. No socket, no sleep.

A link here is what TCP and TLS give: frames arrive in order after a delay, or the link ends. `loss`
models relays that give up envelopes: it touches ENVELOPE frames only. A silent cut swallows frames
until both ends notice.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

import msgspec

from mreza.config.mesh import MeshConfig
from mreza.events import Event, MemberState
from mreza.ids import NodeId
from mreza.planes.core import NodeCore
from mreza.planes.effects import (
    Announce,
    CancelHandler,
    CloseLink,
    InboundControl,
    InboundData,
    RaiseEpoch,
    Resolve,
    RunHandler,
    SendFrame,
    Stop,
)
from mreza.processes.handlers import ProcessSpec
from mreza.qos import Delivery, Priority
from mreza.routing.router import Forward
from mreza.security.authority import Authority, create_mesh
from mreza.security.certificates import TrustAnchors
from mreza.security.credentials import Credentials
from mreza.security.identity import Identity
from mreza.wire.frame import FrameType
from mreza.wire.packet import Failure, Status

WALL = 1_800_000_000.0
NOTICE_S = 0.3
"How long a silent cut stays unnoticed."
REDIAL_S = 0.5


class SimLink:
    """One way for frames between two nodes, both directions."""

    def __init__(self, ends: tuple[str, str], *, delay_s: float, loss: float) -> None:
        self.ends = ends
        self.delay_s = delay_s
        self.loss = loss
        self.cut = False
        self.up = False
        self.generation = 0
        "Frames of an earlier generation are lost with their connection."

    def other(self, name: str) -> str:
        return self.ends[1] if name == self.ends[0] else self.ends[0]


class SimNode:
    """A node core, its key and boot counter (its disk), and what its application saw."""

    def __init__(self, world: World, name: str, identity: Identity, *, boot: int = 0) -> None:
        self.world = world
        self.name = name
        self.identity = identity
        self.boot = boot
        self.alive = False
        self.frozen = False
        self.handled: list[tuple[NodeId, int, int, int, int, Any]] = []
        "(source, stream epoch, priority, sequence, place, payload) of every DATA message."
        self.served: list[tuple[str, int]] = []
        "(process, request id) of every run of a process."
        self.cancelled: list[int] = []
        "Runs that nobody waits for. Handlers here take no notice and end when they do."
        self.outcomes: dict[int, Resolve] = {}
        self.controls: list[InboundControl] = []
        self.events: list[Event] = []
        self.stopped: Exception | None = None
        self.processes: dict[str, tuple[ProcessSpec, Callable[[Any], Any]]] = {}
        self.handler_s = 0.0
        "How long a handler takes."
        self.core: NodeCore
        self.turn_due: float | None = None
        self.timer_at: float | None = None
        self.start()

    @property
    def id(self) -> NodeId:
        return self.identity.node_id

    def start(self) -> None:
        """Boot: everything but the key and the boot counter is new."""
        world = self.world
        self.boot += 1
        self.alive, self.frozen = True, False
        self.core = NodeCore(
            credentials=world.credentials(self.identity, self.name),
            name=self.name,
            addresses=(f"{self.name}.example:7467",),
            boot=self.boot,
            config=world.config,
            rng=Random(world.rng.getrandbits(64)),  # noqa: S311 - a seeded world
            now=world.now,
            wall=world.wall,
        )
        for spec, _ in self.processes.values():
            self.core.service.registry.register(spec)
        self.core.offers_changed(now=world.now)
        world.wake(self)

    # What a program would do.

    def send(
        self,
        to: str,
        payload: Any,
        *,
        priority: Priority = Priority.NORMAL,
        delivery: Delivery = Delivery.AT_LEAST_ONCE,
    ) -> None:
        self.core.data.send(self.world.nodes[to].id, payload, priority=priority, delivery=delivery)
        self.world.wake(self)

    def process(
        self, name: str, function: Callable[[Any], Any], *, idempotent: bool = False
    ) -> None:
        spec = ProcessSpec(name=name, handler=function, idempotent=idempotent)
        self.processes[name] = (spec, function)
        self.core.service.registry.register(spec)
        self.core.offers_changed(now=self.world.now)
        self.world.wake(self)

    def call(
        self,
        process: str,
        payload: Any,
        *,
        node: str | None = None,
        timeout_s: float = 30.0,
        to_handler: bool = False,
    ) -> int:
        call_id = self.core.service.call(
            process,
            msgspec.Raw(msgspec.msgpack.encode(payload)),
            node=None if node is None else self.world.nodes[node].id,
            timeout_s=timeout_s,
            priority=Priority.NORMAL,
            key=None,
            headers=None,
            target_is_handler=to_handler,
            now=self.world.now,
        )
        self.world.wake(self)
        return call_id

    def view(self) -> set[str]:
        """Names of the nodes that this one sees alive, itself included."""
        members = self.core.control.roster.members
        alive = {m.name for m in members.values() if m.state is MemberState.ALIVE}
        return alive | {self.name}


class World:
    """Nodes, links and a clock; everything that happens is an entry of one heap."""

    def __init__(self, *, seed: int = 0, config: MeshConfig | None = None) -> None:
        self.rng = Random(seed)  # noqa: S311 - a seeded world
        self.now = 1000.0
        self.config = config or MeshConfig()
        self._wall_offset = WALL - self.now
        secrets = create_mesh("test", wall=self.wall)
        self.authority = Authority(
            secrets.authority_key_pem, secrets.authority_der, secrets.root_der
        )
        self.anchors = TrustAnchors(secrets.mesh, (secrets.root_der,))
        self.nodes: dict[str, SimNode] = {}
        self.links: dict[tuple[str, str], SimLink] = {}
        self.envelopes: list[tuple[str, str, bytes]] = []
        "Every envelope put on a link: (from, to, body)."
        self.record_envelopes = False
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()

    @property
    def wall(self) -> float:
        return self.now + self._wall_offset

    def credentials(self, identity: Identity, name: str) -> Credentials:
        chain = self.authority.issue(identity.public_key, name=name, role="member", wall=self.wall)
        return Credentials(
            identity=identity,
            mesh=self.anchors.mesh,
            mesh_name="test",
            chain=chain,
            roots=self.anchors.roots,
            authorities=(),
        )

    # Building.

    def add(self, *names: str) -> list[SimNode]:
        for name in names:
            self.nodes[name] = SimNode(self, name, Identity.generate())
        return [self.nodes[name] for name in names]

    def link(self, a: str, b: str, *, delay_s: float = 0.005, loss: float = 0.0) -> SimLink:
        ends = (min(a, b), max(a, b))
        link = self.links[ends] = SimLink(ends, delay_s=delay_s, loss=loss)
        self._connect(link)
        return link

    def line(self, *names: str, delay_s: float = 0.005, loss: float = 0.0) -> list[SimNode]:
        nodes = self.add(*names)
        for a, b in itertools.pairwise(names):
            self.link(a, b, delay_s=delay_s, loss=loss)
        return nodes

    def grow(self, count: int, *, degree: int = 3) -> World:
        """A connected random mesh of `count` nodes named n0, n1, …"""
        self.add(*(f"n{i}" for i in range(count)))
        for i in range(1, count):
            for j in self.rng.sample(range(i), min(i, degree)):
                self.link(f"n{i}", f"n{j}", delay_s=self.rng.uniform(0.001, 0.02))
        return self

    def clone(self, original: str, name: str) -> SimNode:
        """Start a copy of a node's disk: the same key and boot counter, in another process."""
        source = self.nodes[original]
        self.nodes[name] = SimNode(self, name, source.identity, boot=source.boot)
        return self.nodes[name]

    # Lying.

    def claim_link(self, liar: SimNode, victim: SimNode) -> None:
        """Have a node sign a link that the other end does not have."""
        liar.core.link_up(victim.id, peer_epoch=victim.core.epoch, rtt_s=0.0001, now=self.now)
        self.wake(liar)

    def force_next_hop(self, node: SimNode, destination: SimNode, next_hop: SimNode) -> None:
        """Give a node a wrong route until it computes routes again."""
        router = node.core.control.router
        router._forward[destination.id] = Forward(next_hop.id)

    # Breaking.

    def cut(self, a: str, b: str) -> None:
        """Frames vanish; both ends notice after a while."""
        link = self.links[min(a, b), max(a, b)]
        link.cut = True
        self.after(NOTICE_S, lambda: self._disconnect(link, "silent") if link.cut else None)

    def repair(self, a: str, b: str) -> None:
        self.links[min(a, b), max(a, b)].cut = False

    def crash(self, name: str) -> None:
        """kill -9: neighbors see a reset at once, and redials are refused."""
        self.nodes[name].alive = False
        for link in self._links_of(name):
            self._disconnect(link, "gone")

    def restart(self, name: str) -> SimNode:
        self.nodes[name].start()
        return self.nodes[name]

    @contextmanager
    def partitioned(self, side: Iterable[str] | None = None) -> Iterator[None]:
        """Cut every link between `side` (default: the first half) and the rest."""
        names = list(self.nodes)
        left = set(names[: len(names) // 2] if side is None else side)
        crossing = [link for link in self.links.values() if len(left.intersection(link.ends)) == 1]
        for link in crossing:
            self.cut(*link.ends)
        yield
        for link in crossing:
            self.repair(*link.ends)

    # Time.

    def run(self, *, seconds: float) -> None:
        end = self.now + seconds
        while self._events and self._events[0][0] <= end:
            at, _, action = heapq.heappop(self._events)
            self.now = max(self.now, at)
            action()
        self.now = end

    def run_until(self, condition: Callable[[], bool], *, within_s: float) -> float:
        """Run until the condition holds; the seconds it took. AssertionError if it never did."""
        start = self.now
        while not condition():
            assert self.now - start < within_s, f"not reached within {within_s} virtual seconds"
            self.run(seconds=0.01)
        return self.now - start

    def after(self, delay_s: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now + delay_s, next(self._order), action))

    def wake(self, node: SimNode) -> None:
        """The node has a turn at the end of this instant."""
        if node.turn_due is None:
            node.turn_due = self.now
            self.after(0.0, lambda: self._turn(node))

    # Questions.

    def every_view(self) -> dict[str, set[str]]:
        return {node.name: node.view() for node in self.nodes.values() if node.alive}

    def agree(self) -> bool:
        """Every living node sees exactly the living nodes."""
        alive = {node.name for node in self.nodes.values() if node.alive}
        return all(view == alive for view in self.every_view().values())

    def link_between(self, a: str, b: str) -> SimLink | None:
        """The link of two nodes, if it is up."""
        link = self.links.get((min(a, b), max(a, b)))
        return link if link is not None and link.up else None

    # Inside.

    def _links_of(self, name: str) -> list[SimLink]:
        return [link for link in self.links.values() if name in link.ends]

    def _turn(self, node: SimNode) -> None:
        node.turn_due = None
        if not node.alive:
            return
        if node.frozen:
            self.after(0.05, lambda: self.wake(node))
            return
        core = node.core
        core.advance(now=self.now)
        core.flush(now=self.now)
        for effect in core.drain():
            self._carry_out(node, effect)
        deadline = core.next_deadline()
        if deadline is not None and (node.timer_at is None or deadline < node.timer_at):
            node.timer_at = deadline
            self.after(max(0.0, deadline - self.now), lambda: self._timer(node, deadline))

    def _timer(self, node: SimNode, at: float) -> None:
        if node.timer_at == at:
            node.timer_at = None
        self.wake(node)

    def _carry_out(self, node: SimNode, effect: Any) -> None:
        match effect:
            case SendFrame():
                self._send(node, effect)
            case CloseLink(peer, code):
                link = self._link_between(node, peer)
                if link is not None:
                    self._disconnect(link, code)
            case Announce(event):
                node.events.append(event)
            case RaiseEpoch(boot):
                node.boot = max(node.boot + 1, boot)
                node.core.epoch_raised(node.boot, now=self.now)
                for link in self._links_of(node.name):
                    self._disconnect(link, "closed")
                self.wake(node)
            case Stop(error):
                node.stopped = error
                self.crash(node.name)
            case InboundData():
                self._deliver(node, effect)
            case InboundControl():
                node.controls.append(effect)
            case RunHandler():
                core = node.core
                self.after(node.handler_s, lambda: self._serve(node, core, effect))
            case Resolve():
                assert effect.call_id not in node.outcomes, "a call was resolved twice"
                node.outcomes[effect.call_id] = effect
            case CancelHandler(run_id):
                node.cancelled.append(run_id)
            case _:
                pass

    def _deliver(self, node: SimNode, batch: InboundData) -> None:
        head = (batch.source, batch.stream_epoch, batch.priority, batch.sequence)
        for place, payload in enumerate(msgspec.msgpack.decode(batch.body)):
            node.handled.append((*head, place, payload))
        node.core.data.consumed(batch.source, batch.inbox, batch.credit_bytes, now=self.now)
        self.wake(node)

    def _serve(self, node: SimNode, core: NodeCore, effect: RunHandler) -> None:
        if not node.alive or node.core is not core:
            return
        node.served.append((effect.request.target, effect.request.id))
        payload = msgspec.msgpack.decode(effect.request.payload)
        function = node.processes.get(effect.request.target, (None, lambda value: value))[1]
        try:
            result: bytes | None = msgspec.msgpack.encode(function(payload))
            failure, status = None, Status.OK
        except Exception as error:  # noqa: BLE001 - what a handler raises is the result
            result, status = None, Status.FAILED
            failure = Failure(type_name=type(error).__name__, message=str(error))
        core.service.finished(
            effect.run_id, result=result, failure=failure, status=status, now=self.now
        )
        self.wake(node)

    def _send(self, node: SimNode, frame: SendFrame) -> None:
        link = self._link_between(node, frame.peer)
        if link is None or not link.up:
            return
        body = bytes(frame.body)
        if frame.kind == FrameType.ENVELOPE:
            if self.record_envelopes:
                self.envelopes.append((node.name, link.other(node.name), body))
            if link.loss and self.rng.random() < link.loss:
                return
        peer = self.nodes[link.other(node.name)]
        generation, core = link.generation, peer.core

        def arrive() -> None:
            if link.cut or link.generation != generation or peer.core is not core or not peer.alive:
                return
            if peer.frozen:
                self.after(0.05, arrive)
                return
            peer.core.frame(node.id, frame.kind, body, now=self.now)
            self.wake(peer)

        self.after(link.delay_s, arrive)

    def _link_between(self, node: SimNode, peer: NodeId) -> SimLink | None:
        found = None
        for link in self._links_of(node.name):
            if self.nodes[link.other(node.name)].id == peer:
                if link.up:
                    return link
                found = link
        return found

    def _connect(self, link: SimLink) -> None:
        """Dial now and again until it works, as Links would."""
        a, b = (self.nodes[name] for name in link.ends)
        if not link.up and not link.cut and a.alive and b.alive and self._welcome(a, b):
            link.up = True
            link.generation += 1
            for one, other in ((a, b), (b, a)):
                one.core.link_up(
                    other.id, peer_epoch=other.core.epoch, rtt_s=2 * link.delay_s, now=self.now
                )
                self.wake(one)
        elif not link.up:
            self.after(REDIAL_S * self.rng.uniform(0.8, 1.2), lambda: self._connect(link))

    def _welcome(self, a: SimNode, b: SimNode) -> bool:
        """False if one of them shows an older epoch than the other knows; it is told so."""
        welcome = True
        for host, guest in ((a, b), (b, a)):
            epoch = guest.core.epoch
            newest = host.core.control.newest_introduction(guest.id)
            known = 0 if newest is None else newest.record.epoch
            for link, twin in self._twins(host, guest):
                known = max(known, twin.core.epoch)
                if twin.core.epoch < epoch:
                    self._disconnect(link, "old_epoch")
            if known > epoch:
                if newest is not None:
                    guest.core.offer(newest, now=self.now)
                    self.wake(guest)
                welcome = False
        return welcome

    def _twins(self, host: SimNode, guest: SimNode) -> list[tuple[SimLink, SimNode]]:
        """Links that `host` has to other processes with the guest's key."""
        found = []
        for link in self._links_of(host.name):
            twin = self.nodes[link.other(host.name)]
            if link.up and twin is not guest and twin.id == guest.id:
                found.append((link, twin))
        return found

    def _disconnect(self, link: SimLink, cause: str) -> None:
        if not link.up:
            return
        link.up = False
        link.generation += 1
        for name in link.ends:
            node, peer = self.nodes[name], self.nodes[link.other(name)]
            if node.alive:
                node.core.link_down(peer.id, cause=cause, now=self.now)
                self.wake(node)
        self.after(REDIAL_S * self.rng.uniform(0.8, 1.2), lambda: self._connect(link))
