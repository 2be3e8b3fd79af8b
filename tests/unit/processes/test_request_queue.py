"""Who is served next."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, strategies as st

from mreza.ids import NodeId
from mreza.processes.request_queue import LOW_EVERY, RequestQueue
from mreza.qos import Priority

A, B, C = (NodeId(letter * 16) for letter in (b"a", b"b", b"c"))


def filled(*priorities: int, limit: int = 1000) -> RequestQueue:
    queue = RequestQueue(limit)
    for number, priority in enumerate(priorities):
        assert queue.put(number, requester=A, priority=priority)
    return queue


def line_of(*requesters: NodeId, limit: int = 1000) -> RequestQueue:
    """One request of each, numbered from 0, all of one priority."""
    queue = RequestQueue(limit)
    for number, requester in enumerate(requesters):
        assert queue.put(number, requester=requester, priority=1)
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
        queue.put(number, requester=B, priority=Priority.CRITICAL)
        taken.append(queue.take())
    assert taken.index(0) == LOW_EVERY - 1


def test_requesters_take_turns_and_keep_their_own_order() -> None:
    assert drained(line_of(A, A, A, B, C, B)) == [0, 3, 4, 1, 5, 2]


def test_who_asks_without_end_keeps_nobody_waiting() -> None:
    queue = line_of(*[A] * 900)
    taken: list[int | None] = []
    for number in range(1000, 1100):
        queue.put(number, requester=B, priority=1)
        queue.put(number + 1000, requester=A, priority=1)
        taken += [queue.take(), queue.take()]
    of_b = [number for number in taken if number is not None and 1000 <= number < 1100]
    assert len(of_b) == 100


def test_a_full_line_refuses() -> None:
    queue = filled(1, 1, limit=2)
    assert not queue.put(9, requester=A, priority=3)
    assert len(queue) == 2
    queue.take()
    assert queue.put(9, requester=A, priority=3)


def test_who_has_most_gives_way_to_who_has_little() -> None:
    queue = line_of(A, A, A, B)
    assert queue.who_gives_way(requester=C, priority=1) == 2, "the newest of a"
    assert queue.who_gives_way(requester=B, priority=1) == 2
    assert queue.who_gives_way(requester=A, priority=1) is None, "nobody has more"
    queue.remove(2, requester=A, priority=1)
    assert queue.who_gives_way(requester=B, priority=1) is None, "they would only change places"


def test_lower_priorities_give_way_whosoever_they_are() -> None:
    queue = filled(2, 0, 3)
    assert queue.who_gives_way(requester=A, priority=1) == 1
    assert queue.who_gives_way(requester=A, priority=3) == 1
    queue.remove(1, requester=A, priority=0)
    assert queue.who_gives_way(requester=B, priority=1) is None
    assert RequestQueue(1).who_gives_way(requester=B, priority=3) is None


def test_one_may_leave_and_all_may_be_sent_away() -> None:
    queue = filled(1, 2, 1)
    queue.remove(0, requester=A, priority=1)
    assert sorted(queue.clear()) == [1, 2]
    assert len(queue) == 0
    assert queue.take() is None


@given(st.lists(st.tuples(st.sampled_from([A, B, C]), st.integers(0, 3))))
def test_everybody_is_served_once(requests: list[tuple[NodeId, int]]) -> None:
    queue = RequestQueue(1000)
    for number, (requester, priority) in enumerate(requests):
        queue.put(number, requester=requester, priority=priority)
    assert sorted(drained(queue)) == list(range(len(requests)))


@given(st.lists(st.sampled_from([A, B, C]), max_size=60))
def test_the_room_of_a_full_line_is_shared_evenly(requesters: list[NodeId]) -> None:
    """With requests of three without end, each ends up with its third or what it asked for."""
    queue, owner = RequestQueue(12), {}
    for number, requester in enumerate(requesters):
        owner[number] = requester
        if not queue.put(number, requester=requester, priority=1):
            victim = queue.who_gives_way(requester=requester, priority=1)
            if victim is not None:
                queue.remove(victim, requester=owner[victim], priority=1)
                assert queue.put(number, requester=requester, priority=1)
    asked, got = Counter(requesters), Counter(owner[number] for number in drained(queue))
    assert all(got[node] >= min(asked[node], 4) for node in asked)


def test_the_queue_knows_what_share_of_the_turns_low_gets() -> None:
    queue, number = RequestQueue(1000), 0
    assert queue.low_share == 1.0
    for _ in range(100):
        queue.put(number := number + 1, requester=A, priority=Priority.LOW)
        queue.take()
    assert queue.low_share == 1.0, "it is alone"
    for number in range(1000, 1500):
        queue.put(number, requester=A, priority=Priority.LOW)
    for number in range(2000, 2200):
        queue.put(number, requester=B, priority=Priority.HIGH)
        queue.take()
    assert queue.low_share < 2 / LOW_EVERY
    assert queue.low == 500 - 200 // LOW_EVERY
    while queue.low > 1:
        queue.take()
    assert queue.low_share > 0.9
