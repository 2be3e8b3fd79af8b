"""What whoever runs the nodes is told."""

from __future__ import annotations

import pytest

from mreza.balancing.endpoint import NodeKey, NodeLoad
from mreza.balancing.report import HOW_TO_ATTACH, advice_on

NODES: dict[NodeKey, NodeLoad] = {name: NodeLoad(name) for name in "ab"}


@pytest.mark.parametrize(
    ("nodes", "overloaded", "attached", "advice"),
    [
        ({}, (), False, (HOW_TO_ATTACH,)),
        ({}, (), True, ()),
        (NODES, (), True, ()),
        (NODES, (), False, ("attach a mesh to balance it: LoadBalancer(mesh=mesh)",)),
        (NODES, ("b",), True, ("above 80%, no new work until they calm down: b",)),
        (NODES, ("a", "b"), True, ("all nodes are above 80%: add a node, or send less",)),
    ],
)
def test_advice(
    nodes: dict[NodeKey, NodeLoad],
    overloaded: tuple[str, ...],
    attached: bool,
    advice: tuple[str, ...],
) -> None:
    assert advice_on(nodes, overloaded, 0.8, attached=attached) == advice
