"""A pair of nodes opened and closed a thousand times leaves nothing behind."""

from __future__ import annotations

import gc
from typing import Any

import psutil
import pytest

from mreza import DiscoveryConfig, LinkConfig, MeshNetwork
from tests.support.leaks import no_leaks_async
from tests.support.meshes import offers

CYCLES = 1000
WARM_CYCLES = 200
"After so many, caches and the allocator have their size."
GROWTH_MAX = 3 * 1024 * 1024


async def one_cycle(number: int) -> None:
    """Two nodes meet, one does work for the other, both close."""
    settings: dict[str, Any] = {
        "discovery_config": DiscoveryConfig(state_poll_s=0.02),
        # All thousand pairs have one address, as a flood of strangers would.
        "link_config": LinkConfig(accepts_per_address_per_s=1000),
    }
    async with MeshNetwork(name="a", **settings) as a, MeshNetwork(name="b", **settings) as b:

        @b.process("double")
        async def double(value: int) -> int:
            return 2 * value

        await offers(a, "b", "double")
        assert await a.call("double", number) == 2 * number


def resident_bytes() -> int:
    gc.collect()
    size: int = psutil.Process().memory_info().rss
    return size


@pytest.mark.timeout(1800)
async def test_a_thousand_pairs_leave_no_descriptor_thread_task_or_memory() -> None:
    await one_cycle(0)
    after_warm_up = 0
    async with no_leaks_async():
        for number in range(1, CYCLES + 1):
            await one_cycle(number)
            if number == WARM_CYCLES:
                after_warm_up = resident_bytes()
    grown = resident_bytes() - after_warm_up
    print(
        f"RSS after {WARM_CYCLES}: {after_warm_up / 2**20:.1f} MiB, then {grown / 2**20:+.2f} MiB"
    )
    assert grown <= GROWTH_MAX
