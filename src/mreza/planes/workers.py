"""Who could do a call, and who is asked: offers and paths as the mesh tells them, and the balancer.

Changes no call: it answers questions about one.
"""

from __future__ import annotations

from collections.abc import Callable

from mreza.balancing.balancer import Balancer
from mreza.balancing.endpoint import NodeLoad
from mreza.balancing.lease import Lease
from mreza.errors import Overloaded
from mreza.ids import NodeId
from mreza.planes.call import Call
from mreza.processes.handlers import Registry, idempotent_offer
from mreza.wire.packet import Load


class Workers:
    """The nodes that do work, as this node sees them."""

    def __init__(
        self,
        *,
        me: NodeId,
        offering: Callable[[str], tuple[NodeId, ...]],
        path_to: Callable[[NodeId], tuple[NodeId, ...]],
        registry: Registry,
        balancer: Balancer,
        inbox_requests: int,
    ) -> None:
        """`inbox_requests`: the bound of our own inboxes; those of others are taken to be alike."""
        self._me = me
        self._offering = offering
        self._path_to = path_to
        self._registry = registry
        self._inbox_requests = inbox_requests
        self._balancer = balancer
        self._doubted: dict[NodeId, str] = {}

    @property
    def balancer(self) -> Balancer:
        """Who picks; may be replaced, work in flight stays with the one before."""
        return self._balancer

    @balancer.setter
    def balancer(self, balancer: Balancer) -> None:
        self._balancer = balancer
        for node, reason in self._doubted.items():
            balancer.doubt(node, reason)

    # Inputs.

    def learn(self, node: NodeId, load: Load | None, now: float) -> None:
        """Tell the balancer how busy a node says it is."""
        if load is not None:
            figures = NodeLoad(
                node,
                in_flight=load.in_flight,
                capacity=load.capacity,
                cpu=None if load.cpu is None else load.cpu / 1000,
                memory=None if load.memory is None else load.memory / 1000,
                loop_lag_s=None if load.loop_lag_us is None else load.loop_lag_us / 1e6,
                room=load.capacity + self._inbox_requests,
            )
            self.balancer.update(figures, now=now)

    def doubt(self, node: NodeId, reason: str) -> None:
        """It cannot be reached now, for this reason; or it can be again, if that is empty."""
        if reason:
            self._doubted[node] = reason
            self._balancer.doubt(node, reason)
        else:
            self._doubted.pop(node, None)
            self._balancer.trust(node)

    def lost(self, node: NodeId) -> None:
        """It is not expected back soon."""
        self._doubted.pop(node, None)
        self._balancer.remove(node)

    # Outputs.

    def of(self, process: str) -> tuple[NodeId, ...]:
        """Who offers it now; about ourselves nobody knows better than the registry."""
        offering = self._offering(process)
        if (self._me in offering) == (process in self._registry):
            return offering
        others = tuple(node for node in offering if node != self._me)
        return (*others, self._me) if process in self._registry else others

    def can_reach(self, node: NodeId) -> bool:
        """Whether there is a path to it."""
        return node == self._me or len(self._path_to(node)) > 0

    def is_idempotent(self, call: Call, node: NodeId) -> bool:
        """Whether the work may be done twice: by the caller's word, ours, or that of `node`."""
        if call.idempotent or call.to_handler:
            return call.idempotent
        spec = self._registry.get(call.process)
        if spec is not None and spec.idempotent:
            return True
        return node in self._offering(idempotent_offer(call.process))

    def choose(self, call: Call, *, now: float) -> tuple[NodeId, Lease | None] | None:
        """Who gets it; None: nobody who has not refused it could.

        Raises:
            Overloaded: all who could have too much to do.
        """
        if call.to_handler:
            node = call.node
            if node is None or node in call.refused:
                return None
            return (node, None) if self.can_reach(node) else None
        candidates = self.of(call.process)
        if call.node is not None:
            if call.node not in candidates or call.node in call.refused:
                return None
            return call.node, self.balancer.lease_on(call.node, process=call.process, now=now)
        if all(node in call.refused for node in candidates):
            return None
        return self._lease(call, candidates, call.refused, now)

    def second(self, call: Call, *, asked: NodeId, now: float) -> tuple[NodeId, Lease] | None:
        """Who else gets it while `asked` is at work; None: nobody, or retries are used up."""
        candidates = self.of(call.process)
        exclude = [*call.refused, asked]
        if all(node in exclude for node in candidates):
            return None
        if not self.balancer.may_retry(call.process, now=now):
            return None
        try:
            return self._lease(call, candidates, exclude, now)
        except Overloaded:
            return None

    # Rules.

    def _lease(
        self, call: Call, candidates: tuple[NodeId, ...], exclude: list[NodeId], now: float
    ) -> tuple[NodeId, Lease]:
        lease = self.balancer.acquire(
            call.key,
            exclude,
            among=candidates,
            process=call.process,
            strategy=call.strategy,
            priority=call.priority,
            attempt=len(call.attempts) + 1,
            call=call.call_id,
            now=now,
        )
        return lease.node, lease  # type: ignore[return-value]  # one of the candidates
