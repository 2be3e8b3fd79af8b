"""Who gets the work, and why."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from mreza.balancing.balancer import CALLS_MAX, POOLS_MAX, Balancer
from mreza.balancing.endpoint import NodeLoad
from mreza.balancing.outliers import FAILURES_IN_A_ROW
from mreza.balancing.report import HOW_TO_ATTACH
from mreza.config.load_balancer import Strategy
from mreza.errors import ConfigError, Overloaded, UnknownNode
from mreza.ids import NodeId
from mreza.qos import Priority
from tests.support.balancing import lots

A, B = NodeId(b"a" * 16), NodeId(b"b" * 16)


def fed(*loads: NodeLoad, threshold: float = 0.8) -> Balancer:
    balancer = Balancer(threshold=threshold)
    for load in loads:
        balancer.update(load)
    return balancer


def picks(balancer: Balancer, count: int, **options: Any) -> list[Any]:
    return [balancer.acquire(**options).node for _ in range(count)]


def test_work_goes_round() -> None:
    assert picks(fed(NodeLoad("b"), NodeLoad("a"), NodeLoad("c")), 7) == list("abcabca")


def test_it_goes_round_for_each_process_among_those_who_offer_it() -> None:
    balancer = Balancer()
    assert picks(balancer, 3, among=[B, A], process="p") == [A, B, A]
    assert picks(balancer, 2, among=[A, B], process="q") == [A, B]


def test_the_excluded_are_passed_over() -> None:
    assert picks(fed(NodeLoad("a"), NodeLoad("b"), NodeLoad("c")), 4, exclude=("b",)) == list(
        "acac"
    )


def test_a_key_changes_nothing_in_round_robin() -> None:
    assert picks(fed(NodeLoad("a"), NodeLoad("b")), 3, key="same") == list("aba")


def test_who_is_above_the_threshold_gets_no_new_work() -> None:
    busy = NodeLoad("b", in_flight=9, capacity=10)
    assert picks(fed(NodeLoad("a"), busy, NodeLoad("c")), 4) == list("acac")


def test_leases_alone_can_bring_a_node_above_the_threshold() -> None:
    balancer = fed(NodeLoad("a", capacity=1), NodeLoad("b", capacity=100))
    assert picks(balancer, 5) == list("abbbb")


def test_a_node_that_calms_down_gets_work_again() -> None:
    balancer = fed(NodeLoad("a", capacity=1), NodeLoad("b", capacity=100))
    lease = balancer.acquire()
    assert balancer.acquire().node == "b"
    lease.succeeded(0.1)
    assert balancer.acquire().node == "a"


def test_when_all_are_above_it_goes_round_again() -> None:
    loads = [NodeLoad(name, in_flight=9, capacity=10) for name in "abc"]
    assert picks(fed(*loads), 3, priority=Priority.CRITICAL) == list("abc")


@given(
    st.dictionaries(
        st.sampled_from("abcdef"), st.tuples(st.integers(0, 20), st.integers(1, 20)), min_size=1
    ),
    st.floats(0.01, 1.0),
)
def test_nobody_above_is_picked_while_somebody_is_not(
    loads: dict[str, tuple[int, int]], threshold: float
) -> None:
    balancer = fed(
        *(NodeLoad(node, in_flight=i, capacity=c) for node, (i, c) in loads.items()),
        threshold=threshold,
    )
    above = {node for node, (i, c) in loads.items() if i > threshold * c}
    try:
        node = balancer.acquire(priority=Priority.CRITICAL).node
    except Overloaded:
        assert all(i > c for i, c in loads.values())
    else:
        assert node not in above or above == set(loads)


def test_without_nodes_it_says_how_to_get_some() -> None:
    with pytest.raises(UnknownNode, match="LoadBalancer\\(mesh=mesh\\)"):
        Balancer().acquire()


@pytest.mark.parametrize("options", [{"exclude": ("a",)}, {"among": ()}])
def test_without_a_node_left_it_says_so(options: dict[str, Any]) -> None:
    with pytest.raises(UnknownNode, match="none is left"):
        fed(NodeLoad("a")).acquire(**options)


def test_a_removed_node_gets_nothing_and_its_leases_can_be_ended() -> None:
    balancer = fed(NodeLoad("a"), NodeLoad("b"))
    lease = balancer.acquire()
    balancer.remove("a")
    balancer.remove("a")
    lease.succeeded(0.1)
    assert picks(balancer, 2) == ["b", "b"]


def test_work_placed_by_others_is_counted() -> None:
    balancer = Balancer()
    balancer.lease_on(A)
    assert balancer.load_of(A).in_flight == 1
    assert balancer.load_of(B) == NodeLoad(B)


@pytest.mark.parametrize("threshold", [0.0, -1.0, 1.01, float("nan")])
def test_a_threshold_outside_of_its_range_is_refused(threshold: float) -> None:
    with pytest.raises(ConfigError, match="threshold"):
        Balancer(threshold=threshold)


def test_a_strategy_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(ConfigError, match=r"allowed: Strategy\.ROUND_ROBIN"):
        Balancer(strategy="prequal")
    with pytest.raises(ConfigError, match=r"allowed: Strategy\.ROUND_ROBIN"):
        Balancer(per_process={"p": "latency"})
    assert Balancer(strategy="round_robin").strategy is Strategy.ROUND_ROBIN


def test_why_explains_each_case() -> None:
    balancer = fed(NodeLoad("a", in_flight=9, capacity=10), NodeLoad("b", cpu=0.25))
    balancer.acquire().succeeded(0.002)
    assert balancer.why("zebra") == "zebra gets no work: the balancer has not heard of it"
    assert balancer.why("a").startswith(
        "a gets no new work while above 80%: 9 of 10 in flight; 0 picks"
    )
    why = balancer.why("b")
    assert "gets work in its turn: 0 of 1024 in flight, CPU 25%, threshold 80%" in why
    assert why.endswith("; 1 picks, 1 succeeded, 0 failed, 2.0 ms each")
    balancer.update(NodeLoad("b", in_flight=9, capacity=10, cpu=0.9))
    assert "because all are above 80%" in balancer.why("a")


def test_who_was_never_doubted_is_not_met_by_being_trusted() -> None:
    balancer = fed(NodeLoad("a"))
    balancer.trust("stranger")
    assert "has not heard of it" in balancer.why("stranger")


def test_alone_and_without_nodes_the_report_says_how_to_attach() -> None:
    report = Balancer().optimize()
    assert report.attached is False
    assert report.advice == (HOW_TO_ATTACH,)
    assert (report.nodes, report.overloaded, report.moves) == ({}, (), ())


def test_alone_with_nodes_it_reports_them() -> None:
    report = fed(NodeLoad("b", in_flight=9, capacity=10), NodeLoad("a", name="alpha")).optimize()
    assert list(report.nodes) == ["a", "b"]
    assert report.overloaded == ("b",)
    assert any("until they calm down: b" in line for line in report.advice)
    text = str(report)
    assert "alpha: 0 of 1024 in flight, load 0%" in text
    assert "threshold 80%" in text


def test_of_a_mesh_exactly_its_members_are_named() -> None:
    balancer = fed(NodeLoad("stranger"))
    report = balancer.optimize(attached=True, names={B: "beta", A: "alpha"})
    assert report.attached
    assert {node: load.name for node, load in report.nodes.items()} == {A: "alpha", B: "beta"}
    assert report.advice == ()
    assert balancer.optimize(attached=True, names={}).nodes == {}


def test_when_all_are_overloaded_the_advice_is_more_nodes() -> None:
    report = fed(NodeLoad("a", cpu=1.0)).optimize(attached=True)
    assert report.advice == ("all nodes are above 80%: add a node, or send less",)


# Which strategy.


def test_a_process_and_a_call_may_choose_another_strategy() -> None:
    balancer = Balancer(per_process={"hashed": "consistent_hash"}, rng=lots(1))
    assert balancer.strategy_for("other") is Strategy.ROUND_ROBIN
    assert balancer.strategy_for("hashed") is Strategy.CONSISTENT_HASH
    assert balancer.strategy_for("hashed", "random") is Strategy.RANDOM
    among = [A, B]
    assert len(set(picks(balancer, 9, key="k", among=among, process="hashed"))) > 1, "bounded"
    for _ in range(9):
        lease = balancer.acquire("k", among=among, process="other", strategy="consistent_hash")
        assert lease.choice is not None
        assert lease.choice.strategy is Strategy.CONSISTENT_HASH
        lease.succeeded(0.1)


def test_a_strategy_that_draws_lots_needs_something_to_draw_with() -> None:
    Balancer(rng=lots(1)).check(strategy="random")
    Balancer().check()
    with pytest.raises(ConfigError, match="power_of_two draws lots"):
        Balancer(per_process={"p": "power_of_two"}).check("p")


# Overload.


@pytest.mark.parametrize(
    ("in_flight", "served"),
    [(80, 4), (81, 3), (86, 3), (87, 2), (93, 2), (94, 1), (100, 1), (101, 0)],
)
def test_the_fuller_all_are_the_more_must_it_matter(in_flight: int, served: int) -> None:
    loads = [NodeLoad(name, in_flight=in_flight, capacity=100) for name in "ab"]
    shed, taken = list(Priority)[: 4 - served], list(Priority)[4 - served :]
    for priority in taken:
        fed(*loads).acquire(priority=priority)
    for priority in shed:
        with pytest.raises(Overloaded, match="the limit of its priority") as caught:
            fed(*loads).acquire(priority=priority)
        assert caught.value.retry_after_s == 0.05


def test_one_calm_node_is_enough_to_shed_nothing() -> None:
    balancer = fed(NodeLoad("a", in_flight=200, capacity=100), NodeLoad("b"))
    assert picks(balancer, 3, priority=Priority.LOW) == list("bbb")


def test_a_busy_cpu_sheds_nothing() -> None:
    """A mesh that computes is at 100 %, and has room for work all the same."""
    balancer = fed(NodeLoad("a", cpu=1.0), NodeLoad("b", cpu=1.0))
    assert picks(balancer, 2, priority=Priority.LOW) == list("ab")


def test_nodes_that_share_a_busy_machine_go_on_taking_turns() -> None:
    """They share its CPU, and differ in when they measured it, or have not measured it yet."""
    loads = [NodeLoad("a", cpu=0.97), NodeLoad("b", cpu=0.78), NodeLoad("c")]
    assert picks(fed(*loads), 6) == list("abcabc")


def test_a_busy_cpu_is_passed_over_while_another_has_much_more_to_spare() -> None:
    balancer = fed(NodeLoad("a", cpu=0.97), NodeLoad("b", cpu=0.6), NodeLoad("c"))
    assert picks(balancer, 4) == list("bcbc")
    assert "gets no new work while above 80%: 0 of 1024 in flight, CPU 97%" in balancer.why("a")
    balancer.update(NodeLoad("b", cpu=0.8))
    assert "gets work in its turn" in balancer.why("a")


def test_nodes_that_never_said_how_much_they_can_hold_are_asked() -> None:
    balancer = Balancer()
    assert len(picks(balancer, 2048, among=(A, B), priority=Priority.LOW)) == 2048


def test_no_more_than_a_thousand_of_our_requests_are_at_one_node() -> None:
    balancer = Balancer()
    picks(balancer, 1024, among=(A,))
    with pytest.raises(Overloaded):
        balancer.acquire(among=(A,), priority=Priority.CRITICAL)
    assert "1024 requests of ours are there" in balancer.why(A)
    assert balancer.stats["shed"] == 1


def test_a_node_that_says_it_is_full_rests_until_the_time_it_named() -> None:
    balancer = fed(NodeLoad("a"), NodeLoad("b"))
    balancer.acquire(now=1.0).failed(Overloaded("full", retry_after_s=2.0), now=1.0)
    assert [balancer.acquire(now=2.0).node for _ in range(3)] == list("bbb")
    assert "full, by its own word" in balancer.why("a")
    assert balancer.acquire(now=3.0, exclude=("b",)).node == "a"
    balancer.acquire(now=4.0, exclude=("b",)).failed(Overloaded("full", retry_after_s=2.0), now=4.0)
    with pytest.raises(Overloaded) as caught:
        balancer.acquire(now=4.5, exclude=("b",))
    assert caught.value.retry_after_s == 1.5


def test_old_news_of_load_is_not_believed() -> None:
    balancer = Balancer(load_max_age_s=4.0)
    balancer.update(NodeLoad("a", in_flight=90, capacity=100), now=0.0)
    balancer.update(NodeLoad("b", in_flight=10, capacity=100), now=0.0)
    assert balancer.acquire(now=0.1, exclude=("b",), priority=Priority.HIGH).node == "a"
    assert {balancer.acquire(now=0.1).node for _ in range(4)} == {"b"}
    assert {balancer.acquire(now=3.0).node for _ in range(4)} == {"a", "b"}
    assert "5 s old and not believed" in balancer.why("a", now=5.0)


def test_a_node_that_has_not_said_what_it_can_hold_is_taken_for_an_average_one() -> None:
    balancer = Balancer(strategy="least_loaded")
    balancer.update(NodeLoad("a", capacity=4))
    balancer.update(NodeLoad("b", capacity=8))
    assert picks(balancer, 6, among=("a", "b", "c")).count("c") == 2


# Failures.


def failing(balancer: Balancer, node: str, times: int, *, now: float = 0.0) -> None:
    for _ in range(times):
        balancer.lease_on(node, now=now).failed(ValueError("broken"), now=now)


def test_a_node_that_fails_is_ejected_tried_and_taken_back() -> None:
    balancer = fed(*(NodeLoad(name) for name in "abc"))
    failing(balancer, "b", FAILURES_IN_A_ROW)
    assert [balancer.acquire(now=1.0).node for _ in range(4)] == list("acac")
    assert "ejected for 29 s more" in balancer.why("b")
    assert [balancer.acquire(now=30.0).node for _ in range(4)] == list("abca"), "one trial"
    assert "on trial" in balancer.why("b", now=30.0)
    balancer.lease_on("b", now=31.0).succeeded(0.1, now=31.0)
    assert [balancer.acquire(now=31.0).node for _ in range(3)] == list("bca")
    assert balancer.stats["ejections"] == 1


def test_a_node_that_fails_one_process_still_works_on_others() -> None:
    balancer = Balancer()
    for _ in range(FAILURES_IN_A_ROW):
        balancer.lease_on(A, process="p").failed(ValueError())
    picks(balancer, 1, among=(A, B), process="p")
    assert picks(balancer, 2, among=(A, B), process="p") == [B, B]
    assert picks(balancer, 2, among=(A, B), process="q") == [A, B]
    assert "'p' is ejected for 30 s more" in balancer.why(A)


def test_doubt_takes_work_away_until_it_is_said_of_more_than_half() -> None:
    balancer = fed(*(NodeLoad(name) for name in "abcd"))
    balancer.doubt("a", "suspect")
    balancer.doubt("b", "suspect")
    assert set(picks(balancer, 8)) == {"c", "d"}
    assert balancer.why("a").startswith("a gets no work: suspect; ")
    balancer.doubt("c", "suspect")
    assert set(picks(balancer, 8)) == set("abcd")
    assert balancer.stats["panics"] == 8
    assert "health was not looked at" in balancer.why(balancer.acquire())
    balancer.trust("a")
    balancer.trust("b")
    assert set(picks(balancer, 8)) == set("abd")


def test_a_failure_counts_as_slow_work() -> None:
    balancer = fed(NodeLoad("a"), NodeLoad("b"))
    balancer.strategy = Strategy.LEAST_LOADED
    balancer.acquire(now=0.0).failed(ValueError(), now=0.0)
    balancer.acquire(now=0.0).succeeded(0.02, now=0.02)
    assert [balancer.acquire(now=0.1).node for _ in range(1)] == ["b"]
    assert "1 succeeded, 0 failed, 20.0 ms each" in balancer.why("b")


def test_retries_have_a_budget() -> None:
    balancer = fed(NodeLoad("a"))
    for _ in range(50):
        balancer.acquire(now=0.0)
        balancer.acquire(now=0.0, attempt=2)
    assert sum(balancer.may_retry(now=0.0) for _ in range(200)) == 110
    balancer.must_retry(now=0.0)
    assert not balancer.may_retry("", now=5.0)
    assert balancer.may_retry("another process", now=5.0)


def test_a_second_copy_waits_until_most_would_have_answered() -> None:
    balancer = fed(NodeLoad("a"))
    assert balancer.hedge_delay_s() is None
    for number in range(100):
        balancer.acquire().succeeded(number / 100)
    assert balancer.hedge_delay_s() == pytest.approx(0.95)


# Accounts.


def test_a_call_can_be_asked_about_with_all_its_attempts() -> None:
    balancer = fed(NodeLoad("a", in_flight=9, capacity=10), NodeLoad("b"), NodeLoad("c"))
    first = balancer.acquire(process="p", call=7)
    assert balancer.why(first) == balancer.why(7)
    balancer.acquire(process="p", call=7, attempt=2, exclude=("b",))
    why = balancer.why(7)
    assert why.startswith("work for 'p' went to b by round_robin among 3")
    assert "passed over: a (above 80%)" in why
    assert "; then work for 'p' (attempt 2) went to c" in why
    assert balancer.why(8) == "the balancer does not remember call 8"
    assert balancer.why(balancer.lease_on("a")) == "a was asked for"


def test_memory_is_bounded() -> None:
    balancer = fed(NodeLoad("a"))
    for number in range(POOLS_MAX + 1):
        balancer.acquire(process=f"p{number}", call=number).released()
    assert len(balancer._pools) == POOLS_MAX
    assert len(balancer._choices) == CALLS_MAX
    assert "does not remember" in balancer.why(POOLS_MAX - CALLS_MAX)


# Moving keys.


def busy_keys(balancer: Balancer, *, seconds: float = 6.0) -> dict[str, Any]:
    """Fifty keys with work behind them; where each is."""
    where = {}
    for number in range(50):
        lease = balancer.acquire(f"k{number}", process="p", among=("a", "b", "c"), now=10.0)
        where[f"k{number}"] = lease.node
        lease.succeeded(seconds, now=10.0)
    return where


def test_optimize_moves_keys_away_from_an_overloaded_node_and_they_stay_away() -> None:
    balancer = Balancer(strategy="consistent_hash")
    where = busy_keys(balancer)
    for name in "abc":
        in_flight = 90 if name == "a" else 20
        balancer.update(NodeLoad(name, in_flight=in_flight, capacity=100), now=10.0)
    dry = balancer.optimize(attached=True, dry_run=True, now=10.0)
    assert dry.moves
    assert "would move key" in str(dry)
    assert balancer.optimize(attached=True, dry_run=True, now=10.0).moves == dry.moves
    report = balancer.optimize(attached=True, now=10.0)
    assert report.moves == dry.moves
    assert "\nmoved key" in str(report)
    moved = {move.key: move.target for move in report.moves}
    assert all(where[key] == "a" for key in moved)
    balancer.update(NodeLoad("a", in_flight=10, capacity=100), now=10.0)
    after = busy_keys(balancer)
    assert after == {**where, **moved}
    assert balancer.optimize(attached=True, now=10.0).moves == ()


def test_a_key_whose_new_node_goes_away_goes_where_the_ring_puts_it() -> None:
    balancer = Balancer(strategy="consistent_hash")
    where = busy_keys(balancer)
    for name in "abc":
        balancer.update(NodeLoad(name, in_flight=90 * (name == "a"), capacity=100), now=10.0)
    move = balancer.optimize(now=10.0).moves[0]
    balancer.update(NodeLoad("a"), now=10.0)
    others = tuple(sorted({"a", "b", "c"} - {str(move.target)}))
    lease = balancer.acquire(move.key, process="p", among=others, now=10.0)
    assert lease.node == where[move.key]
    lease.released()
    balancer.remove(move.target)
    assert balancer.acquire(move.key, process="p", among=("a", "b", "c"), now=10.0).node == "a"
