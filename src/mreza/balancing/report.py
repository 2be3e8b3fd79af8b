"""What the balancer tells about all nodes together."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec

from mreza.balancing.endpoint import NodeKey, NodeLoad
from mreza.balancing.rebalance import Move
from mreza.config.load_balancer import Strategy

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
    moves: tuple[Move, ...] = ()
    "Keys that were moved (of a dry run: would be). Work in flight stays where it is."
    advice: tuple[str, ...] = ()
    dry_run: bool = False
    "True: nothing was changed."

    def __str__(self) -> str:
        head = f"{self.strategy} over {len(self.nodes)} nodes, threshold {self.threshold:.0%}"
        lines = [
            f"  {load.label}: {load.in_flight} of {load.capacity} in flight, load {load.load:.0%}"
            for load in self.nodes.values()
        ]
        verb = "would move" if self.dry_run else "moved"
        return "\n".join([head, *lines, *(f"{verb} {move}" for move in self.moves), *self.advice])


def advice_on(
    nodes: Mapping[NodeKey, NodeLoad],
    overloaded: Collection[NodeKey],
    threshold: float,
    *,
    attached: bool,
) -> tuple[str, ...]:
    """What whoever runs the nodes could do."""
    advice: list[str] = []
    if not attached and not nodes:
        advice.append(HOW_TO_ATTACH)
    elif not attached:
        advice.append("attach a mesh to balance it: LoadBalancer(mesh=mesh)")
    if nodes and len(overloaded) == len(nodes):
        advice.append(f"all nodes are above {threshold:.0%}: add a node, or send less")
    elif overloaded:
        labels = ", ".join(nodes[node].label for node in overloaded)
        advice.append(f"above {threshold:.0%}, no new work until they calm down: {labels}")
    return tuple(advice)
