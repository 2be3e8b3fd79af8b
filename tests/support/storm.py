"""All workers are stuck with full inboxes, then they work again; how much is sent meanwhile."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from mreza import LoadBalancer, MeshNetwork, Strategy
from mreza.planes.calls import Calls
from tests.support.processes import Processes
from tests.support.service import all_offered, arrivals, kinds, percentile, start_servers

SERVERS = 4
MEAN_S = 0.01
RATE_PER_S = 100.0
NORMAL_AFTER_S = 10.0


async def storm(
    processes: Processes,
    state: Path,
    hold: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    seconds: float,
    settles_s: float,
) -> None:
    """At most 1.2 requests an arrival and ten a second are sent; soon after, all is as before."""
    servers = start_servers(
        processes,
        state,
        each=[{}] * SERVERS,
        MEAN_S=str(MEAN_S),
        HOLD=str(hold),
        MREZA_PROCESSES__INBOX_REQUESTS="4",
    )
    sent = 0
    sending = Calls._send

    def counted(calls: Calls, *arguments: object) -> None:
        nonlocal sent
        sent += 1
        sending(calls, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Calls, "_send", counted)
    rng = Random(3)  # noqa: S311
    async with MeshNetwork(
        name="caller", load_balancer=LoadBalancer(Strategy.LEAST_LOADED)
    ) as mesh:
        await all_offered(mesh, servers)
        before = await arrivals(mesh, rate_per_s=RATE_PER_S, seconds=2.0, rng=rng)
        assert all(a.error is None for a in before), kinds(before)
        hold.touch()  # noqa: ASYNC240 - one entry of a folder
        sent = 0
        # Shorter than a retry of the caller's own would be: each arrival is one call.
        down = await arrivals(mesh, rate_per_s=RATE_PER_S, seconds=seconds, rng=rng, timeout_s=1.0)
        allowed = 1.2 * len(down) + 10 * seconds
        print(f"down: {sent} sent for {len(down)} arrivals, allowed {allowed:.0f}; {kinds(down)}")
        assert sent <= allowed
        hold.unlink()  # noqa: ASYNC240 - one entry of a folder
        await arrivals(mesh, rate_per_s=RATE_PER_S, seconds=settles_s, rng=rng)
        after = await arrivals(mesh, rate_per_s=RATE_PER_S, seconds=2.0, rng=rng)
    assert all(a.error is None for a in after), kinds(after)
    usual, now = (percentile([a.took_s for a in some], 0.9) for some in (before, after))
    print(f"p90 before {usual * 1e3:.1f} ms, after {now * 1e3:.1f} ms")
    assert now <= 2 * usual + 0.02
