"""A running node carries out what its core wants, and ends whole."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from mreza import MeshNetwork, NotRunning, StateError
from mreza.balancing.balancer import Balancer
from mreza.config.mesh import MeshConfig
from mreza.errors import MeshError
from mreza.events import HandlerFailed, LinkUp, MemberState
from mreza.ids import NodeId, boot_of
from mreza.node import running as module
from mreza.node.listening import read_listening
from mreza.node.running import RunningNode
from mreza.planes.core import NodeCore
from mreza.planes.effects import (
    AddressesLearned,
    Announce,
    CancelHandler,
    CloseLink,
    InboundControl,
    InboundData,
    RaiseEpoch,
    Resolve,
    SendFrame,
    Stop,
)
from mreza.wire.join import JOIN_ANSWER, JOIN_PROCESS, JOIN_REQUEST
from mreza.wire.packet import Control, ControlKind
from tests.support import whole_nodes
from tests.support.eventually import eventually_async
from tests.support.fake_net import FakeNetwork
from tests.support.whole_nodes import nodes
from tests.unit.node.test_door import request_of

PEER = NodeId(b"p" * 16)


@pytest.fixture(autouse=True)
async def network(monkeypatch: pytest.MonkeyPatch) -> FakeNetwork:
    return whole_nodes.install(monkeypatch)


async def opened(stopped: list[Exception] | None = None) -> RunningNode:
    errors = [] if stopped is None else stopped
    return await RunningNode.open(
        MeshConfig.load(name="a"), balancer=Balancer(), stopped=errors.append
    )


async def test_every_start_counts_before_the_number_is_used() -> None:
    boots = []
    for _ in range(2):
        node = await opened()
        boots.append(boot_of(node.core.epoch))
        assert int((node.state_directory / "boot").read_text()) == boots[-1]
        await node.close(timeout_s=1)
    assert boots[1] == boots[0] + 1


async def test_a_node_that_cannot_be_made_lets_its_directory_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise MeshError("no core")

    with monkeypatch.context() as broken:
        broken.setattr(module, "NodeCore", fail)
        with pytest.raises(MeshError, match="no core"):
            await opened()
    node = await opened()
    await node.close(timeout_s=1)


async def test_effects_go_where_they_are_carried_out(monkeypatch: pytest.MonkeyPatch) -> None:
    stopped: list[Exception] = []
    node = await opened(stopped)
    told: list[tuple[Any, ...]] = []

    def note(name: str) -> Any:
        return lambda *given: told.append((name, *given))

    for owner, method in (
        (node.links, "send"),
        (node.links, "close_link"),
        (node.inbox, "put"),
        (node.work, "cancel"),
        (node.program.waiting, "resolve"),
        (node.program.probes, "answered"),
        (node.discovery, "learned"),
    ):
        monkeypatch.setattr(owner, method, note(method))
    data = InboundData(PEER, 1, 1, 1, 0, b"\x90", 5)
    resolve = Resolve(1, PEER, 1)
    pong = Control(kind=ControlKind.PONG, number=3)
    error = RuntimeError("stop")
    event = LinkUp(at=1.0, peer=PEER, label="p", address="x:1", dialed=True)
    for effect in (
        SendFrame(PEER, 3, b"body", 1),
        data,
        CancelHandler(7),
        resolve,
        InboundControl(PEER, pong),
        AddressesLearned(PEER, ("x:1",)),
        CloseLink(PEER, "malformed", "why"),
        Announce(event),
        Stop(error),
        "what a newer core may say",
    ):
        node._carry_out(effect)
    assert told == [
        ("send", PEER, 3, b"body", 1),
        ("put", data),
        ("cancel", 7),
        ("resolve", resolve),
        ("answered", PEER, pong),
        ("learned", PEER, ("x:1",)),
        ("close_link", PEER, "malformed", "why", None),
    ]
    assert node.hub.history == [event]
    assert stopped == [error]
    await node.close(timeout_s=1)


async def test_a_raised_epoch_is_on_disk_first_and_everybody_is_greeted_again(
    network: FakeNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_disk: list[int] = []
    raised = NodeCore.epoch_raised

    def spy(core: NodeCore, boot: int, *, now: float) -> None:
        on_disk.append(int((a.state_directory / "boot").read_text()))
        raised(core, boot, now=now)

    monkeypatch.setattr(NodeCore, "epoch_raised", spy)
    async with nodes("a", "b") as (a, b):
        before = len(network.pairs)
        a._node._carry_out(RaiseEpoch(40))
        assert on_disk == [40]
        assert boot_of(a._node.core.epoch) == 40
        listening = read_listening(a.state_directory)
        assert listening is not None
        assert listening.epoch == a._node.core.epoch
        await eventually_async(lambda: a.links and b.links and len(network.pairs) > before)
        views = b._node.links.peers
        assert views[a.node_id].epoch == a._node.core.epoch
        await eventually_async(lambda: [m.state for m in b.members] == [MemberState.ALIVE] * 2)


async def test_without_room_on_the_disk_the_epoch_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RAISE_AGAIN_S", 0.0)
    node = await opened()
    epoch, next_boot = node.core.epoch, node.state.next_boot
    tries: list[int] = []

    def full(at_least: int = 0) -> int:
        tries.append(at_least)
        if len(tries) < 3:
            raise StateError("no space left on device")
        return next_boot(at_least)

    monkeypatch.setattr(node.state, "next_boot", full)
    node._carry_out(RaiseEpoch(40))
    assert node.core.epoch == epoch
    await eventually_async(lambda: boot_of(node.core.epoch) == 40)
    assert tries == [40, 40, 40]
    await node.close(timeout_s=1)


async def test_a_raised_epoch_counts_though_siblings_cannot_be_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    node = await opened()

    def full(*_: Any, **__: Any) -> None:
        raise StateError("no space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(node.state, "write_listen", full)
        node._carry_out(RaiseEpoch(40))
    assert boot_of(node.core.epoch) == 40
    await node.close(timeout_s=1)


async def test_messages_without_a_handler_are_counted() -> None:
    async with nodes("a", "b") as (a, b):
        a.send("b", 1)
        await eventually_async(lambda: b.snapshot()["dropped"].get("no_handler") == 1)
        a.send("b", 1)
        await eventually_async(lambda: b.snapshot()["dropped"]["no_handler"] == 2)


async def test_a_handler_that_raises_is_an_event() -> None:
    async with nodes("a", "b") as (a, b):

        @b.on_message
        def on_message(message: Any) -> None:
            raise ValueError(message.payload)

        a.send("b", "too small")
        await eventually_async(lambda: [e for e in b.event_history if isinstance(e, HandlerFailed)])
        (failed,) = [e for e in b.event_history if isinstance(e, HandlerFailed)]
        assert (failed.source, failed.target) == (a.node_id, "on_message")
        assert "too small" in failed.error


async def test_calls_in_flight_end_with_the_node() -> None:
    mesh = MeshNetwork(name="a")
    await mesh.initialize()
    call = asyncio.create_task(mesh.call("nobody"))
    await asyncio.sleep(0)
    await mesh.close()
    with pytest.raises(NotRunning, match="was closed while this call was in flight"):
        await call


async def test_an_authority_decides_for_members_that_ask_it() -> None:
    async with nodes("a", "b") as (a, b):
        await eventually_async(lambda: b.node_id in a._node.core.control.offering(JOIN_PROCESS))
        raw = await a._node._ask_authority(b.node_id, JOIN_REQUEST.encode(request_of()))
        assert JOIN_ANSWER.decode(raw).code
        assert all(JOIN_PROCESS not in member.offers for member in a.members)


async def test_leaving_is_told_before_the_links_close() -> None:
    async with nodes("a", "b") as (a, b):
        await a._node.leave("maintenance")
        await eventually_async(
            lambda: {m.name: (m.state, m.cause) for m in b.members}["a"][0] is MemberState.LEFT
        )
        assert msgspec.to_builtins(a._node.core.control.members[b.node_id].state) == "alive"
