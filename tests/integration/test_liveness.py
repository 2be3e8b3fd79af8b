"""A link that is cut without a word, or whose peer is frozen: noticed at both ends, and back."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from mreza import (
    DiscoveryConfig,
    LinkDown,
    LinkUp,
    LoopHeld,
    MemberState,
    MeshNetwork,
    ReceivedMessage,
    TopologyConfig,
)
from mreza.address import Address
from mreza.events import MemberChanged
from tests.support.eventually import eventually_async
from tests.support.meshes import sees
from tests.support.processes import Processes
from tests.support.tcp_relay import TcpRelay, relay_to

ONLY_PEERS = TopologyConfig(only_peers=True)


def node(name: str, *peers: Address | str) -> MeshNetwork:
    return MeshNetwork(
        name=name,
        listen="127.0.0.1:0",
        topology_config=ONLY_PEERS,
        discovery_config=DiscoveryConfig(peers=tuple(str(peer) for peer in peers)),
    )


def where(mesh: MeshNetwork) -> Address:
    return mesh.listen_addresses[0]


def linked(mesh: MeshNetwork) -> set[str]:
    return {link.name for link in mesh.links}


def next_hop(mesh: MeshNetwork, name: str) -> str:
    return next((r.next_hop_name for r in mesh.routes if r.name == name), "")


@contextlib.asynccontextmanager
async def triangle() -> AsyncIterator[tuple[MeshNetwork, MeshNetwork, TcpRelay]]:
    """Two nodes whose own link leads through a relay; beside it there is a way over a third."""
    async with (
        node("b") as b,
        relay_to(where(b)) as relay,
        node("c", where(b)) as c,
        node("a", relay.address, where(c)) as a,
    ):
        for mesh in (a, b, c):
            await sees(mesh, "a", "b", "c")
        await eventually_async(lambda: linked(a) == {"b", "c"} and linked(b) == {"a", "c"})
        await eventually_async(lambda: next_hop(a, "b") == "b" and next_hop(b, "a") == "a")
        yield a, b, relay


@pytest.mark.parametrize("cut", [{"back": False}, {"there": False}, {}], ids=["->", "<-", "<->"])
async def test_a_silent_cut_is_routed_around_and_the_same_connection_comes_back(
    cut: dict[str, bool],
) -> None:
    async with triangle() as (a, b, relay):
        relay.cut(**cut)
        await eventually_async(lambda: linked(a) == linked(b) == {"c"})
        await eventually_async(lambda: next_hop(a, "b") == next_hop(b, "a") == "c")
        (rtt_s,) = await a.ping("b", timeout_s=20)
        assert rtt_s is not None
        assert not any(isinstance(event, MemberChanged) for event in _since_linked(a))
        relay.repair()
        await eventually_async(lambda: linked(a) == {"b", "c"} and linked(b) == {"a", "c"})
        await eventually_async(lambda: next_hop(a, "b") == "b" and next_hop(b, "a") == "a")
        for mesh in (a, b):
            downs = [event for event in _since_linked(mesh) if isinstance(event, LinkDown)]
            assert downs
            assert downs[0].cause == "silent"


def _has_link_to_c(mesh: MeshNetwork) -> bool:
    return "c" in linked(mesh)


def _since_linked(mesh: MeshNetwork) -> list[object]:
    """Events after the first links came up."""
    ups = itertools.dropwhile(lambda event: not isinstance(event, LinkDown), mesh.event_history)
    return list(ups)


@pytest.mark.parametrize("seconds", [2.0, 5.0])
async def test_traffic_flows_around_a_frozen_relay_which_never_counts_as_failed(
    processes: Processes, state_dir: Path, seconds: float
) -> None:
    async with node("a") as a, node("d", where(a)) as d, node("b", where(d)) as b:
        peers = [str(where(a)), str(where(b))]
        c = processes.up("c", state=state_dir, peers=peers, only_peers=True, listen="127.0.0.1:0")
        for mesh in (a, b, d):
            await sees(mesh, "a", "b", "c", "d")
        await eventually_async(lambda: "c" in linked(a) and "c" in linked(b))
        c.freeze()
        frozen_at = time.monotonic()
        await eventually_async(lambda: next_hop(a, "b") == next_hop(b, "a") == "d")
        (rtt_s,) = await a.ping("b", timeout_s=20)
        assert rtt_s is not None
        await asyncio.sleep(max(0.0, frozen_at + seconds - time.monotonic()))
        c.thaw()
        for mesh in (a, b):
            await eventually_async(partial(_has_link_to_c, mesh))
            await sees(mesh, "a", "b", "c", "d")
            changes = [event for event in mesh.event_history if isinstance(event, MemberChanged)]
            assert MemberState.FAILED not in [event.new for event in changes]
            assert any(isinstance(event, LinkUp) for event in _since_linked(mesh))


async def block(_: ReceivedMessage[bytes]) -> None:
    time.sleep(1.0)  # noqa: ASYNC251 - what a handler should not do


async def test_a_handler_that_holds_the_loop_is_named(state_dir: Path) -> None:
    async with MeshNetwork(name="a") as a:
        a.on_message(block)
        a.send(a.node_id, b"go")
        await eventually_async(
            lambda: any(isinstance(event, LoopHeld) for event in a.event_history)
        )
        (held,) = [event for event in a.event_history if isinstance(event, LoopHeld)]
        assert f"{block.__module__}.block" in held.handler
        assert held.held_s > 0.5
