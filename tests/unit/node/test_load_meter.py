"""Load is the share of what has passed since the last look, smoothed."""

from __future__ import annotations

from typing import Any

import pytest

from mreza.io.host import SystemHost
from mreza.node.load_meter import CPU_GAIN, LoadMeter


def test_cpu_is_what_was_used_lately() -> None:
    told: list[dict[str, Any]] = []
    times = iter([(10.0, 100.0), (11.0, 104.0), (11.0, 104.0), (14.0, 108.0)])
    meter = LoadMeter(
        lambda **load: told.append(load), cpu_times=lambda: next(times), memory=lambda: 0.5
    )
    for lag_s in (0.1, 0.2, 0.3):
        meter.measure(lag_s)
    assert told == [
        {"cpu": 0.25, "memory": 0.5, "loop_lag_s": 0.1},
        {"cpu": 0.25, "memory": 0.5, "loop_lag_s": 0.2},
        {"cpu": pytest.approx(0.25 + CPU_GAIN * 0.5), "memory": 0.5, "loop_lag_s": 0.3},
    ]


def test_this_machine_has_shares_between_nothing_and_all() -> None:
    told: list[dict[str, Any]] = []
    host = SystemHost()
    meter = LoadMeter(
        lambda **load: told.append(load), cpu_times=host.cpu_times, memory=host.memory
    )
    sum(range(2_000_000))
    meter.measure(0.0)
    (load,) = told
    assert load["cpu"] is None or 0.0 <= load["cpu"] <= 1.0
    assert 0.0 < load["memory"] <= 1.0
