"""The public class, from arguments to answers; whole nodes over a network without sockets."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from mreza import (
    ConfigError,
    DeadlineExceeded,
    DiscoveryConfig,
    LinkConfig,
    LoadBalancer,
    MeshConfig,
    MeshNetwork,
    Message,
    MessageType,
    MessagingConfig,
    NoRoute,
    NotRunning,
    OutboxFull,
    Priority,
    ReceivedMessage,
    UnknownNode,
    WorkerLost,
)
from mreza.events import LinkUp
from tests.support import whole_nodes
from tests.support.eventually import eventually_async
from tests.support.fake_net import FakeNetwork
from tests.support.meshes import offers
from tests.support.whole_nodes import nodes


@pytest.fixture(autouse=True)
async def network(monkeypatch: pytest.MonkeyPatch) -> FakeNetwork:
    return whole_nodes.install(monkeypatch)


# Settings.


async def test_sections_are_named_after_what_they_are() -> None:
    mesh = MeshNetwork(
        name="a", link_config=LinkConfig(silent_after_s=9.0), discovery_config=None, profile="fast"
    )
    assert mesh.config.name == "a"
    assert mesh.config.link.silent_after_s == 9.0
    assert mesh.config.profile == "fast"
    with pytest.raises(ConfigError, match="takes no argument 'lnik'"):
        MeshNetwork(lnik=None)
    with pytest.raises(ConfigError):
        MeshNetwork(lnik_config=LinkConfig())


async def test_arguments_change_a_whole_configuration_and_a_file(tmp_path: Path) -> None:
    config = MeshConfig(name="a", link=LinkConfig(silent_after_s=9.0))
    mesh = MeshNetwork(config=config, name="b")
    assert (mesh.config.name, mesh.config.link.silent_after_s) == ("b", 9.0)
    file = tmp_path / "mesh.toml"
    file.write_text('name = "c"\nadvertise = "192.0.2.1:5"\n')
    mesh = MeshNetwork.from_toml(file)
    assert (mesh.config.name, mesh.config.advertise) == ("c", "192.0.2.1:5")


async def test_nothing_happens_before_it_is_started(tmp_path: Path) -> None:
    mesh = MeshNetwork(name="a")
    assert not (tmp_path / "state").exists()
    for ask in (lambda: mesh.node_id, lambda: mesh.send("b", 1), mesh.status, mesh.events):
        with pytest.raises(NotRunning, match="initialize"):
            ask()
    await mesh.close()


# Life.


async def test_a_node_knows_itself(network: FakeNetwork) -> None:
    async with nodes("a") as (a,):
        (address,) = a.listen_addresses
        assert address in network.listening
        assert a.name == "a"
        assert a.state_directory.name == "a"
        (me,) = a.members
        assert (me.id, me.me, me.name) == (a.node_id, True, "a")
        assert a.status()["node"] == str(a.node_id)
        assert a.status()["mesh"] == str(a.mesh_id)
        assert a.closed_error is None
        await a.initialize()
    assert network.listening == {}
    await a.wait_closed()
    with pytest.raises(NotRunning, match="make a new one"):
        await a.initialize()


async def test_who_leaves_is_not_suspected() -> None:
    async with nodes("a", "b") as (a, b):
        await b.leave("maintenance")
        await eventually_async(lambda: {m.name: m.state for m in a.members}["b"] == "left")
        with pytest.raises(NotRunning):
            await b.leave()


async def test_who_closes_is_not_suspected_and_its_answers_come_first() -> None:
    async with nodes("a", "b") as (a, b):
        gate = asyncio.Event()

        @b.process("work", concurrency=1)
        async def work(_: None) -> str:
            await gate.wait()
            return "done"

        @b.process("stuck")
        async def stuck(_: None) -> None:
            await asyncio.Event().wait()

        await offers(a, "b", "stuck")
        calls = [asyncio.create_task(a.call(name, node="b")) for name in ("work", "stuck")]
        await eventually_async(lambda: b._node.work.running == 2)
        gate.set()
        await eventually_async(lambda: b._node.work.running == 1)
        await b.close()
        told = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 2)
        assert told[0] == "done"
        assert isinstance(told[1], WorkerLost)
        assert told[1].may_have_run
        assert {m.name: (m.state, m.cause) for m in a.members}["b"] == ("left", "closed")


# Talk.


async def test_messages_arrive_in_order_and_answers_are_receipts() -> None:
    async with nodes("a", "b") as (a, b):
        heard: list[Any] = []

        @b.on_message
        def on_message(message: ReceivedMessage[Any]) -> str:
            heard.append((message.source, message.payload))
            return f"got {message.payload}"

        a.send("b", 1)
        a.send_many(b.node_id, [2, 3], priority=Priority.NORMAL)
        await a.drain()
        await a.drain("b", timeout_s=5)
        await eventually_async(lambda: len(heard) == 3)
        receipt = await a.send_message(
            Message(type=MessageType.DATA, payload=4, destination="b", headers={"h": "v"})
        )
        assert receipt.result == "got 4"
        assert receipt.node == b.node_id
        assert receipt.path == (a.node_id, b.node_id)
        assert heard == [(a.node_id, number) for number in (1, 2, 3, 4)]


async def test_a_handler_may_be_given_before_the_start() -> None:
    heard: list[Any] = []
    a = MeshNetwork(name="a", discovery_config=whole_nodes.QUICK)

    @a.on_message
    def on_message(message: ReceivedMessage[Any]) -> None:
        heard.append(message.payload)

    async with a:
        a.send("a", "to myself")
        await eventually_async(lambda: heard == ["to myself"])


async def test_unknown_nodes_and_full_outboxes_are_refused_at_once() -> None:
    small = MessagingConfig(outbox_bytes=65536)
    async with nodes("a", "b", messaging_config=small) as (a, b):
        with pytest.raises(UnknownNode):
            a.send("nobody", 1)
        b._node.links._closing = True  # nothing is acknowledged by a node that has stopped
        b._node.driver.close()
        with pytest.raises(OutboxFull):
            a.send_many("b", [bytes(1000)] * 100)
        with pytest.raises(DeadlineExceeded, match="still wait in the outbox"):
            await a.drain(timeout_s=0.05)
        b._node.links._closing = False


# Work.


async def test_work_is_done_where_it_is_offered() -> None:
    async with nodes("a", "b") as (a, b):

        @b.process("double", concurrency=2)
        async def double(number: int) -> int:
            return 2 * number

        await offers(a, "b", "double")
        assert await a.call("double", 21) == 42
        done = await a.call_detailed("double", 4, node="b", result_type=int)
        assert (done.result, done.node, done.attempts) == (8, b.node_id, 1)
        receipt = await a.send_message(
            Message(type=MessageType.PROCESS, process="double", payload=5)
        )
        assert receipt.result == 10
        b.unregister_process("double")
        await eventually_async(lambda: all("double" not in m.offers for m in a.members))


async def test_another_balancer_picks_from_now_on() -> None:
    first, second = LoadBalancer(), LoadBalancer(threshold=0.5)
    early = MeshNetwork(name="z", load_balancer=first)
    early.use_load_balancer(second)
    assert early.load_balancer is second
    async with nodes("a") as (a,):
        a.use_load_balancer(second)
        assert a.load_balancer is second
        assert a._node.core.service.balancer is second.balancer


# See.


async def test_what_a_node_sees_are_plain_values() -> None:
    async with nodes("a", "b") as (a, b):
        await eventually_async(lambda: a.links and a.routes and a.links[0].rtt_ms is not None)
        (link,) = a.links
        assert (link.peer, link.name, link.state, link.tls) == (b.node_id, "b", "up", "TLSv1.3")
        (route,) = a.routes
        assert (route.destination, route.next_hop, route.hops) == (b.node_id, b.node_id, 1)
        assert a.snapshot()["links"][str(b.node_id)]["bytes_out"] > 0
        assert any(isinstance(event, LinkUp) for event in a.event_history)
        events = a.events()
        await b.close()
        assert (await anext(events)).name


async def test_pings_and_traces_name_who_answers() -> None:
    async with nodes("a", "b") as (a, b):
        times = await a.ping("b", count=2, interval_s=0.0)
        assert [time is not None and 0 < time < 5 for time in times] == [True, True]
        (hop,) = await a.trace("b")
        assert (hop.node, hop.name) == (b.node_id, "b")
        b._node.driver.close()
        assert await a.ping("b", timeout_s=0.05) == [None]
        with pytest.raises(NoRoute, match="no node on the way to b answered"):
            await a.trace("b", timeout_s=0.05)


async def test_only_the_given_peers_are_dialed(network: FakeNetwork) -> None:
    async with nodes("a") as (a,):
        peers = DiscoveryConfig(peers=(str(a.listen_addresses[0]),))
        async with MeshNetwork(name="b", discovery_config=peers) as b:
            await eventually_async(lambda: b.links)
            assert b.links[0].dialed
