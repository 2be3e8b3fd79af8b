from __future__ import annotations

import time
from collections.abc import Iterable

from mreza.ids import NodeId
from mreza.routing.graph import Graph
from mreza.routing.spf import Route, shortest_paths


def node(name: str) -> NodeId:
    return NodeId(name.encode().ljust(16, b"."))


A, B, C, D = (node(name) for name in "abcd")


def graph_of(edges: Iterable[tuple[NodeId, NodeId, int]]) -> Graph:
    graph = Graph()
    claims: dict[NodeId, list[tuple[NodeId, int]]] = {}
    for a, b, cost in edges:
        claims.setdefault(a, []).append((b, cost))
        claims.setdefault(b, []).append((a, cost))
    for origin, links in claims.items():
        graph.set_links(origin, links)
    return graph


def test_the_cheaper_way_wins_even_with_more_hops() -> None:
    graph = graph_of([(A, B, 10), (B, C, 10), (A, C, 30)])
    paths = shortest_paths(graph.weights, A)
    assert paths.routes == {B: Route(B, 10, 1), C: Route(B, 20, 2)}
    assert paths.path_to(C) == (A, B, C)
    assert paths.path_to(A) == (A,)


def test_what_cannot_be_reached_has_no_route() -> None:
    graph = graph_of([(A, B, 1), (C, D, 1)])
    paths = shortest_paths(graph.weights, A)
    assert list(paths.routes) == [B]
    assert paths.path_to(D) == ()


def test_a_lone_node_reaches_nobody() -> None:
    assert shortest_paths({}, A).routes == {}


def test_paths_end_at_closed_nodes_and_lead_around_them() -> None:
    graph = graph_of([(A, B, 1), (B, C, 1), (A, D, 5), (D, C, 5)])
    paths = shortest_paths(graph.weights, A, closed=(B,))
    assert paths.path_to(B) == (A, B)
    assert paths.path_to(C) == (A, D, C)


def test_a_closed_node_still_sends_its_own() -> None:
    graph = graph_of([(A, B, 1), (B, C, 1)])
    assert shortest_paths(graph.weights, A, closed=(A,)).path_to(C) == (A, B, C)


def test_equal_costs_are_decided_alike_whatever_the_order_of_records() -> None:
    edges = [(A, B, 1), (B, D, 1), (A, C, 1), (C, D, 1)]
    one = shortest_paths(graph_of(edges).weights, A).path_to(D)
    other = shortest_paths(graph_of(reversed(edges)).weights, A).path_to(D)
    assert one == other
    assert shortest_paths(graph_of(edges).weights, D).path_to(A) == one[::-1]


def test_even_hash_ties_do_not_depend_on_the_order() -> None:
    def weights(order: Iterable[NodeId]) -> dict[NodeId, dict[NodeId, int]]:
        ways = {A: {B: 1, C: 1}, B: {A: 1, D: 1}, C: {A: 1, D: 1}, D: {B: 1, C: 1}}
        return {n: {p: 1 for p in order if p in ways[n]} for n in order}

    one = shortest_paths(weights([A, B, C, D]), A).path_to(D)
    assert one == shortest_paths(weights([D, C, B, A]), A).path_to(D) == (A, B, D)


def test_a_hundred_nodes_take_about_a_millisecond() -> None:
    names = [node(f"n{number}") for number in range(100)]
    edges = [
        (names[i], names[(i + step) % 100], 96 + step) for i in range(100) for step in (1, 7, 31)
    ]
    graph = graph_of(edges)
    best = min(_timed(graph, names[0]) for _ in range(20))
    assert best < 0.005, f"{best * 1000:.2f} ms; 0.4 ms on the machine it was made on"


def _timed(graph: Graph, root: NodeId) -> float:
    start = time.perf_counter()
    shortest_paths(graph.weights, root)
    return time.perf_counter() - start
