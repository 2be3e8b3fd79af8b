"""LoadBalancer: the balancer as a program sees it, alone or over a mesh."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol, Self

from mreza.balancing.balancer import Balancer
from mreza.balancing.endpoint import NodeKey, NodeLoad
from mreza.balancing.lease import Lease
from mreza.balancing.report import OptimizationReport
from mreza.clock import Clock
from mreza.config.load_balancer import LoadBalancerConfig, Strategy
from mreza.errors import NotRunning
from mreza.events import MemberState
from mreza.ids import NodeId
from mreza.io.host import current_host
from mreza.qos import Priority


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


class TimedLease(Lease):
    """A lease that looks at the clock itself when it is ended."""

    __slots__ = ("_clock",)
    _clock: Clock

    @classmethod
    def of(cls, lease: Lease, clock: Clock) -> Self:
        """The same lease with a clock; `lease` itself is not used any more."""
        timed = cls.__new__(cls)
        for name in Lease.__slots__:
            setattr(timed, name, getattr(lease, name))
        timed._clock = clock
        return timed

    def succeeded(self, latency_s: float, *, now: float | None = None) -> None:
        super().succeeded(latency_s, now=self._clock.monotonic() if now is None else now)

    def failed(self, error: BaseException, *, now: float | None = None) -> None:
        super().failed(error, now=self._clock.monotonic() if now is None else now)


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
        *,
        per_process: Mapping[str, Strategy | str] | None = None,
        load_max_age_s: float = 5.0,
        clock: Clock | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self._clock = clock or current_host().clock
        self.balancer = Balancer(
            strategy=strategy,
            threshold=threshold,
            per_process=per_process,
            load_max_age_s=load_max_age_s,
            rng=rng or current_host().random(),
        )
        self._mesh: BalancedMesh | None = None
        if mesh is not None:
            mesh.use_load_balancer(self)
            self.attach(mesh)

    @classmethod
    def from_config(cls, config: LoadBalancerConfig) -> Self:
        """With the settings of a section `load_balancer`."""
        return cls(
            config.strategy,
            config.threshold,
            per_process=config.per_process,
            load_max_age_s=config.load_max_age_s,
        )

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
        self.balancer.update(load, now=self._clock.monotonic())

    def remove(self, node: NodeKey) -> None:
        """The node gets no more work."""
        self.balancer.remove(node)

    def acquire(
        self,
        key: str | None = None,
        exclude: Collection[NodeKey] = (),
        *,
        process: str = "",
        strategy: Strategy | str | None = None,
        priority: Priority = Priority.NORMAL,
    ) -> Lease:
        """Pick a node and count a piece of work there until the lease is ended.

        Raises:
            UnknownNode: there is no node to pick from.
            Overloaded: all nodes are above what work of this priority may use.
        """
        lease = self.balancer.acquire(
            key,
            exclude,
            among=self._alive(),
            process=process,
            strategy=strategy,
            priority=priority,
            now=self._clock.monotonic(),
        )
        return TimedLease.of(lease, self._clock)

    def why(self, subject: NodeKey | int | Lease) -> str:
        """Of a node: does it get work now, and why. Of a call or a lease: why that node has it."""
        return self.balancer.why(subject, now=self._clock.monotonic())

    async def optimize(self, *, dry_run: bool = False) -> OptimizationReport:
        """Look at all nodes, say what is out of balance, and move keys away from where it is.

        Keys are those of calls under CONSISTENT_HASH; a dry run moves nothing and says what it
        would. Alone the report has `attached=False`, and its advice says how to attach. Never
        raises.
        """
        now = self._clock.monotonic()
        if self._mesh is None:
            return self.balancer.optimize(dry_run=dry_run, now=now)
        return self.balancer.optimize(attached=True, names=self._alive(), dry_run=dry_run, now=now)

    def _alive(self) -> dict[NodeKey, str] | None:
        """Names of the living members by id; None if there is no mesh."""
        if self._mesh is None:
            return None
        try:
            members = self._mesh.members
        except NotRunning:
            return {}
        return {member.id: member.name for member in members if member.state is MemberState.ALIVE}
