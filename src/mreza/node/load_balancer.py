"""LoadBalancer: the balancer as a program sees it, alone or over a mesh."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Protocol

from mreza.balancing.balancer import Balancer, OptimizationReport
from mreza.balancing.endpoint import Lease, NodeKey, NodeLoad
from mreza.config.load_balancer import Strategy
from mreza.errors import NotRunning
from mreza.events import MemberState
from mreza.ids import NodeId


class BalancedMember(Protocol):
    """What the balancer reads of a member."""

    @property
    def id(self) -> NodeId: ...
    @property
    def name(self) -> str: ...
    @property
    def state(self) -> MemberState: ...


class BalancedMesh(Protocol):
    """What the balancer needs of a `MeshNetwork`."""

    @property
    def members(self) -> Sequence[BalancedMember]:
        """All members, this node included; NotRunning before it runs."""
        ...

    def use_load_balancer(self, load_balancer: Any) -> None:
        """Let it pick the worker of every call from now on, and `attach` it."""
        ...


class LoadBalancer:
    """Picks who does the work.

    Given a mesh (`LoadBalancer(mesh=mesh)` or `MeshNetwork(load_balancer=balancer)`) it balances
    the calls of that mesh. Alone it balances whatever you feed it:
    `update(NodeLoad("a", in_flight=3, capacity=10))`, then `acquire()`, then `succeeded` or
    `failed` of the lease.

    Raises:
        ConfigError: a strategy that does not exist, or a threshold outside of (0, 1].
    """

    def __init__(
        self,
        strategy: Strategy | str = Strategy.ROUND_ROBIN,
        threshold: float = 0.8,
        mesh: BalancedMesh | None = None,
    ) -> None:
        self.balancer = Balancer(strategy=strategy, threshold=threshold)
        self._mesh: BalancedMesh | None = None
        if mesh is not None:
            mesh.use_load_balancer(self)
            self.attach(mesh)

    def attach(self, mesh: BalancedMesh) -> None:
        """Report on this mesh; a mesh calls it when it takes the balancer. The last one wins."""
        self._mesh = mesh

    @property
    def strategy(self) -> Strategy:
        return self.balancer.strategy

    @property
    def threshold(self) -> float:
        """Load above which a node gets no new work unless all are."""
        return self.balancer.threshold

    def update(self, load: NodeLoad) -> None:
        """A node's load was measured; a node not known before may get work from now on."""
        self.balancer.update(load)

    def remove(self, node: NodeKey) -> None:
        """The node gets no more work."""
        self.balancer.remove(node)

    def acquire(self, key: str | None = None, exclude: Collection[NodeKey] = ()) -> Lease:
        """Pick a node and count a piece of work there until the lease is ended.

        Raises:
            UnknownNode: there is no node to pick from.
        """
        return self.balancer.acquire(key, exclude, among=self._alive())

    def why(self, node: NodeKey) -> str:
        """One sentence: does this node get work now, and why."""
        return self.balancer.why(node)

    async def optimize(self) -> OptimizationReport:
        """Look at all nodes and say what is out of balance. Changes nothing in this version.

        Alone the report has `attached=False` and its advice says how to attach. Never raises.
        """
        if self._mesh is None:
            return self.balancer.optimize()
        return self.balancer.optimize(attached=True, names=self._alive())

    def _alive(self) -> dict[NodeKey, str] | None:
        """Names of the living members by id; None if there is no mesh."""
        if self._mesh is None:
            return None
        try:
            members = self._mesh.members
        except NotRunning:
            return {}
        return {member.id: member.name for member in members if member.state is MemberState.ALIVE}
