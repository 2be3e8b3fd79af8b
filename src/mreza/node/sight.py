"""What a program sees of its node: members, links, routes, counters, events, round trips."""

from __future__ import annotations

import abc
import asyncio
from collections.abc import AsyncIterator
from typing import Any

from mreza.errors import DeadlineExceeded, NotRunning, UnknownNode
from mreza.events import Event, MemberState
from mreza.ids import NodeId
from mreza.node.running import RunningNode
from mreza.node.views import LinkInfo, MemberInfo, PartitionInfo, RouteInfo, TraceHop
from mreza.wire.envelope import HOP_LIMIT

Node = NodeId | str
"A node's id, its 26 letters, or its name."

PING_TIMEOUT_S = 5.0


class Sight(abc.ABC):
    """The half of `MeshNetwork` that asks and changes nothing."""

    @property
    @abc.abstractmethod
    def _node(self) -> RunningNode:
        """The node that runs; NotRunning if there is none."""

    @property
    def members(self) -> list[MemberInfo]:
        """Every node this one knows of, itself included."""
        return self._node.observer.members(now=self._node.now)

    @property
    def links(self) -> list[LinkInfo]:
        return self._node.observer.links()

    @property
    def routes(self) -> list[RouteInfo]:
        return self._node.observer.routes()

    @property
    def partitions(self) -> list[PartitionInfo]:
        """The partitions of the mesh that last, as seen from here; empty while it is one."""
        return self._node.observer.partitions(now=self._node.now)

    def snapshot(self) -> dict[str, Any]:
        """Counters of this node since it started; keys are stable."""
        return self._node.observer.snapshot()

    def status(self) -> dict[str, Any]:
        """The JSON of `mreza status`."""
        node = self._node
        return node.observer.status(now=node.now, listen=node.listen_addresses)

    def events(self) -> AsyncIterator[Event]:
        """What happens from now on. A listener that falls far behind loses the oldest."""
        return self._node.hub.listen()

    @property
    def event_history(self) -> list[Event]:
        """The last few hundred events, oldest first."""
        return self._node.hub.history

    async def wait_for(self, node: Node, *, timeout_s: float | None = None) -> MemberInfo:
        """Wait until this node is known and can be reached: before a first `send`, for example.

        Raises:
            DeadlineExceeded: it was not, in time (`MessagingConfig.timeout_s`, if none is given).
            AmbiguousName: several nodes have this name.
            NotRunning: this node was closed meanwhile.
        """
        running = self._node

        def reached() -> MemberInfo | None:
            try:
                found = running.observer.member(running.program.resolve(node), now=running.now)
            except UnknownNode:
                return None
            return found if found is not None and found.state is MemberState.ALIVE else None

        limit_s = running.config.messaging.timeout_s if timeout_s is None else timeout_s
        try:
            async with asyncio.timeout(limit_s):
                member = await running.hub.until(reached)
        except TimeoutError:
            raise DeadlineExceeded(
                f"no node {str(node)!r} was reached in {limit_s:g} s; `members` has those that are"
            ) from None
        if member is None:
            raise NotRunning(f"the node was closed while it waited for {str(node)!r}")
        return member

    async def ping(
        self,
        node: Node,
        *,
        count: int = 1,
        interval_s: float = 1.0,
        timeout_s: float = PING_TIMEOUT_S,
    ) -> list[float | None]:
        """Round-trip times through the mesh, in seconds; None for one not answered in time."""
        return await self._node.program.ping(
            node, count=count, interval_s=interval_s, timeout_s=timeout_s
        )

    async def trace(self, node: Node, *, timeout_s: float = PING_TIMEOUT_S) -> list[TraceHop]:
        """The nodes on the way to `node`, each with the round trip that it answered itself.

        Raises:
            NoRoute: not even the first hop answered.
        """
        return await self._node.program.trace(node, timeout_s=timeout_s, hops_max=HOP_LIMIT - 1)
