"""All workers are down for a while, then up again; how much is sent to them meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random

import pytest

from mreza import LoadBalancer, MeshNetwork, Strategy
from mreza.planes.calls import Calls
from tests.support.processes import NodeProcess, Processes
from tests.support.service import (
    Asked,
    all_offered,
    arrivals,
    kinds,
    percentile,
    start_servers,
    started_again,
)

SERVERS = 4
MEAN_S = 0.01
RATE_PER_S = 100.0
INBOX = 16
"""So many wait at a worker, and that soon: all four are full 0.7 s after they stop working. A busy
machine makes nodes late by a few hundred milliseconds, which must fill none of them."""
NORMAL_AFTER_S = 10.0
WINDOW_S = 2.0


class Storm:
    """Four workers, a caller, and a count of what it sends."""

    def __init__(
        self,
        processes: Processes,
        state: Path,
        monkeypatch: pytest.MonkeyPatch,
        *,
        seconds: float,
        **env: str,
    ) -> None:
        self._processes = processes
        self._state = state
        self._seconds = seconds
        self._env = {"MEAN_S": str(MEAN_S), "MREZA_PROCESSES__INBOX_REQUESTS": str(INBOX), **env}
        self._servers = start_servers(processes, state, each=[{}] * SERVERS, **self._env)
        self._rng = Random(3)  # noqa: S311
        self._sent = 0
        sending = Calls._send

        def counted(calls: Calls, *arguments: object) -> None:
            self._sent += 1
            sending(calls, *arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(Calls, "_send", counted)

    async def held(self, hold: Path) -> None:
        """They are stuck with full inboxes."""

        async def stop(_: list[NodeProcess]) -> None:
            await asyncio.to_thread(hold.touch)

        async def go_on(_: list[NodeProcess]) -> None:
            await asyncio.to_thread(hold.unlink)

        await self._pass(stop, go_on)

    async def killed(self) -> None:
        """They are killed with `kill -9`, and others are started under their names."""

        async def kill(servers: list[NodeProcess]) -> None:
            for server in servers:
                server.kill()

        async def start(servers: list[NodeProcess]) -> None:
            servers[:] = await asyncio.to_thread(
                started_again, self._processes, self._state, servers, **self._env
            )

        await self._pass(kill, start)

    async def _pass(
        self,
        down: Callable[[list[NodeProcess]], Awaitable[None]],
        up: Callable[[list[NodeProcess]], Awaitable[None]],
    ) -> None:
        """At most 1.2 requests an arrival and ten a second; soon after, all is as before."""
        balancer = LoadBalancer(Strategy.LEAST_LOADED)
        async with MeshNetwork(name="caller", load_balancer=balancer) as mesh:
            await all_offered(mesh, self._servers)
            before = await self._window(mesh, WINDOW_S)
            assert _all_done(before), kinds(before)
            await down(self._servers)
            self._sent = 0
            # Shorter than a retry of the caller's own would be: each arrival is one call.
            meanwhile = await self._window(mesh, self._seconds, timeout_s=1.0)
            allowed = 1.2 * len(meanwhile) + 10 * self._seconds
            print(f"down: {self._sent} sent, allowed {allowed:.0f}; {kinds(meanwhile)}")
            assert self._sent <= allowed
            assert sum(one.error is not None for one in meanwhile) > len(meanwhile) / 4
            await up(self._servers)
            await all_offered(mesh, self._servers)
            usual = percentile([one.took_s for one in before], 0.9)
            ends = time.monotonic() + NORMAL_AFTER_S
            while True:
                after = await self._window(mesh, WINDOW_S)
                now = percentile([one.took_s for one in after], 0.9)
                print(f"p90 {usual * 1e3:.1f} ms before, {now * 1e3:.1f} after; {kinds(after)}")
                if _all_done(after) and now <= 2 * usual + 0.02:
                    return
                assert time.monotonic() < ends, "it is not as before"

    async def _window(
        self, mesh: MeshNetwork, seconds: float, *, timeout_s: float = 30.0
    ) -> list[Asked]:
        return await arrivals(
            mesh, rate_per_s=RATE_PER_S, seconds=seconds, rng=self._rng, timeout_s=timeout_s
        )


def _all_done(asked: list[Asked]) -> bool:
    return all(one.error is None for one in asked)
