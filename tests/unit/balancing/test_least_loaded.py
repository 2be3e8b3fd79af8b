"""Whoever has the most room."""

from __future__ import annotations

from mreza.balancing.least_loaded import LeastLoaded
from tests.support.balancing import endpoint, endpoints, give


def test_the_one_with_the_fewest_in_flight_for_its_capacity_is_picked() -> None:
    big, small = endpoint("big", in_flight=6, capacity=100), endpoint("small", capacity=10)
    assert LeastLoaded().pick([big, small], now=0.0) is big
    give(small)
    assert LeastLoaded().pick([big, small], now=0.0) is big


def test_equals_take_turns() -> None:
    nodes, picker = endpoints("a", "b", "c"), LeastLoaded()
    assert [picker.pick(nodes, now=0.0).node for _ in range(4)] == list("abca")


def test_work_given_evens_out() -> None:
    nodes, picker = endpoints("a", "b", "c"), LeastLoaded()
    give(nodes[0])
    for _ in range(8):
        give(picker.pick(nodes, now=0.0))
    assert [node.pending for node in nodes] == [3, 3, 3]
