"""Settings of the balancer: who is picked to do work."""

from __future__ import annotations

import enum
from typing import Annotated, Any

from pydantic import Field

from mreza.config.base import Config, Seconds
from mreza.errors import ConfigError


class Strategy(enum.StrEnum):
    """How the balancer picks among nodes that could do the work."""

    ROUND_ROBIN = "round_robin"
    "Each in turn, in the order of their ids, for each process separately."
    WEIGHTED_ROUND_ROBIN = "weighted_round_robin"
    "Each in turn, as often as the capacity it reports asks for, evenly spread."
    RANDOM = "random"
    "Any, all equally likely."
    LEAST_LOADED = "least_loaded"
    "The one with the fewest requests in flight for its capacity."
    POWER_OF_TWO = "power_of_two"
    "The less loaded of two drawn by lot: nearly as good as the least loaded, and no herds."
    PEAK_EWMA = "peak_ewma"
    "Of two drawn by lot the one that answers sooner; its latency rises at once and falls slowly."
    CONSISTENT_HASH = "consistent_hash"
    "Equal keys go to one node, as long as it has at most 1.25 times its share."

    @classmethod
    def _missing_(cls, value: object) -> Strategy | None:
        spelled = str(value).lower().replace("-", "_")
        return next((member for member in cls if member.value == spelled), None)


class LoadBalancerConfig(Config):
    """Strategy and overload threshold."""

    strategy: Strategy = Strategy.ROUND_ROBIN
    "How a node is picked. Default: fair, needs no measurements, and is easy to predict."
    per_process: dict[str, Strategy] = Field(default_factory=dict)
    "Another strategy for the processes named here. Default: none."
    threshold: Annotated[float, Field(gt=0, le=1)] = 0.8
    """Load (in flight / capacity) above which a node gets no new work unless all are.
    Default: queueing delay rises steeply from there (M/M/1: five service times at 0.8)."""
    load_max_age_s: Seconds = 5.0
    """Seconds after which what a node said of its load counts for nothing; until then, less and
    less. Default: loads change within a second (Prequal, NSDI 2024, drops probes after 1 s)."""

    def __hash__(self) -> int:
        return hash((self.strategy, *sorted(self.per_process.items()), self.threshold))


def strategy_of(value: Any) -> Strategy:
    """The strategy meant by a member or its name; ConfigError lists what is allowed."""
    try:
        return Strategy(value)
    except ValueError:
        allowed = ", ".join(f"Strategy.{member.name}" for member in Strategy)
        raise ConfigError(f"strategy {value!r} does not exist; allowed: {allowed}") from None
