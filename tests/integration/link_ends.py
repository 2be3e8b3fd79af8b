"""Nodes reduced to their links: real sockets and certificates, and a record of what was heard."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

from mreza.address import Address
from mreza.clock import Clock
from mreza.config.link import LinkConfig
from mreza.ids import NodeId
from mreza.io.clock import SystemClock
from mreza.link.quality import Quality
from mreza.node.links import Links, PeerRefusal
from mreza.security.authority import Authority, MeshSecrets, create_mesh
from mreza.security.credentials import Credentials
from mreza.security.identity import Identity
from mreza.wire.link import PROTOCOL_VERSION, Hello
from mreza.wire.records import AgedRecord


class MeshOfLinks:
    """An authority, and what it signs."""

    def __init__(self, name: str = "test") -> None:
        self.secrets: MeshSecrets = create_mesh(name, wall=time.time())
        self.authority = Authority(
            self.secrets.authority_key_pem, self.secrets.authority_der, self.secrets.root_der
        )

    def credentials(self, identity: Identity | None = None, **dates: Any) -> Credentials:
        identity = identity or Identity.generate()
        wall = dates.pop("wall", time.time())
        return Credentials(
            identity=identity,
            mesh=self.secrets.mesh,
            mesh_name=self.secrets.mesh_name,
            chain=self.authority.issue(identity.public_key, name="node", wall=wall, **dates),
            roots=(self.secrets.root_der,),
        )

    def pair(self) -> tuple[Credentials, Credentials]:
        """Credentials of two nodes, the smaller id first."""
        one, two = self.credentials(), self.credentials()
        return (one, two) if one.node_id < two.node_id else (two, one)


class LinkEnd:
    """A node's links, with `LinkEvents` that write down what they hear."""

    def __init__(
        self,
        credentials: Credentials,
        *,
        epoch: int = 1 << 32,
        config: LinkConfig | None = None,
        clock: Clock | None = None,
        **given: Any,
    ) -> None:
        self.epoch = epoch
        self.me = credentials.node_id
        self.mesh = credentials.mesh
        self.log: list[tuple[Any, ...]] = []
        self.frames: list[tuple[NodeId, int, bytes]] = []
        self.refusals: list[PeerRefusal] = []
        self.dropped: list[bytes] = []
        self.conflicts: list[tuple[int, AgedRecord | None]] = []
        self.rtts: list[float] = []
        self.address = Address("", 0)
        self.links = Links(
            credentials=credentials,
            hello=self._hello,
            config=config or LinkConfig(),
            events=self,
            clock=clock or SystemClock(),
            **given,
        )

    def _hello(self) -> Hello:
        return Hello(
            version=PROTOCOL_VERSION,
            features=(),
            epoch=self.epoch,
            uptime_s=1.0,
            name="node",
            addresses=(str(self.address),),
            mesh=self.mesh,
        )

    async def listen(self) -> Address:
        (self.address,) = await self.links.listen("127.0.0.1", 0)
        return self.address

    def link_up(
        self, peer: NodeId, hello: Hello, address: Address, *, dialed: bool, rtt_s: float
    ) -> None:
        assert rtt_s >= 0
        self.log.append(("up", peer, hello.epoch))

    def link_down(self, peer: NodeId, cause: str) -> None:
        self.log.append(("down", peer, cause))

    def link_measured(self, peer: NodeId, quality: Quality) -> None:
        self.rtts.append(quality.rtt_s)

    def link_reset(self, peer: NodeId) -> None:
        self.log.append(("reset", peer))

    def peer_gone(self, peer: NodeId) -> None:
        self.log.append(("gone", peer))

    def frame(self, peer: NodeId, kind: int, body: bytes) -> None:
        self.frames.append((peer, kind, body))

    def frame_dropped(self, peer: NodeId, kind: int, body: bytes | bytearray) -> None:
        self.dropped.append(bytes(body))

    def refused(self, refusal: PeerRefusal) -> None:
        self.refusals.append(refusal)

    def identity_conflict(
        self,
        address: Address,
        epoch: int,
        introduction: AgedRecord | None,
        *,
        uptime_s: float | None = None,
    ) -> None:
        self.conflicts.append((epoch, introduction))

    def codes(self) -> list[str]:
        return [refusal.code for refusal in self.refusals]


@contextlib.asynccontextmanager
async def ends(*made: LinkEnd) -> AsyncIterator[None]:
    """Listen with all of them, and close them whatever happens."""
    try:
        for end in made:
            await end.listen()
        yield
    finally:
        for end in made:
            await end.links.close(2.0)
