"""Settings of the balancer: who is picked to do work."""

from __future__ import annotations

import enum
from typing import Annotated, Any

from pydantic import Field

from mreza.config.base import Config
from mreza.errors import ConfigError


class Strategy(enum.StrEnum):
    """How the balancer picks among nodes that could do the work."""

    ROUND_ROBIN = "round_robin"
    "Each in turn, in the order of their ids, for each process separately."

    @classmethod
    def _missing_(cls, value: object) -> Strategy | None:
        spelled = str(value).lower().replace("-", "_")
        return next((member for member in cls if member.value == spelled), None)


class LoadBalancerConfig(Config):
    """Strategy and overload threshold."""

    strategy: Strategy = Strategy.ROUND_ROBIN
    "How a node is picked. Default: fair, needs no measurements, and is easy to predict."
    threshold: Annotated[float, Field(gt=0, le=1)] = 0.8
    """Load (in flight / capacity) above which a node gets no new work unless all are.
    Default: queueing delay rises steeply from there (M/M/1: five service times at 0.8)."""


def strategy_of(value: Any) -> Strategy:
    """The strategy meant by a member or its name; ConfigError lists what is allowed."""
    try:
        return Strategy(value)
    except ValueError:
        allowed = ", ".join(f"Strategy.{member.name}" for member in Strategy)
        raise ConfigError(f"strategy {value!r} does not exist; allowed: {allowed}") from None
