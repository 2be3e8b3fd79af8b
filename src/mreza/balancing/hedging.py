"""When to send a second copy of a request (Dean and Barroso, The Tail at Scale, 2013)."""

from __future__ import annotations

from mreza.balancing.latency import LatencyWindow

HEDGE_QUANTILE = 0.95
"After this latency only one request in twenty is still out: that many more are sent, at most."
SAMPLES_MIN = 20
"Latencies from which the quantile means something."


def hedge_delay_s(latencies: LatencyWindow) -> float | None:
    """How long to wait for an answer before another node is asked as well; None: do not."""
    if len(latencies) < SAMPLES_MIN:
        return None
    return latencies.quantile(HEDGE_QUANTILE)
