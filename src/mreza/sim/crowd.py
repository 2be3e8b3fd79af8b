"""One real node in a mesh of thousands that are only heard of: their signed records, as a stream.

Everything that the node gets is what its neighbors would pass on to it: real introductions with
real certificates, links of both ends, farewells, all signed. So what a node pays for the size of a
mesh can be measured without running the mesh. The others are linked as a large mesh is: two
successors on each of two rings, and others at random, until they have `degree` links each.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import msgspec

from mreza.ids import NodeId, make_epoch
from mreza.security.identity import Identity
from mreza.sim.trust import Trust
from mreza.wire.records import (
    FAREWELL,
    INTRODUCTION,
    LINKS,
    FarewellBody,
    Introduction,
    LinkEntry,
    LinksBody,
    Prekey,
    Record,
    RecordKind,
)

RING_SUCCESSORS = 2
COST = (96, 246)
"Of a link: from a short wire to one of 120 ms."


class Other:
    """A node that is only heard of."""

    __slots__ = ("costs", "epoch", "identity", "name", "sequence")

    def __init__(self, identity: Identity, name: str, epoch: int) -> None:
        self.identity = identity
        self.name = name
        self.epoch = epoch
        self.costs: dict[NodeId, int] = {}
        "What it says that its links cost, by peer."
        self.sequence = 0

    @property
    def id(self) -> NodeId:
        return self.identity.node_id


class Crowd:
    """The other members of a mesh, and what they sign."""

    def __init__(
        self, count: int, *, me: Identity, trust: Trust, rng: Random, degree: int = 12
    ) -> None:
        self._trust = trust
        self._mesh = trust.anchors.mesh
        self._rng = rng
        self._degree = degree
        self._born = 0
        self.me = Other(me, "me", 0)
        self.nodes: dict[NodeId, Other] = {}
        for _ in range(count):
            self._add()
        self._wire_up()

    # What happens in the mesh: each returns the records that are signed because of it.

    def everything(self) -> Iterator[Record]:
        """All that somebody who joins has to learn."""
        for other in self.nodes.values():
            yield self._introduction(other)
            yield self._links(other)

    def refresh(self) -> list[Record]:
        """One node says again what it said, because its records grow old."""
        other = self._anyone()
        return [self._introduction(other), self._links(other)]

    def change_cost(self) -> list[Record]:
        """A link became slower or faster; both ends say so."""
        other = self._anyone()
        peer = self.nodes.get(self._rng.choice(list(other.costs)))
        if peer is None:
            return []
        other.costs[peer.id] = peer.costs[other.id] = self._rng.randint(*COST)
        return [self._links(other), self._links(peer)]

    def leave(self) -> list[Record]:
        """A node that is no neighbor of ours says goodbye; its peers list it no more."""
        other = self._anyone(but=self.me.costs)
        del self.nodes[other.id]
        records = [self._sign(other, RecordKind.FAREWELL, FAREWELL.encode(FarewellBody("left")))]
        for peer in self._peers(other):
            del peer.costs[other.id]
            records.append(self._links(peer))
        return records

    def join(self) -> list[Record]:
        """A new node, with links to some."""
        peers = self._rng.sample(list(self.nodes.values()), min(self._degree, len(self.nodes)))
        other = self._add()
        for peer in peers:
            self._connect(other, peer)
        return [
            self._introduction(other),
            self._links(other),
            *(self._links(peer) for peer in peers),
        ]

    # Rules.

    def _add(self) -> Other:
        self._born += 1
        epoch = make_epoch(boot=1, random_bits=self._rng.getrandbits(32))
        other = Other(self._trust.identity(), f"n{self._born}", epoch)
        self.nodes[other.id] = other
        return other

    def _wire_up(self) -> None:
        everybody = [self.me, *self.nodes.values()]
        for _ in range(2):
            ring = self._rng.sample(everybody, len(everybody))
            for place, one in enumerate(ring):
                for ahead in range(1, RING_SUCCESSORS + 1):
                    self._connect(one, ring[(place + ahead) % len(ring)])
        for one in everybody:
            while len(one.costs) < min(self._degree, len(everybody) - 1):
                self._connect(one, self._rng.choice(everybody))

    def _connect(self, one: Other, other: Other) -> None:
        if one is not other and other.id not in one.costs:
            one.costs[other.id] = other.costs[one.id] = self._rng.randint(*COST)

    def _anyone(self, *, but: dict[NodeId, int] | None = None) -> Other:
        names = list(self.nodes)
        while True:
            node = self._rng.choice(names)
            if but is None or node not in but:
                return self.nodes[node]

    def _peers(self, other: Other) -> list[Other]:
        return [self.nodes[peer] for peer in other.costs if peer in self.nodes]

    def _introduction(self, other: Other) -> Record:
        credentials = self._trust.credentials(other.identity, other.name)
        body = Introduction(
            certificates=credentials.chain,
            name=other.name,
            addresses=("192.0.2.1:7467", "[2001:db8::1]:7467"),
            prekeys=(Prekey(1, bytes(32)), Prekey(2, bytes(32))),
            offers=("work",),
            instance=other.epoch,
            uptime_s=60.0,
        )
        return self._sign(other, RecordKind.INTRODUCTION, INTRODUCTION.encode(body))

    def _links(self, other: Other) -> Record:
        links = tuple(LinkEntry(peer, cost) for peer, cost in other.costs.items())
        return self._sign(other, RecordKind.LINKS, LINKS.encode(LinksBody(links)))

    def _sign(self, other: Other, kind: RecordKind, body: bytes) -> Record:
        other.sequence += 1
        record = Record(other.id, kind, b"", other.epoch, other.sequence, body, b"")
        signature = other.identity.sign(record.signed_bytes(self._mesh))
        return msgspec.structs.replace(record, signature=signature)
