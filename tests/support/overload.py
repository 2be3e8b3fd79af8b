"""Twice as much work as the workers can do, in four priorities."""

from __future__ import annotations

from pathlib import Path
from random import Random

from mreza import LoadBalancer, MeshNetwork, Overloaded, Priority, Strategy
from tests.support.processes import Processes
from tests.support.service import all_offered, arrivals, kinds, start_servers

SERVERS = 4
MEAN_S = 0.02
WARM_UP_S = 2.0
SHARES = {Priority.LOW: 0.6, Priority.NORMAL: 0.1, Priority.HIGH: 0.2, Priority.CRITICAL: 0.1}


async def overload(processes: Processes, state: Path, *, seconds: float) -> None:
    """HIGH and CRITICAL are done, LOW is refused with the typed error, nobody idles."""
    servers = start_servers(processes, state, each=[{}] * SERVERS, MEAN_S=str(MEAN_S))
    balancer = LoadBalancer(Strategy.LEAST_LOADED)
    rng = Random(7)  # noqa: S311

    def priority() -> Priority:
        return rng.choices(list(SHARES), list(SHARES.values()))[0]

    async with MeshNetwork(name="caller", load_balancer=balancer) as mesh:
        await all_offered(mesh, servers)
        nominal = SERVERS / MEAN_S
        await arrivals(mesh, rate_per_s=nominal / 2, seconds=WARM_UP_S, rng=rng)
        # What these processes really do a second on this machine, with none of them ever idle.
        alone = await arrivals(mesh, rate_per_s=1.3 * nominal, seconds=WARM_UP_S, rng=rng)
        span = max(a.at + a.took_s for a in alone) - alone[0].at
        capacity = sum(a.error is None for a in alone) / span
        asked = await arrivals(
            mesh,
            rate_per_s=2 * nominal,
            seconds=seconds,
            rng=rng,
            priority=priority,
            timeout_s=15.0,
        )
    print(f"capacity {capacity:.0f}/s measured, {nominal:.0f}/s nominal; {kinds(asked)}")
    span = max(a.at + a.took_s for a in asked) - min(a.at for a in asked)
    goodput = sum(a.error is None for a in asked) / span
    print(f"goodput {goodput:.0f}/s = {goodput / capacity:.0%} of measured capacity")
    for rank in (Priority.HIGH, Priority.CRITICAL):
        mine = [a for a in asked if a.priority is rank]
        assert sum(a.error is None for a in mine) >= 0.99 * len(mine), rank
    low = [a for a in asked if a.priority is Priority.LOW and a.error is not None]
    assert low
    assert all(isinstance(a.error, Overloaded) and a.error.retry_after_s > 0 for a in low)
    assert goodput >= 0.9 * capacity
