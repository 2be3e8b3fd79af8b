"""Time something again and again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from benchmarks.figures import latencies

SAMPLE_S = 0.002
"How exactly a receiver knows when the last message came."
WAIT_S = 60.0
"Ends a benchmark that hangs."


async def timed(once: Callable[[], Awaitable[None]], seconds: float) -> dict[str, Any]:
    """Do it again and again; medians of the times."""
    times: list[float] = []
    started = now = time.monotonic()
    while now - started < seconds:
        async with asyncio.timeout(WAIT_S):
            await once()
        before, now = now, time.monotonic()
        times.append(now - before)
    p50, p99 = latencies(times)
    return {"messages": len(times), "seconds": now - started, "p50_us": p50, "p99_us": p99}
