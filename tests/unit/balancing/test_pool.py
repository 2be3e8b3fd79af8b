"""One process on many nodes."""

from __future__ import annotations

from typing import Any

import pytest

from mreza.balancing.endpoint import Host
from mreza.balancing.lease import Lease
from mreza.balancing.pool import SLOW, SLOW_DEFAULT_S, SLOW_MIN_S, Pool
from mreza.config.load_balancer import Strategy
from mreza.errors import PayloadError
from mreza.qos import Priority


@pytest.fixture
def pool() -> Pool:
    pool = Pool("p", threshold=0.8, rng=None)
    pool.offered_by(("a", "b"), [Host("a"), Host("b")])
    return pool


def pick(pool: Pool, **options: Any) -> Lease:
    given: dict[str, Any] = {
        "strategy": Strategy.ROUND_ROBIN,
        "key": None,
        "priority": Priority.NORMAL,
        "attempt": 1,
        "now": 0.0,
        **options,
    }
    endpoint, choice = pool.pick(pool.current, **given)
    return Lease(endpoint, pool, now=given["now"], choice=choice)


def test_slow_is_ten_times_the_median(pool: Pool) -> None:
    assert pool.slow_s == SLOW_DEFAULT_S
    pick(pool).succeeded(0.001)
    assert pool.slow_s == SLOW_MIN_S
    for _ in range(100):
        pick(pool).succeeded(0.2)
    assert pool.slow_s == SLOW * 0.2


def test_a_failure_that_took_long_counts_as_long_as_it_took(pool: Pool) -> None:
    pick(pool).failed(ValueError(), now=30.0)
    assert pool.endpoints["a"].peak.at(30.0) == 30.0


def test_a_wrong_request_is_nobodys_fault(pool: Pool) -> None:
    before = pool.endpoints["a"].burden(0.0)
    for _ in range(20):
        pick(pool, strategy=Strategy.ROUND_ROBIN).failed(PayloadError("wrong"))
    assert pool.endpoints["a"].burden(0.0) == before
    assert pool.endpoints["a"].is_healthy(0.0)
    assert pool.endpoints["a"].host.failed == 10


def test_each_strategy_keeps_its_turn(pool: Pool) -> None:
    picked = [
        pick(pool, strategy=strategy).node
        for strategy in [Strategy.ROUND_ROBIN, Strategy.WEIGHTED_ROUND_ROBIN] * 2
    ]
    assert picked == list("aabb")


def test_a_node_known_anew_begins_anew(pool: Pool) -> None:
    pool.endpoints["a"].circuit.trip(now=0.0)
    pool.remove("a")
    pool.remove("never there")
    assert [endpoint.node for endpoint in pool.current] == ["b"]
    pool.offered_by(("a", "b"), [Host("a"), Host("b")])
    assert pool.trouble_of("a", now=0.0) == ""
    assert pool.trouble_of("c", now=0.0) == ""
