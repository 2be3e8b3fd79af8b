"""Who does the work: strategies behind guards, and an account of every choice."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import msgspec

from mreza.balancing.endpoint import Endpoint, Lease, NodeKey, NodeLoad, order_of
from mreza.balancing.round_robin import RoundRobin
from mreza.config.load_balancer import Strategy, strategy_of
from mreza.errors import ConfigError, UnknownNode

__all__ = ["Balancer", "Lease", "OptimizationReport"]

HOW_TO_ATTACH = (
    "this balancer knows no nodes: attach it with LoadBalancer(mesh=mesh) or "
    "MeshNetwork(load_balancer=balancer), or feed it with update(NodeLoad(...))"
)


class OptimizationReport(msgspec.Struct, frozen=True):
    """What the balancer sees, what it has changed, and what it would have you do."""

    attached: bool
    "True: it balances a mesh."
    strategy: Strategy
    threshold: float
    nodes: dict[NodeKey, NodeLoad]
    "Every node that could get work, with its load, in the order of ids."
    overloaded: tuple[NodeKey, ...]
    "Nodes above the threshold: they get no new work unless all are."
    moves: tuple[str, ...] = ()
    "What was moved. Empty: work in flight stays where it is."
    advice: tuple[str, ...] = ()

    def __str__(self) -> str:
        head = f"{self.strategy} over {len(self.nodes)} nodes, threshold {self.threshold:.0%}"
        lines = [
            f"  {load.label}: {load.in_flight} of {load.capacity} in flight, load {load.load:.0%}"
            for load in self.nodes.values()
        ]
        return "\n".join([head, *lines, *self.advice])


class Balancer:
    """Picks a node for each piece of work and counts what is in flight where. Knows no clock."""

    def __init__(
        self, *, strategy: Strategy | str = Strategy.ROUND_ROBIN, threshold: float = 0.8
    ) -> None:
        if not 0.0 < threshold <= 1.0:
            raise ConfigError(f"threshold is {threshold}: must be above 0 and at most 1")
        self.strategy = strategy_of(strategy)
        self.threshold = threshold
        self._turns = RoundRobin()
        self._endpoints: dict[NodeKey, Endpoint] = {}

    # Inputs.

    def update(self, load: NodeLoad) -> None:
        """A node's load was measured; a node not known before may get work from now on."""
        self._endpoint(load.node).report(load)

    def remove(self, node: NodeKey) -> None:
        """The node gets no more work. Leases at it may still be ended."""
        self._endpoints.pop(node, None)

    def acquire(
        self,
        key: str | None = None,
        exclude: Collection[NodeKey] = (),
        *,
        among: Iterable[NodeKey] | None = None,
        process: str = "",
    ) -> Lease:
        """Pick a node: one of `among` (None: of all known), in turn for each `process`.

        `key` is for strategies that keep equal keys together; ROUND_ROBIN does not look at it.

        Raises:
            UnknownNode: there is no node to pick from.
        """
        del key
        known = self._endpoints if among is None else among
        candidates = sorted((node for node in known if node not in exclude), key=order_of)
        if not candidates:
            raise UnknownNode(
                "none is left of the nodes that could do this work"
                if exclude or among is not None
                else HOW_TO_ATTACH
            )
        endpoints = [self._endpoint(node) for node in candidates]
        calm = [endpoint for endpoint in endpoints if not endpoint.is_above(self.threshold)]
        return Lease(self._turns.pick(calm or endpoints, process=process))

    def lease_on(self, node: NodeKey) -> Lease:
        """Count work that somebody else has placed on `node`."""
        return Lease(self._endpoint(node))

    # Outputs.

    def load_of(self, node: NodeKey) -> NodeLoad:
        """The load of a node; of one never heard of, that of an idle one."""
        endpoint = self._endpoints.get(node)
        return NodeLoad(node) if endpoint is None else endpoint.now

    def why(self, node: NodeKey) -> str:
        """One sentence: does this node get work now, and why."""
        endpoint = self._endpoints.get(node)
        if endpoint is None:
            return f"{NodeLoad(node).label} gets no work: the balancer has not heard of it"
        load = endpoint.now
        busy = f"{load.in_flight} of {load.capacity} in flight"
        if load.cpu is not None:
            busy += f", CPU {load.cpu:.0%}"
        past = f"{endpoint.picks} picks, {endpoint.succeeded} succeeded, {endpoint.failed} failed"
        if endpoint.latency_s is not None:
            past += f", {endpoint.latency_s * 1000:.1f} ms each"
        if not endpoint.is_above(self.threshold):
            verdict = f"gets work in its turn: {busy}, threshold {self.threshold:.0%}"
        elif all(other.is_above(self.threshold) for other in self._endpoints.values()):
            verdict = f"gets work in its turn, because all are above {self.threshold:.0%}: {busy}"
        else:
            verdict = f"gets no new work while above {self.threshold:.0%}: {busy}"
        return f"{load.label} {verdict}; {past}"

    def optimize(
        self, *, attached: bool = False, names: Mapping[NodeKey, str] | None = None
    ) -> OptimizationReport:
        """Look at all nodes, or at those in `names`, and say what is out of balance."""
        known = self._endpoints if names is None else names
        nodes: dict[NodeKey, NodeLoad] = {}
        overloaded: list[NodeKey] = []
        for node in sorted(known, key=order_of):
            endpoint = self._endpoint(node)
            name = names[node] if names else endpoint.now.name
            nodes[node] = msgspec.structs.replace(endpoint.now, name=name)
            if endpoint.is_above(self.threshold):
                overloaded.append(node)
        return OptimizationReport(
            attached=attached,
            strategy=self.strategy,
            threshold=self.threshold,
            nodes=nodes,
            overloaded=tuple(overloaded),
            advice=self._advice(nodes, overloaded, attached=attached),
        )

    # Rules.

    def _advice(
        self, nodes: Mapping[NodeKey, NodeLoad], overloaded: Collection[NodeKey], *, attached: bool
    ) -> tuple[str, ...]:
        advice: list[str] = []
        if not attached and not nodes:
            advice.append(HOW_TO_ATTACH)
        elif not attached:
            advice.append("attach a mesh to balance it: LoadBalancer(mesh=mesh)")
        if nodes and len(overloaded) == len(nodes):
            advice.append(f"all nodes are above {self.threshold:.0%}: add a node, or send less")
        elif overloaded:
            labels = ", ".join(nodes[node].label for node in overloaded)
            advice.append(f"above {self.threshold:.0%}, no new work until they calm down: {labels}")
        return tuple(advice)

    def _endpoint(self, node: NodeKey) -> Endpoint:
        endpoint = self._endpoints.get(node)
        if endpoint is None:
            endpoint = self._endpoints[node] = Endpoint(node)
        return endpoint
