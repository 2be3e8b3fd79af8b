"""Who is served next."""

from __future__ import annotations

from hypothesis import given, strategies as st

from mreza.processes.request_queue import LOW_EVERY, RequestQueue
from mreza.qos import Priority


def filled(*priorities: int, limit: int = 1000) -> RequestQueue:
    queue = RequestQueue(limit)
    for number, priority in enumerate(priorities):
        assert queue.put(number, priority=priority)
    return queue


def drained(queue: RequestQueue) -> list[int]:
    taken = []
    while (number := queue.take()) is not None:
        taken.append(number)
    return taken


def test_higher_priorities_go_first_and_equals_as_they_came() -> None:
    assert drained(filled(1, 3, 0, 3, 2)) == [1, 3, 4, 0, 2]


def test_the_lowest_never_starves() -> None:
    queue = filled(Priority.LOW)
    taken = []
    for number in range(1, 100):
        queue.put(number, priority=Priority.CRITICAL)
        taken.append(queue.take())
    assert taken.index(0) == LOW_EVERY - 1


def test_a_full_line_refuses() -> None:
    queue = filled(1, 1, limit=2)
    assert not queue.put(9, priority=3)
    assert len(queue) == 2
    queue.take()
    assert queue.put(9, priority=3)


def test_one_may_leave_and_all_may_be_sent_away() -> None:
    queue = filled(1, 2, 1)
    queue.remove(0, priority=1)
    assert sorted(queue.clear()) == [1, 2]
    assert len(queue) == 0
    assert queue.take() is None


@given(st.lists(st.integers(0, 3)))
def test_everybody_is_served_once(priorities: list[int]) -> None:
    assert sorted(drained(filled(*priorities))) == list(range(len(priorities)))
