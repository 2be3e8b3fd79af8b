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


async def test_who_starts_a_node_that_starts_waits_for_the_same_start(
    network: FakeNetwork,
) -> None:
    mesh = named("a")
    await asyncio.gather(mesh.initialize(), mesh.initialize(), mesh.initialize())
    assert len(network.listening) == 1
    await mesh.initialize()
    await mesh.close()


async def test_a_start_that_fails_is_told_to_all_who_wait_for_it() -> None:
    mesh = named("a")
    FakeControlSocket.fails = StateError("no socket here")
    told = await asyncio.gather(mesh.initialize(), mesh.initialize(), return_exceptions=True)
    assert [str(error) for error in told] == ["no socket here"] * 2


async def test_a_start_goes_on_as_long_as_one_waits_for_it(
    network: FakeNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, gate = RunningNode.start, asyncio.Event()

    async def slow(running: RunningNode) -> None:
        await gate.wait()
        await start(running)

    monkeypatch.setattr(RunningNode, "start", slow)
    mesh = named("a")
    first, second = (asyncio.create_task(mesh.initialize()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    gate.set()
    await second
    assert mesh.name == "a"
    await mesh.close()
    gate.clear()
    other = named("b")
    only = asyncio.create_task(other.initialize())
    await asyncio.sleep(0)
    only.cancel()
    with pytest.raises(asyncio.CancelledError):
        await only
    gate.set()
    await other.initialize()
    await other.close()
    assert network.listening == {}


async def test_closing_a_node_that_starts_ends_its_start(
    network: FakeNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = asyncio.Event()

    async def slow(_: RunningNode) -> None:
        begun.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(RunningNode, "start", slow)
    mesh = named("a")
    starting = asyncio.create_task(mesh.initialize())
    await begun.wait()
    await mesh.close()
    with pytest.raises(NotRunning, match="while it started"):
        await starting
    assert network.listening == {}


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
