"""Load is the share of what has passed since the last look, smoothed."""

from __future__ import annotations

from typing import Any

import pytest

from mreza.io.host import SystemHost
from mreza.node.load_meter import CPU_GAIN, SAMPLES_MIN, LoadMeter


def test_cpu_is_what_was_used_lately() -> None:
    told: list[dict[str, Any]] = []
    times = iter([(10.0, 100.0), (11.0, 104.0), (11.0, 104.0), (14.0, 108.0), (15.0, 112.0)])
    used = iter([(19.0, 116.0), (19.0, 120.0)])
    meter = LoadMeter(
        lambda **load: told.append(load),
        cpu_times=lambda: next(times, None) or next(used),
        memory=lambda: 0.5,
    )
    for lag_s in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6):
        meter.measure(lag_s)
    assert [load["memory"] for load in told] == [0.5] * 6
    assert [load["loop_lag_s"] for load in told] == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    mean = (0.25 + 0.75 + 0.25) / 3
    now = mean + CPU_GAIN * (1.0 - mean)
    expected = [None, None, None, mean, now, now - CPU_GAIN * now]
    assert [load["cpu"] for load in told] == [
        value if value is None else pytest.approx(value) for value in expected
    ], "in one step nothing passed, and three are needed before anything is told"


def test_this_machine_has_shares_between_nothing_and_all() -> None:
    told: list[dict[str, Any]] = []
    host = SystemHost()
    meter = LoadMeter(
        lambda **load: told.append(load), cpu_times=host.cpu_times, memory=host.memory
    )
    for _ in range(SAMPLES_MIN):
        sum(range(1_000_000))
        meter.measure(0.0)
    load = told[-1]
    assert load["cpu"] is None or 0.0 <= load["cpu"] <= 1.0
    assert 0.0 < load["memory"] <= 1.0
