"""Eight workers: one is five times slower, one fails fast, one freezes for 2 s now and then."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from random import Random
from typing import NamedTuple

from mreza import LoadBalancer, MeshNetwork, RemoteError, Strategy
from tests.support.processes import NodeProcess, Processes
from tests.support.service import (
    PROCESS,
    all_offered,
    arrivals,
    begun_at,
    kinds,
    percentile,
    start_servers,
)

MEAN_S = 0.05
SLOW, FAILING, FREEZING = 0, 1, 2
FREEZE_S = 2.0
FREEZE_EVERY_S = 10.0
SERVERS = [{"MEAN_S": str(5 * MEAN_S)}, {"FAILS": "1"}, {}, {}, {}, {}, {}, {}]
CAPACITY_PER_S = (len(SERVERS) - 2 + 0.2) / MEAN_S
LOAD = 0.7


class Outcome(NamedTuple):
    """What one strategy made of it."""

    p99_s: float
    failing_before: int
    "Requests that the failing node got until it was ejected,"
    fair_before: float
    "its fair share of those that came until then,"
    failing_after: int
    "and what it got afterwards."


class Unequal:
    """The workers; one strategy after the other has a fresh balancer and the same arrivals."""

    def __init__(self, processes: Processes, state: Path) -> None:
        self._servers = start_servers(processes, state, each=SERVERS, MEAN_S=str(MEAN_S))

    async def ready(self, mesh: MeshNetwork) -> None:
        await all_offered(mesh, self._servers)

    async def p99(self, mesh: MeshNetwork, strategy: Strategy, *, seconds: float) -> Outcome:
        """70 % load for so long; the frozen node thaws, and all queues empty, at the end."""
        balancer = LoadBalancer(strategy, rng=Random(11))  # noqa: S311
        mesh.use_load_balancer(balancer)
        failing = self._servers[FAILING]
        ejected_at: list[int] = []
        seen = len(begun_at(failing))
        freezing = asyncio.create_task(self._freeze_now_and_then(), name="freezing")
        watching = asyncio.create_task(
            _first_ejection(balancer, failing, ejected_at), name="watching"
        )
        try:
            asked = await arrivals(
                mesh,
                rate_per_s=LOAD * CAPACITY_PER_S,
                seconds=seconds,
                rng=Random(5),  # noqa: S311
            )
        finally:
            for task in (freezing, watching):
                task.cancel()
            await asyncio.gather(freezing, watching, return_exceptions=True)
            self._servers[FREEZING].thaw()
        print(f"{strategy}: {kinds(asked)}")
        assert all(a.error is None or isinstance(a.error, RemoteError) for a in asked)
        got = begun_at(failing)[seen:]
        assert ejected_at, "the failing node was not ejected"
        at = got[ejected_at[0] - seen - 1]
        came = sum(a.at <= at for a in asked)
        return Outcome(
            p99_s=percentile([a.took_s for a in asked if a.error is None], 0.99),
            failing_before=ejected_at[0] - seen,
            fair_before=came / len(SERVERS),
            failing_after=len(got) - (ejected_at[0] - seen),
        )

    async def until_ejected(
        self, mesh: MeshNetwork, strategy: Strategy, *, seed: int
    ) -> tuple[int, float]:
        """With a balancer that knows nothing: what the failing node got, and its fair share."""
        balancer = LoadBalancer(strategy, rng=Random(seed))  # noqa: S311
        mesh.use_load_balancer(balancer)
        failing = self._servers[FAILING]
        seen = len(begun_at(failing))
        rng = Random(seed)  # noqa: S311
        calls: list[asyncio.Task[object]] = []
        try:
            while not balancer.balancer.stats["ejections"]:
                await asyncio.sleep(rng.expovariate(LOAD * CAPACITY_PER_S))
                calls.append(asyncio.create_task(_ignored(mesh), name="call"))
            return len(begun_at(failing)) - seen, len(calls) / len(SERVERS)
        finally:
            await asyncio.gather(*calls)

    async def _freeze_now_and_then(self) -> None:
        node = self._servers[FREEZING]
        try:
            while True:
                await asyncio.sleep(FREEZE_EVERY_S - FREEZE_S)
                node.freeze()
                await asyncio.sleep(FREEZE_S)
                node.thaw()
        finally:
            node.thaw()


async def _ignored(mesh: MeshNetwork) -> None:
    with contextlib.suppress(RemoteError):
        await mesh.call(PROCESS, 0)


async def _first_ejection(balancer: LoadBalancer, failing: NodeProcess, found: list[int]) -> None:
    """How many requests it had had when it was ejected."""
    while not balancer.balancer.stats["ejections"]:  # noqa: ASYNC110 - the balancer tells nobody
        await asyncio.sleep(0.001)
    found.append(len(begun_at(failing)))
