from __future__ import annotations

import pytest

from mreza.config.routing import RoutingConfig
from mreza.ids import NodeId
from mreza.routing.computation import RouteComputation

ME, A, B, C, D = (NodeId(bytes([number]) * 16) for number in range(1, 6))


@pytest.fixture
def routes() -> RouteComputation:
    return RouteComputation(me=ME, config=RoutingConfig())


def say(routes: RouteComputation, *edges: tuple[NodeId, NodeId]) -> None:
    """Make these the only edges."""
    for origin in (ME, A, B, C, D):
        peers = [b if a == origin else a for a, b in edges if origin in (a, b)]
        routes.links_said(origin, ((peer, 96) for peer in peers))


def test_many_records_of_one_turn_are_one_event(routes: RouteComputation) -> None:
    say(routes, (ME, A), (A, B))
    assert routes.settle(now=0.0)
    assert routes.computed == 1
    assert sorted(routes.router.routes) == [A, B]
    assert not routes.settle(now=0.0)
    assert routes.next_deadline() is None


def test_a_change_of_costs_that_changes_no_next_hop_is_no_news(routes: RouteComputation) -> None:
    say(routes, (ME, A))
    routes.settle(now=0.0)
    routes.links_said(A, [(ME, 200)])
    assert not routes.settle(now=20.0)
    assert routes.computed == 2
    assert routes.router.routes[A].cost == 200


def test_in_a_storm_an_alternative_between_the_reachable_waits(routes: RouteComputation) -> None:
    say(routes, (ME, A), (A, B))
    routes.settle(now=0.0)
    say(routes, (ME, A), (A, B), (ME, B))
    assert not routes.settle(now=2.0)
    assert routes.next_deadline() == 7.0
    assert routes.settle(now=7.0)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param([(ME, A)], [(ME, A), (A, B)], id="a node gets its first route"),
        pytest.param([(ME, A), (A, B), (ME, B)], [(A, B), (ME, B)], id="our own link is lost"),
        pytest.param([(ME, A), (A, B)], [(ME, A)], id="a node loses its last edge"),
    ],
)
def test_certain_changes_do_not_wait_out_a_storm(
    routes: RouteComputation,
    before: list[tuple[NodeId, NodeId]],
    after: list[tuple[NodeId, NodeId]],
) -> None:
    say(routes, *before)
    routes.settle(now=0.0)
    say(routes, *after)
    assert routes.settle(now=2.0)
    assert routes.computed == 2


def test_no_lost_edge_waits_out_a_storm_wherever_it_was(routes: RouteComputation) -> None:
    both = [(ME, A), (A, D), (ME, C), (C, D)]
    say(routes, *both)
    routes.settle(now=0.0)
    _, used, _ = routes.router.path_to(D)
    spare = A if used == C else C
    say(routes, *(edge for edge in both if edge != (spare, D)))
    routes.settle(now=2.0)
    assert routes.computed == 2
    say(routes, *both)
    routes.settle(now=20.0)
    say(routes, *(edge for edge in both if edge != (used, D)))
    assert routes.settle(now=22.0)
    assert routes.router.path_to(D) == (ME, spare, D)


def test_neighbors_agree_after_a_loss_that_only_one_of_them_felt() -> None:
    """An edge has come back unnoticed when another is lost: who knows both must not be alone."""
    edges = {(ME, A): 96, (ME, B): 96, (A, D): 96, (B, D): 200, (A, C): 200, (B, C): 150}
    nodes = {node: RouteComputation(me=node, config=RoutingConfig()) for node in (ME, A)}

    def without(*lost: tuple[NodeId, NodeId], now: float) -> None:
        left = {edge: cost for edge, cost in edges.items() if edge not in lost}
        for routes in nodes.values():
            for origin in (ME, A, B, C, D):
                routes.links_said(
                    origin,
                    [
                        (b if a == origin else a, cost)
                        for (a, b), cost in left.items()
                        if origin in (a, b)
                    ],
                )
            routes.settle(now=now)

    without((A, D), now=0.0)
    assert nodes[A].router.path_to(D) == (A, ME, B, D)
    without(now=2.0)
    assert nodes[A].router.path_to(D) == (A, ME, B, D)
    without((B, C), now=4.0)
    assert nodes[ME].router.path_to(D) == (ME, A, D)
    assert nodes[A].router.path_to(D) == (A, D)


def test_a_cheaper_edge_is_never_urgent(routes: RouteComputation) -> None:
    say(routes, (ME, A), (A, B), (ME, B))
    routes.settle(now=0.0)
    routes.links_said(ME, [(A, 300), (B, 96)])
    assert not routes.settle(now=2.0)
    assert routes.computed == 1


def test_claims_that_are_unsaid_leave_the_graph(routes: RouteComputation) -> None:
    say(routes, (ME, A))
    routes.settle(now=0.0)
    routes.links_unsaid(A)
    assert routes.settle(now=20.0)
    assert dict(routes.router.routes) == {}


def test_a_node_that_stops_forwarding_is_led_around(routes: RouteComputation) -> None:
    say(routes, (ME, A), (A, C), (ME, B), (B, D), (D, C))
    routes.settle(now=0.0)
    assert routes.router.path_to(C) == (ME, A, C)
    routes.forwarding_said(A, forwarding=False)
    assert routes.settle(now=20.0)
    assert routes.router.path_to(C) == (ME, B, D, C)
    routes.forwarding_said(A, forwarding=False)
    assert not routes.settle(now=40.0)


def test_a_detour_shares_no_relay_with_the_route_if_it_can(routes: RouteComputation) -> None:
    say(routes, (ME, A), (A, B), (B, C), (ME, D), (D, C), (A, D))
    routes.settle(now=0.0)
    for peer in (A, D):
        routes.router.link_up(peer)
    assert routes.router.path_to(C) == (ME, D, C)
    assert routes.detour(C) == (ME, A, B, C)
    assert routes.detour(D) == (ME, A, D)
    assert routes.detour(C) is routes.detour(C)


def test_a_detour_may_come_back_to_a_later_relay_where_there_is_no_other_way(
    routes: RouteComputation,
) -> None:
    say(routes, (ME, A), (ME, B), (A, D), (B, D), (D, C))
    routes.settle(now=0.0)
    for peer in (A, B):
        routes.router.link_up(peer)
    usual = routes.router.path_to(C)
    detour = routes.detour(C)
    assert {usual[1], detour[1]} == {A, B}
    assert detour[2:] == (D, C)


def test_where_everything_leads_over_one_link_there_is_no_detour(routes: RouteComputation) -> None:
    say(routes, (ME, A), (A, B))
    routes.settle(now=0.0)
    routes.router.link_up(A)
    assert routes.detour(B) == routes.detour(A) == routes.detour(C) == ()
    say(routes, (ME, A), (A, B), (ME, B))
    routes.settle(now=20.0)
    assert routes.detour(A) == ()
    routes.router.link_up(B)
    say(routes, (ME, A), (A, B), (ME, B), (B, C))
    routes.settle(now=40.0)
    assert routes.detour(A) == (ME, B, A)


def test_a_path_is_whole_while_both_ends_of_every_link_list_it(routes: RouteComputation) -> None:
    say(routes, (ME, A), (A, B))
    assert routes.is_whole((ME, A, B))
    assert routes.is_whole(())
    routes.links_said(B, ())
    assert not routes.is_whole((ME, A, B))


def test_another_path_behind_the_same_next_hop_is_news(routes: RouteComputation) -> None:
    say(routes, (ME, A), (A, B), (B, D), (A, C), (C, D))
    routes.settle(now=0.0)
    relay = routes.router.path_to(D)[2]
    left = [(ME, A), (A, B), (B, D), (A, C), (C, D)]
    left.remove((relay, D))
    say(routes, *left)
    assert routes.settle(now=20.0)
    assert routes.router.routes[D].next_hop == A
