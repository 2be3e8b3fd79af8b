from __future__ import annotations

from mreza.ids import NodeId
from mreza.routing.graph import TIE_BITS, EdgeChange, Graph, tie_break

A, B, C = (NodeId(letter * 16) for letter in (b"a", b"b", b"c"))


def test_an_edge_counts_only_when_both_ends_list_it() -> None:
    graph = Graph()
    assert graph.set_links(A, [(B, 96)]) == []
    assert graph.cost(A, B) is None
    assert graph.neighbors(A) == ()
    assert graph.set_links(B, [(A, 96)]) == [EdgeChange(B, A, None, 96)]
    assert graph.cost(A, B) == graph.cost(B, A) == 96
    assert graph.neighbors(A) == (B,)


def test_an_edge_costs_the_larger_of_both_claims() -> None:
    graph = Graph()
    graph.set_links(A, [(B, 100)])
    graph.set_links(B, [(A, 200)])
    assert graph.cost(A, B) == 200
    assert graph.set_links(B, [(A, 90)]) == [EdgeChange(B, A, 200, 100)]


def test_an_edge_ends_when_one_end_takes_it_back() -> None:
    graph = Graph()
    graph.set_links(A, [(B, 1), (C, 1)])
    graph.set_links(B, [(A, 1)])
    graph.set_links(C, [(A, 1)])
    assert graph.set_links(A, [(C, 1)]) == [EdgeChange(A, B, 1, None)]
    assert graph.neighbors(A) == (C,)
    assert graph.remove(C) == [EdgeChange(C, A, 1, None)]
    assert dict(graph.weights) == {}
    assert graph.remove(C) == []


def test_nobody_is_linked_to_itself() -> None:
    graph = Graph()
    assert graph.set_links(A, [(A, 1)]) == []
    assert graph.cost(A, A) is None


def test_saying_the_same_again_changes_nothing() -> None:
    graph = Graph()
    graph.set_links(A, [(B, 5)])
    graph.set_links(B, [(A, 5)])
    assert graph.set_links(B, [(A, 5)]) == []
    assert graph.set_links(B, [(A, 3)]) == []


def test_ties_are_broken_alike_from_both_ends_and_below_the_cost() -> None:
    assert tie_break(A, B) == tie_break(B, A)
    assert tie_break(A, B) != tie_break(A, C)
    assert 256 * tie_break(A, B) < 1 << TIE_BITS


def test_a_node_that_does_not_forward_is_closed_until_it_does() -> None:
    graph = Graph()
    assert not graph.set_forwarding(A, forwarding=True)
    assert graph.set_forwarding(A, forwarding=False)
    assert not graph.set_forwarding(A, forwarding=False)
    assert A in graph.closed
    assert graph.set_forwarding(A, forwarding=True)
    assert A not in graph.closed
