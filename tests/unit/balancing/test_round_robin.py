"""Each in turn, whoever comes and goes."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from hypothesis import given, strategies as st

from mreza.balancing.endpoint import Endpoint
from mreza.balancing.round_robin import STRANGERS_MAX, RoundRobin, SmoothWeights
from tests.support.balancing import endpoint, endpoints

sets_of_nodes = st.sets(st.integers(0, 12).map(str), min_size=1)
weights = st.lists(st.integers(1, 30), min_size=1, max_size=8)


def picks(turns: RoundRobin | SmoothWeights, among: list[Endpoint], count: int) -> list[str]:
    return [str(turns.pick(among).node) for _ in range(count)]


def weighted(*capacities: int) -> list[Endpoint]:
    return [endpoint(chr(97 + place), capacity=c) for place, c in enumerate(capacities)]


def test_each_in_turn_in_the_order_of_ids() -> None:
    assert picks(RoundRobin(), endpoints("c", "a", "b"), 7) == list("abcabca")


def test_who_joins_waits_for_its_turn_and_who_leaves_takes_nobody_with_it() -> None:
    turns = RoundRobin()
    assert picks(turns, endpoints("b", "d"), 1) == ["b"]
    assert picks(turns, endpoints("a", "b", "c", "d"), 2) == ["c", "d"]
    assert picks(turns, endpoints("a", "b"), 2) == ["a", "b"]


@given(sets_of_nodes, st.integers(0, 60))
def test_it_is_fair_to_one(names: set[str], count: int) -> None:
    counts = Counter(picks(RoundRobin(), endpoints(*names), count))
    shares = [counts[name] for name in names]
    assert max(shares) - min(shares) <= 1


@given(sets_of_nodes, sets_of_nodes)
def test_after_any_change_the_next_round_serves_everybody_once(
    before: set[str], after: set[str]
) -> None:
    turns = RoundRobin()
    picks(turns, endpoints(*before), 5)
    assert sorted(picks(turns, endpoints(*after), len(after))) == sorted(after)


def test_smooth_weights_give_the_order_that_nginx_documents() -> None:
    turns = SmoothWeights()
    assert picks(turns, weighted(5, 1, 1), 14) == list("aabacaa" * 2)


def test_smooth_weights_follow_the_published_examples() -> None:
    assert picks(SmoothWeights(), weighted(4, 2, 1), 7) == list("abacaba")
    assert picks(SmoothWeights(), weighted(2, 1), 6) == list("abaaba")


@given(weights)
def test_a_cycle_serves_each_exactly_by_its_weight_and_begins_anew(capacities: list[int]) -> None:
    turns, among = SmoothWeights(), weighted(*capacities)
    cycle = picks(turns, among, sum(capacities))
    assert Counter(cycle) == {str(e.node): c for e, c in zip(among, capacities, strict=True)}
    assert picks(turns, among, sum(capacities)) == cycle


@given(weights)
def test_at_any_time_nobody_is_ahead_or_behind_by_as_much_as_there_are_others(
    capacities: list[int],
) -> None:
    turns, among = SmoothWeights(), weighted(*capacities)
    total, got = sum(capacities), Counter[str]()
    for count in range(1, total + 1):
        got[picks(turns, among, 1)[0]] += 1
        for e, capacity in zip(among, capacities, strict=True):
            assert abs(got[str(e.node)] - count * capacity / total) <= len(among)


def test_equal_weights_are_round_robin() -> None:
    assert picks(SmoothWeights(), weighted(7, 7, 7), 6) == list("abcabc")


def test_a_heavy_one_is_spread_and_not_served_in_a_row() -> None:
    served = picks(SmoothWeights(), weighted(3, 3, 1), 7)
    assert all(one != next_ for one, next_ in pairwise(served))


def test_credit_of_those_long_gone_is_forgotten() -> None:
    turns = SmoothWeights()
    for number in range(3 * STRANGERS_MAX):
        picks(turns, endpoints(f"n{number}"), 1)
    assert len(turns._credit) <= STRANGERS_MAX + 2
