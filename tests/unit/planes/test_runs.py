"""A line learns how long its work takes, and says when to come back and how much it can hold."""

from __future__ import annotations

import pytest

from mreza.ids import NodeId
from mreza.planes.runs import RETRY_AFTER_MAX_S, RETRY_AFTER_MIN_S, Line
from mreza.qos import Priority


def test_the_capacity_is_what_will_be_served_in_time() -> None:
    line = Line(1000, wait_s=1.0)
    assert line.capacity == 1000, "nothing is known of its work"
    for _ in range(200):
        line.ended(0.1, at_a_time=2)
    assert line.mean_s == pytest.approx(0.1)
    assert line.capacity == 2 + 20
    for _ in range(200):
        line.ended(0.0, at_a_time=2)
    assert line.capacity == 2 + 1000, "as many as may wait"


def test_work_that_failed_says_nothing_about_how_long_work_takes() -> None:
    line = Line(1000, wait_s=1.0)
    line.ended(0.1, at_a_time=2)
    mean_s, capacity = line.mean_s, line.capacity
    for _ in range(200):
        line.ended(None, at_a_time=2)
    assert (line.mean_s, line.capacity) == (mean_s, capacity)


def test_a_full_line_names_a_time_within_reason() -> None:
    line = Line(1000, wait_s=1.0)
    assert line.retry_after_s(1, at_a_time=1) == RETRY_AFTER_MIN_S
    line.mean_s = 100.0
    for number in range(10):
        line.queue.put(number, requester=NodeId(b"r" * 16), priority=1)
    assert line.retry_after_s(1, at_a_time=1) == RETRY_AFTER_MAX_S
    line.mean_s = 0.5
    assert line.retry_after_s(1, at_a_time=5) == pytest.approx(0.5)


def test_the_first_runs_weigh_alike_so_that_a_slow_node_never_looks_fast() -> None:
    line = Line(1000, wait_s=10.0)
    for number, took_s in enumerate((0.4, 0.2, 0.3, 0.1), start=1):
        line.ended(took_s, at_a_time=1)
        mean_s = sum((0.4, 0.2, 0.3, 0.1)[:number]) / number
        assert line.mean_s == pytest.approx(mean_s)
        assert line.capacity == 1 + int(10.0 / line.mean_s)
    for _ in range(100):
        line.ended(0.1, at_a_time=1)
    line.ended(0.9, at_a_time=1)
    assert line.mean_s == pytest.approx(0.2, rel=0.01), "later, an eighth"


def test_low_work_does_not_join_a_line_in_which_others_are_served_before_it() -> None:
    line, me = Line(1000, wait_s=10.0), NodeId(b"r" * 16)
    line.mean_s = 0.1
    for number in range(100):
        assert not line.is_too_long_for(Priority.LOW, at_a_time=1)
        line.queue.put(number, requester=me, priority=Priority.LOW)
    line.queue.put(100, requester=me, priority=Priority.LOW)
    assert line.is_too_long_for(Priority.LOW, at_a_time=1), "a hundred wait for ten seconds"
    assert not line.is_too_long_for(Priority.LOW, at_a_time=2)
    assert not line.is_too_long_for(Priority.NORMAL, at_a_time=1)
    line.queue.low_share = 0.25
    assert line.is_too_long_for(Priority.LOW, at_a_time=2), "one turn in four is its own"
    assert line.retry_after_s(Priority.LOW, at_a_time=16) == pytest.approx(101 * 0.1 / 4 / 2)
    assert line.retry_after_s(Priority.NORMAL, at_a_time=16) == pytest.approx(101 * 0.1 / 16 / 2)
