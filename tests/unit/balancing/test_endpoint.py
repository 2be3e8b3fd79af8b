"""What is in flight where."""

from __future__ import annotations

import pytest

from mreza.balancing.endpoint import Endpoint, Lease, NodeKey, NodeLoad, order_of
from mreza.errors import ConfigError
from mreza.ids import NodeId

A = NodeId(b"a" * 16)


def test_load_is_what_is_scarcest() -> None:
    assert NodeLoad("a", in_flight=3, capacity=10).load == 0.3
    assert NodeLoad("a", in_flight=3, capacity=10, cpu=0.9).load == 0.9
    assert NodeLoad("a").load == 0.0


def test_a_label_is_the_name_or_the_id() -> None:
    assert NodeLoad("a").label == "a"
    assert NodeLoad(A).label == A.short
    assert NodeLoad(A, name="edge").label == "edge"


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"in_flight": -1}, "in_flight of a is -1"),
        ({"capacity": 0}, "capacity of a is 0"),
        ({"cpu": 1.5}, "cpu of a is 1.5"),
    ],
)
def test_an_impossible_load_is_refused(values: dict[str, float], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        NodeLoad("a", **values)  # type: ignore[arg-type]


def test_ids_come_before_names() -> None:
    nodes: list[NodeKey] = ["b", A, "a"]
    assert sorted(nodes, key=order_of) == [A, "a", "b"]


def test_a_lease_counts_until_it_is_ended_once() -> None:
    endpoint = Endpoint("a")
    one, other = Lease(endpoint), Lease(endpoint)
    assert (endpoint.in_flight, endpoint.picks) == (2, 2)
    one.succeeded(0.5)
    one.failed(ValueError())
    assert (endpoint.in_flight, endpoint.succeeded, endpoint.failed) == (1, 1, 0)
    other.failed(ValueError())
    other.released()
    assert (endpoint.in_flight, endpoint.succeeded, endpoint.failed) == (0, 1, 1)


def test_a_released_lease_says_nothing_about_the_node() -> None:
    endpoint = Endpoint("a")
    Lease(endpoint).released()
    assert (endpoint.in_flight, endpoint.succeeded, endpoint.failed) == (0, 0, 0)


def test_a_report_contains_our_leases_and_those_after_it_are_added() -> None:
    endpoint = Endpoint("a")
    before = Lease(endpoint)
    endpoint.report(NodeLoad("a", in_flight=5, capacity=10))
    assert endpoint.in_flight == 5
    Lease(endpoint)
    assert endpoint.in_flight == 6
    before.released()
    assert endpoint.in_flight == 5


def test_our_own_leases_are_believed_more_than_a_report() -> None:
    endpoint = Endpoint("a")
    Lease(endpoint)
    Lease(endpoint)
    endpoint.report(NodeLoad("a", in_flight=0))
    assert endpoint.now.in_flight == 2


def test_above_the_threshold_is_more_than_the_threshold() -> None:
    endpoint = Endpoint("a")
    endpoint.report(NodeLoad("a", in_flight=8, capacity=10))
    assert not endpoint.is_above(0.8)
    endpoint.report(NodeLoad("a", in_flight=9, capacity=10))
    assert endpoint.is_above(0.8)
    endpoint.report(NodeLoad("a", cpu=0.81))
    assert endpoint.is_above(0.8)


def test_latency_is_smoothed_from_the_first_sample() -> None:
    endpoint = Endpoint("a")
    endpoint.observe(1.0)
    assert endpoint.latency_s == 1.0
    endpoint.observe(2.0)
    assert endpoint.latency_s == 1.125
