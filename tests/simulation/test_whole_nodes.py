"""Whole nodes, TLS and handlers included, on the network in memory."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from typing import Any

import pytest

from mreza import (
    DiscoveryConfig,
    MemberState,
    MeshNetwork,
    Message,
    MessageType,
    NotRunning,
    TopologyConfig,
    WorkerLost,
)
from mreza.sim import SimMesh, sees


def workers(mesh: MeshNetwork) -> None:
    """Every way of doing work."""

    @mesh.process("double", idempotent=True)
    async def double(number: int) -> int:
        await asyncio.sleep(0.5)
        return 2 * number

    @mesh.process("pay")
    async def pay(number: int) -> int:
        await asyncio.sleep(0.5)
        return number

    @mesh.process("in_a_thread")
    def in_a_thread(number: int) -> str:
        time.sleep(0.001)  # real time, which counts for nothing
        return f"{number} in {threading.current_thread().name.partition('-')[0]}"


async def test_nodes_find_each_other_by_multicast(mesh_sim: SimMesh) -> None:
    a, b = [await mesh_sim.start(name) for name in ("a", "b")]
    assert await mesh_sim.agree() < 1
    assert {str(address) for address in a.listen_addresses} == {"0.0.0.0:7467"}
    (link,) = a.links
    assert link.peer == b.node_id


async def test_nodes_of_two_networks_find_each_other_by_address(mesh_sim: SimMesh) -> None:
    await mesh_sim.grow("a", "b")
    far = DiscoveryConfig(peers=("a:7467",))
    await mesh_sim.start("c", lan="elsewhere", discovery_config=far)
    await mesh_sim.agree()


async def test_messages_arrive_in_order_and_receipts_say_who_handled_them(
    mesh_sim: SimMesh,
) -> None:
    a, b = await mesh_sim.grow("a", "b")
    seen: list[Any] = []
    b.on_message(lambda message: seen.append(message.payload))
    for number in range(1000):
        a.send("b", number)
    receipt = await a.send_message(
        Message(MessageType.DATA, payload="last", destination="b", timeout_s=5)
    )
    assert receipt.node == b.node_id
    assert [one for one in seen if one != "last"] == list(range(1000))


async def test_calls_take_the_time_that_their_handlers_sleep(mesh_sim: SimMesh) -> None:
    (a, _) = await mesh_sim.grow("a", "b", app=workers)
    began = mesh_sim.now
    assert await a.call("double", 21, node="b") == 42
    assert 0.5 < mesh_sim.now - began < 0.51


async def test_plain_functions_run_in_threads_and_take_no_time(mesh_sim: SimMesh) -> None:
    (a, _) = await mesh_sim.grow("a", "b", app=workers)
    began = mesh_sim.now
    results = await asyncio.gather(*(a.call("in_a_thread", one, node="b") for one in range(20)))
    assert results == [f"{one} in mreza" for one in range(20)]
    assert mesh_sim.now - began < 0.1


async def test_work_of_a_crashed_node_is_done_elsewhere_or_said_to_be_lost(
    mesh_sim: SimMesh,
) -> None:
    (a,) = await mesh_sim.grow("a")
    for name in ("b", "c"):
        await mesh_sim.start(name, app=workers)
    await mesh_sim.agree()
    doubles = [asyncio.create_task(a.call("double", one)) for one in range(10)]
    payments = [asyncio.create_task(a.call("pay", one)) for one in range(10)]
    await mesh_sim.sleep(0.1)
    mesh_sim.crash("b")
    assert await asyncio.gather(*doubles) == [2 * one for one in range(10)]
    outcomes = await asyncio.gather(*payments, return_exceptions=True)
    lost = [one for one in outcomes if isinstance(one, BaseException)]
    assert 0 < len(lost) < 10
    assert all(isinstance(one, WorkerLost) and one.may_have_run for one in lost)


async def test_a_killed_node_is_known_to_all_at_once_and_one_without_power_later(
    mesh_sim: SimMesh,
) -> None:
    a, *_ = await mesh_sim.grow("a", "b", "c", "d")

    def state(name: str) -> MemberState:
        return next(one.state for one in a.members if one.name == name)

    mesh_sim.crash("b")
    assert await mesh_sim.until(lambda: state("b") is not MemberState.ALIVE) < 0.3
    mesh_sim.crash("c", silently=True)
    assert await mesh_sim.until(lambda: state("c") is MemberState.SUSPECT) > 0.1
    assert await mesh_sim.until(lambda: state("c") is MemberState.FAILED) > 5
    assert state("d") is MemberState.ALIVE


async def test_a_crash_says_nothing_and_runs_nothing(mesh_sim: SimMesh) -> None:
    last_words: list[str] = []

    def stubborn(mesh: MeshNetwork) -> None:
        @mesh.process("wait")
        async def wait(_: None) -> None:
            try:
                await asyncio.sleep(100)
            finally:
                last_words.append("goodbye")

    (a,) = await mesh_sim.grow("a")
    b = await mesh_sim.start("b", app=stubborn)
    await mesh_sim.agree()
    waiting = asyncio.create_task(a.call("wait", None, timeout_s=60))
    await mesh_sim.sleep(1)
    mesh_sim.crash("b")
    with pytest.raises(WorkerLost):
        await waiting
    await mesh_sim.sleep(200)
    assert last_words == []
    with pytest.raises(NotRunning, match="the simulated node 'b' crashed"):
        await b.call("wait", None)


async def test_a_restarted_node_is_the_same_one_again(mesh_sim: SimMesh) -> None:
    a, b = await mesh_sim.grow("a", "b", app=workers)
    before = b.node_id
    again = await mesh_sim.bounce("b", after_s=1)
    await mesh_sim.agree()
    assert again is not b
    assert again.node_id == before
    assert await a.call("double", 3, node="b") == 6


async def test_halves_go_on_by_themselves_and_are_one_mesh_again(mesh_sim: SimMesh) -> None:
    names = ("a", "b", "c", "d")
    nodes = dict(zip(names, await mesh_sim.grow(*names, app=workers), strict=True))
    mesh_sim.partition(("a", "b"))
    await mesh_sim.sleep(60)
    for half in ({"a", "b"}, {"c", "d"}):
        for name in half:
            assert sees(nodes[name]) == half
    assert await nodes["c"].call("double", 4) == 8
    mesh_sim.repair()
    assert await mesh_sim.agree() < 10


async def test_a_one_way_cut_ends_the_link_at_both_ends(mesh_sim: SimMesh) -> None:
    a, b = await mesh_sim.grow("a", "b")
    mesh_sim.partition_oneway("a", "b")
    await mesh_sim.until(lambda: sees(a) == {"a"} and sees(b) == {"b"}, within_s=30)
    mesh_sim.repair()
    await mesh_sim.agree()


async def test_a_frozen_node_comes_back_as_it_was(mesh_sim: SimMesh) -> None:
    a, b = await mesh_sim.grow("a", "b", app=workers)
    mesh_sim.freeze("b")
    asking = asyncio.create_task(a.call("double", 5, node="b", timeout_s=100))
    await mesh_sim.until(lambda: sees(a) == {"a"}, within_s=30)
    mesh_sim.thaw("b")
    await mesh_sim.agree()
    assert await a.call("double", 6, node="b") == 12
    assert await asking == 10
    assert mesh_sim.nodes["b"] is b


async def test_traffic_goes_around_a_cut_between_two(mesh_sim: SimMesh) -> None:
    a, *_ = await mesh_sim.grow("a", "b", "c")
    mesh_sim.partition("a", "b")
    await mesh_sim.until(lambda: len(a.links) == 1)
    await mesh_sim.sleep(2)
    assert sees(a) == {"a", "b", "c"}
    assert [hop.name for hop in await a.trace("b")] == ["c", "b"]


async def test_latency_is_what_a_round_trip_takes(mesh_sim: SimMesh) -> None:
    a, _ = await mesh_sim.grow("a", "b")
    mesh_sim.link("a", "b", latency_s=0.050, jitter=0)
    await mesh_sim.sleep(5)
    (round_trip,) = await a.ping("b")
    assert round_trip is not None
    assert round_trip == pytest.approx(0.100, abs=0.003)


async def test_a_program_may_make_its_nodes_itself(mesh_sim: SimMesh) -> None:
    async def program() -> int:
        mesh = MeshNetwork(name="b")
        workers(mesh)
        async with mesh:
            await asyncio.sleep(3600)
        return 0

    (a,) = await mesh_sim.grow("a")
    mesh_sim.spawn("b", program())
    await mesh_sim.until(lambda: sees(a) == {"a", "b"})
    await mesh_sim.until(lambda: any("double" in one.offers for one in a.members))
    assert await a.call("double", 8) == 16
    mesh_sim.crash("b")
    await mesh_sim.until(lambda: sees(a) == {"a"})


async def test_a_wrong_clock_is_a_hosts_own(mesh_sim: SimMesh) -> None:
    a, b = await mesh_sim.grow("a", "b")
    mesh_sim.skew("b", 3600)
    await mesh_sim.sleep(60)
    assert sees(a) == sees(b) == {"a", "b"}


async def test_an_hour_passes(mesh_sim: SimMesh) -> None:
    a, _ = await mesh_sim.grow("a", "b", app=workers)
    await mesh_sim.sleep(3500)
    assert await a.call("double", 1, node="b") == 2
    await mesh_sim.agree()


@pytest.mark.mesh_sim(seeds=3)
async def test_ten_nodes_lose_two_and_are_whole_again(mesh_sim: SimMesh) -> None:
    names = [f"n{number}" for number in range(10)]
    nodes = await mesh_sim.grow(*names, app=workers)
    mesh_sim.crash("n3")
    mesh_sim.crash("n7", silently=True)
    await mesh_sim.agree()
    assert await nodes[0].call("double", 7) == 14
    await mesh_sim.restart("n3")
    await mesh_sim.restart("n7")
    await mesh_sim.agree()


async def test_nodes_in_a_line_relay(mesh_sim: SimMesh) -> None:
    for name, peer in (("a", None), ("b", "a"), ("c", "b")):
        await mesh_sim.start(
            name,
            lan=name,
            app=workers,
            discovery_config=DiscoveryConfig(peers=(f"{peer}:7467",) if peer else ()),
            topology_config=TopologyConfig(only_peers=True),
        )
    await mesh_sim.agree()
    a = mesh_sim.nodes["a"]
    assert await a.call("double", 2, node="c") == 4
    assert len(a.links) == 1


EVENTFUL = """
import asyncio, sys
from tests.simulation.test_whole_nodes import eventful
print(eventful(int(sys.argv[1])))
"""


def eventful(seed: int) -> str:
    """The digest and the events of a run in which much happens."""
    heard: list[Any] = []

    async def main(sim: SimMesh) -> None:
        a, *_ = await sim.grow("a", "b", "c", "d", app=workers)

        async def listen() -> None:
            async for event in a.events():
                about = str(getattr(event, "node", ""))
                heard.append((round(sim.now, 6), event.name, about))

        listening = asyncio.create_task(listen())
        calls = [asyncio.create_task(a.call("double", one)) for one in range(20)]
        calls += [asyncio.create_task(a.call("in_a_thread", one)) for one in range(20)]
        await sim.sleep(0.3)
        sim.crash("b")
        await asyncio.gather(*calls, return_exceptions=True)
        await sim.restart("b")
        sim.partition("c")
        await sim.sleep(20)
        sim.repair()
        await sim.agree()
        listening.cancel()

    with SimMesh(seed=seed) as sim:
        sim.run(main(sim))
        return f"{sim.digest} {heard}"


def test_equal_seeds_give_equal_runs_in_every_process() -> None:
    said, path = [], os.pathsep.join(sys.path)
    for seed, hash_seed in ((5, "1"), (5, "2"), (6, "1")):
        done = subprocess.run(
            [sys.executable, "-c", EVENTFUL, str(seed)],
            env={
                **os.environ,
                "PYTHONHASHSEED": hash_seed,
                "PYTHONPATH": path,
            },
            check=True,
            capture_output=True,
            text=True,
        )
        said.append(done.stdout)
    assert "member_changed" in said[0]
    assert said[0] == said[1]
    assert said[0] != said[2]
