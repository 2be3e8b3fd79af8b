"""Each in turn, whoever comes and goes."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, strategies as st

from mreza.balancing.endpoint import Endpoint
from mreza.balancing.round_robin import TURNS_MAX, RoundRobin

sets_of_nodes = st.sets(st.integers(0, 12).map(str), min_size=1)


def endpoints(*names: str) -> list[Endpoint]:
    return [Endpoint(name) for name in sorted(names)]


def picks(turns: RoundRobin, names: list[Endpoint], count: int, process: str = "p") -> list[str]:
    return [str(turns.pick(names, process=process).node) for _ in range(count)]


def test_each_in_turn_in_the_order_of_ids() -> None:
    assert picks(RoundRobin(), endpoints("c", "a", "b"), 7) == list("abcabca")


def test_each_process_has_its_own_turn() -> None:
    turns, nodes = RoundRobin(), endpoints("a", "b")
    assert picks(turns, nodes, 3, "p") == list("aba")
    assert picks(turns, nodes, 3, "q") == list("aba")
    assert picks(turns, nodes, 1, "p") == ["b"]


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


def test_the_turns_of_old_processes_are_forgotten() -> None:
    turns, nodes = RoundRobin(), endpoints("a", "b")
    for number in range(TURNS_MAX + 1):
        assert picks(turns, nodes, 1, f"p{number}") == ["a"]
    assert picks(turns, nodes, 1, "p0") == ["a"], "forgotten: it starts anew"
    assert picks(turns, nodes, 1, f"p{TURNS_MAX}") == ["b"], "remembered"
