"""Strategies that draw lots: one, or the better of a few."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from mreza.balancing.endpoint import Endpoint

FIRST_ANSWER_S = 1e6
"Cost of a node that has work of ours and has never answered: it gets no second before the first."


class AnyOne:
    """Draw one; all are equally likely. n items in n bins: ln n / ln ln n in the fullest."""

    def __init__(self, rng: Random) -> None:
        self._random = rng.random

    def pick(
        self,
        endpoints: Sequence[Endpoint],
        *,
        key: str | None = None,  # noqa: ARG002
        now: float = 0.0,  # noqa: ARG002
    ) -> Endpoint:
        return endpoints[int(self._random() * len(endpoints))]


class PowerOfTwo:
    """Draw two, take the less loaded (Mitzenmacher 2001): most of the best choice for two looks.

    n items in n bins: ln ln n / ln 2 in the fullest. And as no two callers look at the same pair,
    they do not all run to one node.
    """

    def __init__(self, rng: Random, *, choices: int = 2) -> None:
        self._rng = rng
        self._choices = choices

    def pick(
        self,
        endpoints: Sequence[Endpoint],
        *,
        key: str | None = None,  # noqa: ARG002
        now: float,
    ) -> Endpoint:
        drawn = draw(endpoints, self._choices, self._rng)
        chosen, least = drawn[0], drawn[0].burden(now)
        for endpoint in drawn[1:]:
            burden = endpoint.burden(now)
            if burden < least:
                chosen, least = endpoint, burden
        return chosen


class PeakEwma:
    """Draw two, take the one with less expected latency × requests waiting (finagle's Peak EWMA).

    Latencies are our own measurements: they contain the network and the queue there, and are never
    older than the last answer. A node that is new costs nothing, until it has its first request;
    then too much, until it has answered.
    """

    def __init__(self, rng: Random) -> None:
        self._rng = rng

    def pick(
        self,
        endpoints: Sequence[Endpoint],
        *,
        key: str | None = None,  # noqa: ARG002
        now: float,
    ) -> Endpoint:
        one, *more = draw(endpoints, 2, self._rng)
        return one if not more or _cost(one, now) <= _cost(more[0], now) else more[0]


def draw(endpoints: Sequence[Endpoint], count: int, rng: Random) -> Sequence[Endpoint]:
    """So many different ones, or all if there are no more."""
    size = len(endpoints)
    if count >= size:
        return rng.sample(endpoints, size)
    if count == 2:
        first, second = int(rng.random() * size), int(rng.random() * (size - 1))
        return endpoints[first], endpoints[second + (second >= first)]
    return rng.sample(endpoints, count)


def _cost(endpoint: Endpoint, now: float) -> float:
    latency_s = endpoint.peak.at(now)
    if latency_s == 0.0 and endpoint.pending:
        return FIRST_ANSWER_S + endpoint.pending
    return latency_s * (endpoint.pending + 1)
