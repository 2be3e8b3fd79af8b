"""The request's own examples, word for word where Python allows."""

from __future__ import annotations

import os
from pathlib import Path

from mreza import (
    DiscoveryConfig,
    LoadBalancer,
    LoadBalancerConfig,
    MeshNetwork,
    Message,
    MessageType,
    Priority,
    SecurityConfig,
    Strategy,
)
from tests.support.meshes import offers, running
from tests.support.processes import Processes


async def test_a_mesh_is_made_and_initialized() -> None:
    mesh_network = MeshNetwork(
        discovery_config=DiscoveryConfig(),
        security_config=SecurityConfig(),
        load_balancer_config=LoadBalancerConfig(),
    )
    await mesh_network.initialize()
    assert [member.id for member in mesh_network.members] == [mesh_network.node_id]
    assert len(mesh_network.listen_addresses) == 1
    await mesh_network.close(timeout_s=5)


async def test_a_message_is_answered_by_another_process_that_only_shares_the_state_directory(
    processes: Processes, state_dir: Path
) -> None:
    worker = processes.up("worker", state=state_dir, app="tests.support.apps:default_worker")
    process_data = {"numbers": [1, 2, 3]}
    mesh_network = MeshNetwork(
        discovery_config=DiscoveryConfig(lan=False, mdns=False),
        security_config=SecurityConfig(),
        load_balancer_config=LoadBalancerConfig(),
    )
    await mesh_network.initialize()
    try:
        message = Message(type=MessageType.PROCESS, payload=process_data, priority=Priority.HIGH)
        receipt = await mesh_network.send_message(message)
        assert receipt.node != mesh_network.node_id
        assert str(receipt.node) == worker.node_id
        assert receipt.result == {
            "sum": 6,
            "pid": worker.pid,
            "asked by": str(mesh_network.node_id),
        }
        assert worker.pid != os.getpid()

        (link,) = mesh_network.links
        assert str(link.peer) == worker.node_id
        assert link.tls == "TLSv1.3"
    finally:
        await mesh_network.close(timeout_s=5)


async def test_a_load_balancer_alone_says_how_to_attach_it() -> None:
    load_balancer = LoadBalancer(strategy=Strategy.ROUND_ROBIN, threshold=0.8)
    report = await load_balancer.optimize()
    assert not report.attached
    assert "mesh=" in " ".join(report.advice)
    assert report.strategy is Strategy.ROUND_ROBIN
    assert report.threshold == 0.8


async def test_a_load_balancer_with_a_mesh_names_both_nodes() -> None:
    async with running("a", "b") as (a, b):
        load_balancer = LoadBalancer(strategy=Strategy.ROUND_ROBIN, threshold=0.8, mesh=a)
        report = await load_balancer.optimize()
        assert report.attached
        assert set(report.nodes) == {a.node_id, b.node_id}
        assert {load.label for load in report.nodes.values()} == {"a", "b"}
        # At 1, how busy the processor is that both share does not count: nobody has work.
        unmoved = await LoadBalancer(threshold=1.0, mesh=a).optimize()
        assert unmoved.overloaded == ()


async def test_a_balancer_given_to_a_mesh_balances_its_calls() -> None:
    # At 1, how busy the processor is that these nodes share plays no part.
    load_balancer = LoadBalancer(strategy=Strategy.ROUND_ROBIN, threshold=1.0)
    async with (
        MeshNetwork(name="a", load_balancer=load_balancer) as a,
        running("b", "c") as (b, c),
    ):
        for node in (b, c):
            offer_name(node)
        for name in ("b", "c"):
            await offers(a, name, "who")
        answers = [await a.call("who") for _ in range(10)]
        assert sorted(answers) == ["b"] * 5 + ["c"] * 5
        assert answers[:2] * 5 == answers, "in turn"
        assert "5 picks" in load_balancer.why(b.node_id)


def offer_name(mesh: MeshNetwork) -> None:
    @mesh.process("who")
    async def who(_: None) -> str:
        return mesh.name
