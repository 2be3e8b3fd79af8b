"""Who gets the work, and why."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from mreza.balancing.balancer import HOW_TO_ATTACH, Balancer
from mreza.balancing.endpoint import NodeLoad
from mreza.config.load_balancer import Strategy
from mreza.errors import ConfigError, UnknownNode
from mreza.ids import NodeId

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
    assert picks(fed(*loads), 4) == list("abca")


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
    node = balancer.acquire().node
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
        Balancer(strategy="peak_ewma")
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
    balancer.update(NodeLoad("b", cpu=0.9))
    assert "because all are above 80%" in balancer.why("a")


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
