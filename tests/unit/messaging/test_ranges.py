from __future__ import annotations

from mreza.messaging.ranges import SeenNumbers


def test_numbers_in_order_leave_no_runs() -> None:
    seen = SeenNumbers(4)
    assert [seen.add(n) for n in (5, 6, 7)] == [True] * 3
    assert seen.cumulative == 7
    assert seen.runs(32) == ()


def test_runs_grow_join_and_are_absorbed() -> None:
    seen = SeenNumbers()
    for number in (5, 7, 6, 10, 3, 4):
        assert seen.add(number)
    assert seen.runs(32) == ((3, 7), (10, 10))
    assert not seen.add(6)
    assert 8 not in seen
    seen.add(2)
    seen.add(1)
    assert (seen.cumulative, seen.runs(32)) == (7, ((10, 10),))


def test_only_the_lowest_runs_are_told() -> None:
    seen = SeenNumbers()
    for number in range(2, 100, 2):
        seen.add(number)
    assert seen.runs(3) == ((2, 2), (4, 4), (6, 6))


def test_what_will_never_come_counts_as_seen() -> None:
    seen = SeenNumbers()
    seen.add(4)
    seen.raise_to(2)
    assert (seen.cumulative, seen.runs(9)) == (2, ((4, 4),))
    seen.raise_to(3)
    assert seen.cumulative == 4
    seen.raise_to(1)
    assert seen.cumulative == 4
