"""What a strategy is, and which class is which."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Protocol

from mreza.balancing.by_lot import AnyOne, PeakEwma, PowerOfTwo
from mreza.balancing.endpoint import Endpoint
from mreza.balancing.hash_ring import ConsistentHash
from mreza.balancing.least_loaded import LeastLoaded
from mreza.balancing.round_robin import RoundRobin, SmoothWeights
from mreza.config.load_balancer import Strategy
from mreza.errors import ConfigError

DRAW_LOTS = (Strategy.RANDOM, Strategy.POWER_OF_TWO, Strategy.PEAK_EWMA)
NO_LOTS = "{} draws lots: make the balancer with rng=random.Random()"


class Picker(Protocol):
    """Picks for one process, of nodes against which nothing speaks."""

    def pick(self, endpoints: Sequence[Endpoint], *, key: str | None, now: float) -> Endpoint:
        """One of `endpoints`, which are sorted by id and not empty."""
        ...


def picker_of(strategy: Strategy, rng: Random | None) -> Picker:
    """A new picker, that remembers nothing yet.

    Raises:
        ConfigError: the strategy draws lots and there is no `rng`.
    """
    match strategy:
        case Strategy.ROUND_ROBIN:
            return RoundRobin()
        case Strategy.WEIGHTED_ROUND_ROBIN:
            return SmoothWeights()
        case Strategy.LEAST_LOADED:
            return LeastLoaded()
        case Strategy.CONSISTENT_HASH:
            return ConsistentHash()
    if rng is None:
        raise ConfigError(NO_LOTS.format(strategy))
    match strategy:
        case Strategy.RANDOM:
            return AnyOne(rng)
        case Strategy.POWER_OF_TWO:
            return PowerOfTwo(rng)
        case Strategy.PEAK_EWMA:
            return PeakEwma(rng)
