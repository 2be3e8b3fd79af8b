"""Not started, running, closed, or stopped by itself; and what each of these answers."""

from __future__ import annotations

import asyncio
import os

import pytest

from mreza import DuplicateIdentity, MeshNetwork, NotRunning, StateError
from mreza.node.running import RunningNode
from mreza.planes.effects import Stop
from tests.support import whole_nodes
from tests.support.fake_net import FakeNetwork
from tests.support.whole_nodes import FakeControlSocket


@pytest.fixture(autouse=True)
async def network(monkeypatch: pytest.MonkeyPatch) -> FakeNetwork:
    return whole_nodes.install(monkeypatch)


def named(name: str) -> MeshNetwork:
    return MeshNetwork(name=name)


async def test_the_control_socket_lives_as_long_as_the_node() -> None:
    async with named("a") as mesh:
        (socket,) = FakeControlSocket.opened
        assert socket.node is mesh
        assert socket.path.name == "control.sock"
        assert not socket.closed
    assert socket.closed


async def test_a_start_that_fails_leaves_nothing_and_may_be_tried_again(
    network: FakeNetwork,
) -> None:
    mesh = named("a")
    FakeControlSocket.fails = StateError("no socket here")
    with pytest.raises(StateError, match="no socket"):
        await mesh.initialize()
    assert network.listening == {}
    FakeControlSocket.fails = None
    async with mesh:
        assert mesh.name == "a"


async def test_two_nodes_cannot_be_one() -> None:
    async with named("a"):
        with pytest.raises(StateError, match="is running already"):
            await named("a").initialize()


async def test_a_node_that_must_not_go_on_stops_and_says_why(network: FakeNetwork) -> None:
    mesh = named("a")
    await mesh.initialize()
    error = DuplicateIdentity("another process has run for 60 s")
    mesh._node._carry_out(Stop(error))
    with pytest.raises(NotRunning, match="another process has run") as caught:
        _ = mesh.members
    assert caught.value.__cause__ is error
    await mesh.wait_closed()
    assert mesh.closed_error is error
    assert network.listening == {}
    assert FakeControlSocket.opened[0].closed
    await mesh.close()


async def test_closing_a_node_that_is_stopping_waits_for_its_end(network: FakeNetwork) -> None:
    mesh = named("a")
    await mesh.initialize()
    mesh._node._carry_out(Stop(DuplicateIdentity("x")))
    await mesh.close()
    assert network.listening == {}


async def test_a_node_that_meets_its_double_while_it_starts_does_not_start(
    network: FakeNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = RunningNode.start

    async def unlucky(running: RunningNode) -> None:
        await start(running)
        running._carry_out(Stop(DuplicateIdentity("the other one is older")))

    monkeypatch.setattr(RunningNode, "start", unlucky)
    mesh = named("a")
    with pytest.raises(DuplicateIdentity, match="older"):
        await mesh.initialize()
    await asyncio.wait_for(mesh.wait_closed(), 5)
    assert network.listening == {}
    assert FakeControlSocket.opened[0].closed
    with pytest.raises(NotRunning, match="older"):
        _ = mesh.members


async def test_after_a_fork_the_child_has_no_node(monkeypatch: pytest.MonkeyPatch) -> None:
    mesh = named("a")
    await mesh.initialize()
    parent = os.getpid()
    with monkeypatch.context() as child:
        child.setattr(os, "getpid", lambda: parent + 1)
        with pytest.raises(NotRunning, match=f"belongs to process {parent}"):
            mesh.send("a", 1)
        with pytest.raises(NotRunning, match="after a fork"):
            mesh.on_message(lambda _: None)
    await mesh.close()


async def test_closing_in_a_fork_leaves_the_parents_node_alone(
    network: FakeNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    mesh = named("a")
    await mesh.initialize()
    running, child_id = mesh._node, os.getpid() + 1
    with monkeypatch.context() as child:
        child.setattr(os, "getpid", lambda: child_id)
        await mesh.close()
    assert len(network.listening) == 1
    await running.close(timeout_s=1)
