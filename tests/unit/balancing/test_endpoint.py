"""What is in flight where, and how much of what was said is believed."""

from __future__ import annotations

import pytest

from mreza.balancing.endpoint import (
    CAPACITY_DEFAULT,
    GHOSTS_MAX,
    Endpoint,
    Host,
    NodeKey,
    NodeLoad,
    cpu_limit_of,
    order_of,
)
from mreza.errors import ConfigError
from mreza.ids import NodeId
from mreza.qos import Priority
from tests.support.balancing import endpoint, give

A = NodeId(b"a" * 16)


def test_load_is_what_is_scarcest() -> None:
    assert NodeLoad("a", in_flight=3, capacity=10).load == 0.3
    assert NodeLoad("a", in_flight=3, capacity=10, cpu=0.9).load == 0.9
    assert NodeLoad("a").load == 0.0


def test_a_label_is_the_name_or_the_id() -> None:
    assert NodeLoad("a").label == "a"
    assert NodeLoad(A).label == A.short
    assert NodeLoad(A, name="edge").label == "edge"
    assert NodeLoad(A).renamed("edge").label == "edge"


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"in_flight": -1}, "in_flight of a is -1"),
        ({"capacity": 0}, "capacity of a is 0"),
        ({"cpu": 1.5}, "cpu of a is 1.5"),
        ({"capacity": 10, "room": 9}, "room of a is 9"),
        ({"memory": -0.1}, "memory of a is -0.1"),
        ({"loop_lag_s": -1.0}, "loop_lag_s of a is -1"),
    ],
)
def test_an_impossible_load_is_refused(values: dict[str, float], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        NodeLoad("a", **values)  # type: ignore[arg-type]


def test_ids_come_before_names() -> None:
    nodes: list[NodeKey] = ["b", A, "a"]
    assert sorted(nodes, key=order_of) == [A, "a", "b"]


def test_a_report_contains_our_leases_and_those_after_it_are_added() -> None:
    one = Endpoint(Host("a"))
    before = give(one)
    one.host.report(NodeLoad("a", in_flight=5, capacity=10), now=0.0)
    assert one.host.in_flight(0.0) == 5
    give(one)
    assert one.host.in_flight(0.0) == 6
    before.released()
    assert one.host.in_flight(0.0) == 5


def test_our_own_leases_are_believed_more_than_a_report() -> None:
    one = Endpoint(Host("a"))
    give(one)
    give(one)
    one.host.report(NodeLoad("a", in_flight=0), now=0.0)
    assert one.host.figures(0.0).in_flight == 2


def test_what_others_have_there_is_believed_less_as_the_report_ages() -> None:
    one = Endpoint(Host("a", max_age_s=4.0))
    give(one)
    one.host.report(NodeLoad("a", in_flight=9, capacity=10, cpu=0.9), now=100.0)
    assert one.host.in_flight(100.0) == 9
    assert one.host.in_flight(102.0) == 5
    assert one.host.in_flight(104.0) == 1
    assert one.host.is_above(0.8, 100.9), "CPU"
    assert not one.host.is_above(0.8, 101.0), "it may be idle by now, and silent as it gets no work"
    assert one.host.figures(104.0) == NodeLoad("a", in_flight=1, capacity=10)
    assert one.host.age_s(104.0) == 4.0
    assert Host("b").age_s(1.0) is None


def test_above_the_threshold_is_more_than_the_threshold() -> None:
    assert not endpoint("a", in_flight=8, capacity=10).is_above(0.8, 0.0)
    assert endpoint("a", in_flight=9, capacity=10).is_above(0.8, 0.0)


@pytest.mark.parametrize("figures", [{"cpu": 0.81}, {"memory": 0.96}, {"loop_lag_s": 0.6}])
def test_a_strained_node_is_above_whatever_is_in_flight(figures: dict[str, float]) -> None:
    host = Host("a")
    host.report(NodeLoad("a", **figures), now=0.0)  # type: ignore[arg-type]
    assert host.is_above(0.8, 0.0)
    host.report(NodeLoad("a", **dict.fromkeys(figures, 0.4)), now=0.0)  # type: ignore[arg-type]
    assert not host.is_above(0.8, 0.0)


def test_a_cpu_is_too_busy_in_comparison() -> None:
    hosts = [Host(name, max_age_s=4.0) for name in "abc"]
    assert cpu_limit_of(hosts, threshold=0.8, now=0.0) > 1.0, "nobody knows"
    hosts[0].report(NodeLoad("a", cpu=0.95), now=0.0)
    assert cpu_limit_of(hosts, threshold=0.8, now=0.0) > 1.0, "nobody is known to be better"
    hosts[1].report(NodeLoad("b", cpu=0.7), now=0.0)
    assert cpu_limit_of(hosts, threshold=0.8, now=0.0) == pytest.approx(0.9)
    hosts[2].report(NodeLoad("c", cpu=0.1), now=0.0)
    assert cpu_limit_of(hosts, threshold=0.8, now=3.9) == 0.8
    assert cpu_limit_of(hosts, threshold=0.8, now=4.0) > 1.0, "old figures say nothing"
    assert not hosts[0].is_above(0.8, 0.0, cpu_limit=0.95)
    assert hosts[0].is_above(0.8, 0.0, cpu_limit=0.94)


def test_a_node_that_says_it_is_full_is_believed_until_the_time_it_named() -> None:
    one = endpoint("a")
    one.refused(Priority.NORMAL, until=5.0)
    assert one.is_above(0.8, 4.9)
    assert not one.is_above(0.8, 5.0)


def test_a_burden_is_work_for_the_capacity_the_next_included() -> None:
    assert endpoint("a", in_flight=3, capacity=8).burden(0.0) == 0.5
    assert Endpoint(Host("b")).burden(0.0) == 1 / CAPACITY_DEFAULT


def test_a_failure_is_a_burden_until_slow_work_would_be_done() -> None:
    one = endpoint("a", capacity=1)
    for _ in range(2 * GHOSTS_MAX):
        one.haunt(until=2.0)
    assert one.burden(1.9) == GHOSTS_MAX + 1
    assert one.burden(2.0) == 1


def test_doubt_takes_a_node_out_of_the_healthy() -> None:
    one = endpoint("a")
    assert one.is_healthy(0.0)
    one.host.doubt = "suspect"
    assert not one.is_healthy(0.0)


def test_low_is_taken_by_capacity_and_the_rest_by_room() -> None:
    host = Host("a")
    host.report(NodeLoad("a", capacity=10, room=1010), now=0.0)
    rooms = [host.room_for(priority, threshold=0.8) for priority in Priority]
    assert rooms == pytest.approx([8, 875.3, 942.7, 1010], abs=0.1)
    host.report(NodeLoad("a", capacity=10), now=0.0)
    rooms = [host.room_for(priority, threshold=0.8) for priority in Priority]
    assert rooms == pytest.approx([8, 8.67, 9.33, 10], abs=0.01)


def test_a_node_without_room_for_low_work_may_have_some_for_what_is_urgent() -> None:
    one = endpoint("a")
    one.refused(Priority.LOW, until=5.0)
    assert one.is_above(0.8, 4.9, priority=Priority.LOW)
    assert not one.is_above(0.8, 4.9, priority=Priority.NORMAL)
    one.refused(Priority.HIGH, until=3.0)
    assert one.is_above(0.8, 2.9, priority=Priority.NORMAL)
    assert not one.is_above(0.8, 2.9, priority=Priority.CRITICAL)
    assert [one.full_until(priority) for priority in Priority] == [5.0, 3.0, 3.0, 0.0]
