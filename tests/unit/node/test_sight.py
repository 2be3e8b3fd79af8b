"""Everything that a program may ask of its node needs a node that runs."""

from __future__ import annotations

import pytest

from mreza.errors import NotRunning
from mreza.node.mesh import MeshNetwork
from mreza.node.sight import Sight


@pytest.mark.parametrize("name", ["members", "links", "routes", "event_history"])
def test_a_view_of_a_node_that_does_not_run_says_so(name: str) -> None:
    mesh = MeshNetwork()
    assert isinstance(mesh, Sight)
    with pytest.raises(NotRunning, match="initialize"):
        getattr(mesh, name)


@pytest.mark.parametrize("name", ["snapshot", "status", "events"])
def test_a_report_of_a_node_that_does_not_run_says_so(name: str) -> None:
    with pytest.raises(NotRunning, match="initialize"):
        getattr(MeshNetwork(), name)()


async def test_a_probe_from_a_node_that_does_not_run_says_so() -> None:
    with pytest.raises(NotRunning, match="initialize"):
        await MeshNetwork().ping("b")
    with pytest.raises(NotRunning, match="initialize"):
        await MeshNetwork().trace("b")
