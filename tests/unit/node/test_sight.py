"""Everything that a program may ask of its node needs a node that runs."""

from __future__ import annotations

import asyncio

import pytest

from mreza.errors import DeadlineExceeded, NotRunning
from mreza.events import MemberState
from mreza.node.mesh import MeshNetwork
from mreza.node.sight import Sight
from tests.support import whole_nodes


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


async def test_a_node_is_waited_for_until_it_can_be_reached(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole_nodes.install(monkeypatch)
    async with MeshNetwork(name="a") as a:
        waiting = asyncio.create_task(a.wait_for("b"))
        await asyncio.sleep(0)
        assert not waiting.done()
        async with MeshNetwork(name="b") as b:
            member = await waiting
            assert (member.id, member.state) == (b.node_id, MemberState.ALIVE)
            assert (await a.wait_for(b.node_id)).name == "b"
            assert (await a.wait_for(str(b.node_id))).name == "b"
        with pytest.raises(DeadlineExceeded, match=r"'b' was reached in 0\.01 s"):
            await a.wait_for("b", timeout_s=0.01)
        assert (await a.wait_for("a")).me


async def test_waiting_for_a_node_ends_with_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    whole_nodes.install(monkeypatch)
    async with MeshNetwork(name="a") as a:
        waiting = asyncio.create_task(a.wait_for("nobody"))
        await asyncio.sleep(0)
    with pytest.raises(NotRunning, match="'nobody'"):
        await waiting
