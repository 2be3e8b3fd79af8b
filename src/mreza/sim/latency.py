"""How long a frame is under way: distributions by name, each with the median that a link has."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random

from mreza.sim.agenda import tick

Draw = Callable[[], float]
"The delay of one frame, seconds."

SHORTEST_S = 1e-6
PARETO_SHAPE = 2.5
"Heavy enough that one frame in a thousand takes sixteen times the shortest."
LONGEST = 100.0
"No delay is longer than so many medians: a link that slow has ended."


def latency(name: str, *, median_s: float, jitter: float, rng: Random) -> Draw:
    """A distribution with this median; `jitter` is its spread as a share of the median.

    fixed: always the median. uniform: `jitter` to both sides. normal: standard deviation, cut off
    at a tenth of the median. lognormal: most are near, few are far. exponential and pareto: the
    median's rest after a share `1 - jitter` that every frame takes has that tail.
    """
    if name not in DISTRIBUTIONS:
        raise ValueError(f"no distribution {name!r}; known are {', '.join(DISTRIBUTIONS)}")
    if not jitter or name == "fixed":
        fixed_s = tick(max(SHORTEST_S, median_s))
        return lambda: fixed_s
    raw = DISTRIBUTIONS[name](median_s, jitter, rng)
    longest_s = median_s * LONGEST

    def draw() -> float:
        return tick(min(longest_s, max(SHORTEST_S, raw())))

    return draw


def _uniform(median_s: float, jitter: float, rng: Random) -> Draw:
    low, high = median_s * max(0.0, 1 - jitter), median_s * (1 + jitter)
    return lambda: low + (high - low) * rng.random()


def _normal(median_s: float, jitter: float, rng: Random) -> Draw:
    return lambda: max(0.1 * median_s, rng.gauss(median_s, jitter * median_s))


def _lognormal(median_s: float, jitter: float, rng: Random) -> Draw:
    mu, sigma = math.log(median_s), math.log1p(jitter)
    return lambda: math.exp(rng.gauss(mu, sigma))


def _exponential(median_s: float, jitter: float, rng: Random) -> Draw:
    share = min(1.0, jitter)
    floor, rate = median_s * (1 - share), math.log(2) / (median_s * share)
    return lambda: floor + rng.expovariate(rate)


def _pareto(median_s: float, jitter: float, rng: Random) -> Draw:
    share = min(1.0, jitter)
    floor = median_s * (1 - share)
    shortest = median_s * share / 2 ** (1 / PARETO_SHAPE)
    return lambda: floor + shortest * rng.paretovariate(PARETO_SHAPE)


DISTRIBUTIONS: dict[str, Callable[[float, float, Random], Draw]] = {
    "fixed": lambda median_s, _jitter, _rng: lambda: median_s,
    "uniform": _uniform,
    "normal": _normal,
    "lognormal": _lognormal,
    "exponential": _exponential,
    "pareto": _pareto,
}
