"""Requests that come at random times at real workers, whatever becomes of those before."""

from __future__ import annotations

import asyncio
import collections
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from mreza import MeshError, MeshNetwork, NodeId, Priority
from tests.support.meshes import offers
from tests.support.processes import NodeProcess, Processes

APP = "tests.support.apps:server"
PROCESS = "serve"


class Asked(NamedTuple):
    """One request and what became of it."""

    at: float
    took_s: float
    priority: Priority
    node: NodeId | None
    error: Exception | None


def normal() -> Priority:
    return Priority.NORMAL


async def arrivals(
    mesh: MeshNetwork,
    *,
    rate_per_s: float,
    seconds: float,
    rng: random.Random,
    priority: Callable[[], Priority] = normal,
    timeout_s: float = 30.0,
) -> list[Asked]:
    """Ask at so many random times a second, for so long; wait for all answers."""
    asked: list[Asked] = []

    async def ask(number: int, rank: Priority) -> None:
        began = time.monotonic()
        node: NodeId | None = None
        error: Exception | None = None
        try:
            node = (
                await mesh.call_detailed(PROCESS, number, timeout_s=timeout_s, priority=rank)
            ).node
        except MeshError as failure:
            error = failure
        asked.append(Asked(began, time.monotonic() - began, rank, node, error))

    at = time.monotonic()
    end = at + seconds
    number = 0
    async with asyncio.TaskGroup() as group:
        while (at := at + rng.expovariate(rate_per_s)) < end:
            await asyncio.sleep(max(0.0, at - time.monotonic()))
            group.create_task(ask(number, priority()))
            number += 1
    return asked


def start_servers(
    processes: Processes, state: Path, *, each: list[dict[str, str]], **env: str
) -> list[NodeProcess]:
    """A server for each entry, which is its environment beside `env`; named s0, s1, …"""
    servers = [
        processes.up(f"s{n}", state=state, app=APP, wait=False, env={"SEED": str(n), **env, **own})
        for n, own in enumerate(each)
    ]
    return [server.ready() for server in servers]


def started_again(
    processes: Processes, state: Path, servers: list[NodeProcess], **env: str
) -> list[NodeProcess]:
    """A new process for each, under the same name."""
    return start_servers(processes, state, each=[{}] * len(servers), **env)


async def all_offered(mesh: MeshNetwork, servers: list[NodeProcess]) -> None:
    for server in servers:
        await offers(mesh, server.name, PROCESS)


def begun_at(server: NodeProcess) -> list[float]:
    """When it began each request; monotonic clock of the machine."""
    lines = server.output("begun").decode().splitlines()
    return [float(line.split()[0]) for line in lines]


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


def kinds(asked: list[Asked]) -> dict[str, dict[str, int]]:
    """How many of each priority ended how, for people."""
    found: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for one in asked:
        found[one.priority.name]["ok" if one.error is None else type(one.error).__name__] += 1
    return {priority: dict(counts) for priority, counts in found.items()}
