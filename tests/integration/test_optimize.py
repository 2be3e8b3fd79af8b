"""`optimize` on a mesh of real processes: keys leave a node that has too much, and stay away."""

from __future__ import annotations

import asyncio
import collections
from pathlib import Path

import msgspec
import pytest

from mreza import LoadBalancer, MeshNetwork, NodeId, NodeLoad, Priority, Strategy
from tests.support.eventually import eventually_async
from tests.support.meshes import sees
from tests.support.processes import Processes
from tests.support.service import PROCESS, all_offered, begun_at, start_servers

KEYS = [f"user-{number}" for number in range(30)]
BACKLOG = 40
"Requests that another caller gives to one node: two seconds of work, and more than it may have."


async def place_of(mesh: MeshNetwork, key: str) -> NodeId:
    """Which node does the work of this key now."""
    return (await mesh.call_detailed(PROCESS, 0, key=key)).node


async def places(mesh: MeshNetwork) -> dict[str, NodeId]:
    """One after another, so that none has to jump because its node has its fill."""
    return {key: await place_of(mesh, key) for key in KEYS}


def without_cpu(balancer: LoadBalancer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The nodes share a processor: how busy it is says nothing about any of them."""
    update = balancer.balancer.update

    def without(load: NodeLoad, *, now: float | None = None) -> None:
        update(msgspec.structs.replace(load, cpu=None), now=now)

    monkeypatch.setattr(balancer.balancer, "update", without)


async def test_keys_move_from_an_overloaded_node_and_stay_where_they_are(
    processes: Processes, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    servers = start_servers(
        processes,
        state_dir,
        each=[{"MEAN_S": "0.05"}, {"MEAN_S": "0.01"}, {"MEAN_S": "0.01"}],
        MREZA_PROCESSES__WAIT_S="1",
    )
    balancer = LoadBalancer(Strategy.CONSISTENT_HASH)
    without_cpu(balancer, monkeypatch)
    async with (
        MeshNetwork(name="other") as other,
        MeshNetwork(name="caller", load_balancer=balancer) as mesh,
    ):
        for node in (mesh, other):
            await all_offered(node, servers)
            await sees(node, "s0", "s1", "s2")
        busy = next(member.id for member in mesh.members if member.name == "s0")
        before = await places(mesh)
        assert await places(mesh) == before, "equal keys go to one node"
        at_rest = await balancer.optimize()
        assert (at_rest.overloaded, at_rest.moves) == ((), ())

        # Another caller fills that node; ours hears of it with the next answer.
        backlog = [
            asyncio.create_task(other.call(PROCESS, number, node="s0", timeout_s=60))
            for number in range(BACKLOG)
        ]
        await eventually_async(lambda: len(begun_at(servers[0])) > 0, "it works on it")
        await mesh.call(PROCESS, 0, node="s0", priority=Priority.CRITICAL)
        assert "gets no new work while above 80%" in balancer.why(busy)

        wanted = await balancer.optimize(dry_run=True)
        assert wanted.overloaded == (busy,)
        assert wanted.moves, "it would move some"
        report = await balancer.optimize()
        assert not report.dry_run
        moved = {move.key: move.target for move in report.moves}
        assert moved == {move.key: move.target for move in wanted.moves}, "dry, nothing had moved"
        assert all(before[key] == busy != target for key, target in moved.items())
        again = await balancer.optimize()
        assert again.moves == (), "it waits for the effect of what it moved"

        await asyncio.gather(*backlog)
        await eventually_async(
            lambda: "gets work in its turn" in balancer.why(busy), "the node is calm again"
        )
        after = await places(mesh)
        assert after == {**before, **moved}, "those moved stay away, the others are where they were"
        counts = collections.Counter(after.values())
        assert counts[busy] < collections.Counter(before.values())[busy]
        assert (await balancer.optimize()).moves == ()
