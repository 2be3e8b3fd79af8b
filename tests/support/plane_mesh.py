"""Data planes with real sealing and real routers over modelled links, in virtual time.

No records here: everyone knows everyone's keys, and `connect` says who is linked to whom.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from typing import Any

import msgspec

from mreza.config.messaging import MessagingConfig
from mreza.config.security import SecurityConfig
from mreza.ids import MeshId, NodeId, make_epoch
from mreza.planes.data import DataPlane
from mreza.planes.effects import (
    InboundControl,
    InboundData,
    InboundRequests,
    InboundResponses,
    SendFrame,
)
from mreza.routing.router import Router
from mreza.routing.spf import shortest_paths
from mreza.security.identity import Identity
from mreza.security.sealing import Sealing
from mreza.wire.packet import Request, Response
from mreza.wire.records import Prekey

MESH = MeshId(b"m" * 16)
DELAY_S = 0.005


class Neighborhood:
    """The directory as one node sees it: what all share, and its own ways."""

    def __init__(self, mesh: PlaneMesh, router: Router) -> None:
        self._mesh = mesh
        self._router = router

    def epoch_of(self, node: NodeId) -> int | None:
        return self._mesh.epoch_of(node)

    def prekey_of(self, node: NodeId) -> Prekey | None:
        return self._mesh.prekey_of(node)

    def public_key_of(self, node: NodeId) -> bytes | None:
        return self._mesh.public_key_of(node)

    def path_to(self, destination: NodeId) -> tuple[NodeId, ...]:
        return self._router.path_to(destination)

    def is_whole(self, path: tuple[NodeId, ...]) -> bool:
        return all(pair in self._mesh.links for pair in itertools.pairwise(path))

    def detour_to(self, destination: NodeId) -> tuple[NodeId, ...]:
        usual = self.path_to(destination)
        weights: dict[NodeId, dict[NodeId, int]] = {node: {} for node in self._mesh.by_id}
        for a, b in self._mesh.links:
            if (a, b) != usual[:2] and not {a, b} & set(usual[1:-1]):
                weights[a][b] = 1 << 64
        return shortest_paths(weights, usual[0]).path_to(destination)


class PlaneNode:
    """One data plane, and what came out of it."""

    def __init__(self, mesh: PlaneMesh, name: str, identity: Identity, *, boot: int = 1) -> None:
        self.mesh = mesh
        self.name = name
        self.identity = identity
        self.id: NodeId = identity.node_id
        self.epoch = make_epoch(boot=boot, random_bits=7)
        self.sealing = Sealing(
            me=self.id,
            mesh=MESH,
            epoch=self.epoch,
            sign=identity.sign,
            config=SecurityConfig(),
            now=mesh.now,
        )
        self.router = Router(self.id)
        self.data = DataPlane(
            me=self.id,
            stream_epoch=self.epoch,
            sealing=self.sealing,
            router=self.router,
            directory=Neighborhood(mesh, self.router),
            config=mesh.config,
            now=mesh.now,
        )
        self.hangs = False
        "True: handlers never finish."
        self.payloads: list[Any] = []
        self.batches: list[InboundData] = []
        self.requests: list[Request] = []
        self.responses: list[Response] = []
        self.controls: list[tuple[str, Any]] = []
        self.effects: list[Any] = []
        "All others."

    def request(
        self, to: PlaneNode, number: int, *, timeout_ms: int = 5000, target: str = "work"
    ) -> None:
        payload = msgspec.Raw(msgspec.msgpack.encode(number))
        request = Request(number, target, payload, timeout_ms)
        self.data.send_request(to.id, request, priority=1)

    def turn(self) -> None:
        now = self.mesh.now
        self.data.advance(now=now)
        self.data.flush(now=now)
        for effect in self.data.drain():
            match effect:
                case SendFrame(peer=peer, body=body):
                    self.mesh.carry(self, peer, bytes(body))
                case InboundData():
                    self.batches.append(effect)
                    self.payloads += msgspec.msgpack.decode(effect.body)
                    if not self.hangs:
                        size = effect.credit_bytes
                        self.data.consumed(effect.source, effect.inbox, size, now=now)
                case InboundRequests():
                    self.requests += effect.requests
                case InboundResponses():
                    self.responses += effect.responses
                case InboundControl():
                    name = self.mesh.by_id[effect.source].name
                    self.controls.append((name, effect.control))
                case _:
                    self.effects.append(effect)


class PlaneMesh:
    """Nodes, links, and the directory that they all share."""

    def __init__(self, *names: str, config: MessagingConfig | None = None) -> None:
        self.config = config or MessagingConfig()
        self.now = 100.0
        self.nodes: dict[str, PlaneNode] = {}
        self.by_id: dict[NodeId, PlaneNode] = {}
        self.links: dict[tuple[NodeId, NodeId], bool] = {}
        self.unknown: set[NodeId] = set()
        "Nodes whose keys nobody knows."
        self.swallow: Callable[[str, str, bytes], bool] = lambda *_: False
        "Is this frame lost?"
        self.frames: list[tuple[str, str, bytes]] = []
        self._events: list[tuple[float, int, NodeId, NodeId, bytes]] = []
        self._order = 0
        for name in names:
            self.start(name, Identity.generate())

    @classmethod
    def line(cls, *names: str, config: MessagingConfig | None = None) -> PlaneMesh:
        mesh = cls(*names, config=config)
        mesh.connect(*itertools.pairwise(names))
        return mesh

    def start(self, name: str, identity: Identity, *, boot: int = 1) -> PlaneNode:
        node = PlaneNode(self, name, identity, boot=boot)
        self.nodes[name] = self.by_id[node.id] = node
        return node

    def restart(self, name: str) -> PlaneNode:
        """A new process with the same key; peers hear of it at once."""
        node = self.start(name, self.nodes[name].identity, boot=2)
        self.reroute()
        for other in self.nodes.values():
            if other is not node:
                other.data.peer_restarted(node.id, same_process=False, now=self.now)
        return node

    def __getitem__(self, name: str) -> PlaneNode:
        return self.nodes[name]

    # The directory.

    def epoch_of(self, node: NodeId) -> int | None:
        return None if node in self.unknown else self.by_id[node].epoch

    def prekey_of(self, node: NodeId) -> Prekey | None:
        return None if node in self.unknown else self.by_id[node].sealing.prekeys()[0]

    def public_key_of(self, node: NodeId) -> bytes | None:
        if node in self.unknown or node not in self.by_id:
            return None
        return self.by_id[node].identity.public_key

    # Links.

    def connect(self, *pairs: tuple[str, str]) -> None:
        for a, b in pairs:
            self.links[self[a].id, self[b].id] = self.links[self[b].id, self[a].id] = True
        self.reroute()

    def disconnect(self, *pairs: tuple[str, str]) -> None:
        for a, b in pairs:
            del self.links[self[a].id, self[b].id], self.links[self[b].id, self[a].id]
        self.reroute()

    def reroute(self) -> None:
        weights: dict[NodeId, dict[NodeId, int]] = {node: {} for node in self.by_id}
        for a, b in self.links:
            weights[a][b] = 1 << 64
        for node in self.nodes.values():
            for peer in self.by_id:
                if (node.id, peer) in self.links:
                    node.router.link_up(peer)
                else:
                    node.router.link_down(peer)
            node.router.install(shortest_paths(weights, node.id))
            node.data.routes_changed(now=self.now)

    def carry(self, sender: PlaneNode, peer: NodeId, body: bytes) -> None:
        receiver = self.by_id[peer]
        self.frames.append((sender.name, receiver.name, body))
        if (sender.id, peer) in self.links and not self.swallow(sender.name, receiver.name, body):
            self._order += 1
            at = self.now + DELAY_S
            heapq.heappush(self._events, (at, self._order, sender.id, peer, body))

    # Time.

    def run(self, *, seconds: float) -> None:
        """Turns of all nodes whenever something arrives or is due."""
        end = self.now + seconds
        while True:
            for node in self.nodes.values():
                node.turn()
            times = [node.data.next_deadline() for node in self.nodes.values()]
            known = [at for at in times if at is not None]
            if self._events:
                known.append(self._events[0][0])
            if not known or min(known) > end:
                self.now = end
                return
            self.now = max(self.now, min(known))
            while self._events and self._events[0][0] <= self.now:
                _, _, sender, peer, body = heapq.heappop(self._events)
                if (sender, peer) in self.links:
                    self.by_id[peer].data.receive(sender, body, now=self.now)
