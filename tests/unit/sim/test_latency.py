"""Distributions have the median that was asked for, and the tails of their names."""

from __future__ import annotations

from random import Random

import pytest

from mreza.sim.latency import DISTRIBUTIONS, LONGEST, latency


def drawn(name: str, jitter: float = 0.3, count: int = 4000) -> list[float]:
    draw = latency(name, median_s=0.01, jitter=jitter, rng=Random(5))  # noqa: S311
    return sorted(draw() for _ in range(count))


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_half_of_all_frames_take_longer_than_the_median(name: str) -> None:
    values = drawn(name)
    assert values[len(values) // 2] == pytest.approx(0.01, rel=0.05)
    assert values[0] > 0
    assert values[-1] <= 0.01 * LONGEST
    assert all(value == round(value, 6) for value in values)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_without_jitter_every_frame_takes_the_median(name: str) -> None:
    assert set(drawn(name, jitter=0.0, count=10)) == {0.01}


def test_tails_are_as_heavy_as_their_names_say() -> None:
    worst = {name: drawn(name)[-4] for name in DISTRIBUTIONS}
    assert worst["fixed"] < worst["uniform"] < worst["exponential"]
    assert worst["normal"] < worst["lognormal"] < worst["pareto"]


def test_an_unknown_name_is_told_what_is_known() -> None:
    with pytest.raises(ValueError, match="known are fixed, uniform"):
        latency("gauss", median_s=1, jitter=0, rng=Random(1))  # noqa: S311
