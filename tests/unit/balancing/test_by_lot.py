"""One by lot, or the better of two."""

from __future__ import annotations

from collections import Counter

import pytest

from mreza.balancing.by_lot import AnyOne, PeakEwma, PowerOfTwo, draw
from tests.support.balancing import endpoints, give, lots

NAMES = "abcde"


def test_all_are_equally_likely() -> None:
    picker, nodes = AnyOne(lots(1)), endpoints(*NAMES)
    counts = Counter(picker.pick(nodes).node for _ in range(5000))
    assert all(counts[name] == pytest.approx(1000, rel=0.1) for name in NAMES)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 9])
def test_lots_are_different_and_all_equally_likely(count: int) -> None:
    rng, nodes, drawn = lots(2), endpoints(*NAMES), Counter[str]()
    for _ in range(2000):
        names = [str(node.node) for node in draw(nodes, count, rng)]
        assert len(set(names)) == len(names) == min(count, 5)
        drawn.update(names)
    expected = 2000 * min(count, 5) / 5
    assert all(drawn[name] == pytest.approx(expected, rel=0.12) for name in NAMES)


def test_of_two_the_less_loaded_is_taken() -> None:
    nodes, picker = endpoints("a", "b"), PowerOfTwo(lots(3))
    give(nodes[0])
    assert {picker.pick(nodes, now=0.0).node for _ in range(20)} == {"b"}
    assert picker.pick(nodes[:1], now=0.0).node == "a"


def test_the_most_loaded_of_all_is_never_taken() -> None:
    nodes, picker = endpoints(*NAMES), PowerOfTwo(lots(4))
    give(nodes[2])
    assert "c" not in {picker.pick(nodes, now=0.0).node for _ in range(200)}


def test_of_two_the_one_that_answers_sooner_is_taken_until_it_has_more_to_do() -> None:
    fast, slow = nodes = endpoints("fast", "slow")
    picker = PeakEwma(lots(5))
    fast.peak.observe(0.010, now=0.0)
    slow.peak.observe(0.050, now=0.0)
    for _ in range(4):
        assert picker.pick(nodes, now=0.0) is fast
        give(fast)
    give(fast)
    assert picker.pick(nodes, now=0.0) is slow
    assert picker.pick([slow], now=0.0) is slow


def test_a_new_node_gets_one_request_and_no_second_before_it_answers() -> None:
    new, old = nodes = endpoints("new", "old")
    picker = PeakEwma(lots(6))
    old.peak.observe(0.5, now=0.0)
    assert picker.pick(nodes, now=0.0) is new
    give(new)
    for _ in range(50):
        assert picker.pick(nodes, now=0.0) is old
        give(old)
