"""When a second copy is worth it."""

from __future__ import annotations

from mreza.balancing.hedging import SAMPLES_MIN, hedge_delay_s
from mreza.balancing.latency import LatencyWindow


def test_a_second_copy_goes_when_nineteen_of_twenty_would_have_answered() -> None:
    latencies = LatencyWindow()
    for number in range(SAMPLES_MIN - 1):
        latencies.add(number)
    assert hedge_delay_s(latencies) is None
    for number in range(SAMPLES_MIN - 1, 100):
        latencies.add(number)
    assert hedge_delay_s(latencies) == 95
