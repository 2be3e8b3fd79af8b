"""Laws of routes: two-sided edges, shortest paths, no loop on any graph, exact timing."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings, strategies as st

from mreza.config.routing import RoutingConfig
from mreza.ids import NodeId
from mreza.routing.graph import TIE_BITS, Graph
from mreza.routing.router import Deliver, Drop, Forward, Router
from mreza.routing.spf import shortest_paths
from mreza.routing.spf_timer import SpfState, SpfTimer
from mreza.wire.envelope import HOP_LIMIT, Envelope, EnvelopeKind, decode_envelope, for_next_hop

NODES = [NodeId(bytes([number]) * 16) for number in range(12)]
Claims = dict[tuple[NodeId, NodeId], int]

claims = st.dictionaries(
    st.tuples(st.sampled_from(NODES), st.sampled_from(NODES)), st.integers(1, 4), max_size=60
)
"Who says that it has a link to whom, at what cost; many one-sided."


def graph_of(said: Claims) -> Graph:
    graph = Graph()
    for origin in NODES:
        graph.set_links(origin, [(b, cost) for (a, b), cost in said.items() if a == origin])
    return graph


def two_sided(said: Claims) -> Claims:
    return {
        (a, b): max(cost, said[b, a]) for (a, b), cost in said.items() if a != b and (b, a) in said
    }


@given(claims, claims)
def test_an_edge_exists_where_both_ends_say_so_whatever_was_said_before(
    before: Claims, said: Claims
) -> None:
    graph = graph_of(before)
    for origin in NODES:
        graph.set_links(origin, [(b, cost) for (a, b), cost in said.items() if a == origin])
    edges = {
        (a, b): weight >> TIE_BITS
        for a, peers in graph.weights.items()
        for b, weight in peers.items()
    }
    assert edges == two_sided(said)


@given(claims)
def test_shortest_paths_agree_with_bellman_and_ford(said: Claims) -> None:
    edges = two_sided(said)
    distance = {NODES[0]: 0}
    for _ in NODES:
        for (a, b), cost in edges.items():
            if a in distance:
                distance[b] = min(distance.get(b, 1 << 60), distance[a] + cost)
    paths = shortest_paths(graph_of(said).weights, NODES[0])
    assert {node: route.cost for node, route in paths.routes.items()} == {
        node: cost for node, cost in distance.items() if node != NODES[0]
    }
    for node, route in paths.routes.items():
        path = paths.path_to(node)
        assert path[0] == NODES[0]
        assert path[1] == route.next_hop
        assert len(path) == route.hops + 1
        assert sum(edges[step] for step in pairwise(path)) == route.cost


def routers(views: dict[NodeId, Claims], links: Claims) -> dict[NodeId, Router]:
    """Each node routes by its own view; links exist where the real world has them."""
    built = {}
    for node in NODES:
        router = Router(node)
        router.install(shortest_paths(graph_of(views[node]).weights, node))
        for a, b in links:
            if a == node:
                router.link_up(b)
        built[node] = router
    return built


def travel(
    mesh: dict[NodeId, Router], source: NodeId, destination: NodeId
) -> tuple[list[NodeId], object]:
    """Carry the bytes of an envelope from node to node; returns who saw it and how it ended."""
    envelope = Envelope(
        kind=EnvelopeKind.SEALED,
        priority=1,
        source=source,
        source_epoch=1,
        destinations=(destination,),
    )
    body, at, came_from = envelope.encode(), source, None
    visited = [source]
    while True:
        envelope = decode_envelope(body)
        decision = mesh[at].decide(envelope, came_from)
        if not isinstance(decision, Forward):
            return visited, decision
        if came_from is not None:
            body = bytes(for_next_hop(body, envelope, advance_path=decision.advance_path))
        came_from, at = at, decision.next_hop
        visited.append(at)
        assert len(visited) <= 3 * HOP_LIMIT, "it never ends"


@settings(deadline=None)
@given(claims, st.sampled_from(NODES), st.sampled_from(NODES))
def test_no_envelope_loops_once_databases_agree(
    said: Claims, source: NodeId, destination: NodeId
) -> None:
    mesh = routers(dict.fromkeys(NODES, said), two_sided(said))
    visited, end = travel(mesh, source, destination)
    assert len(visited) == len(dict.fromkeys(visited)), "a node saw it twice"
    if source == destination or destination in mesh[source].routes:
        assert end == Deliver()
        assert tuple(visited) == mesh[source].path_to(destination)
    else:
        assert end == Drop("no_route")


@settings(deadline=None)
@given(st.lists(claims, min_size=12, max_size=12), st.sampled_from(NODES))
def test_before_databases_agree_at_most_hop_limit_relays_see_an_envelope(
    views: list[Claims], destination: NodeId
) -> None:
    everything = {(a, b): 1 for a in NODES for b in NODES if a != b}
    mesh = routers(dict(zip(NODES, views, strict=True)), everything)
    visited, _ = travel(mesh, NODES[0], destination)
    assert len(visited) <= 1 + HOP_LIMIT


def test_a_loop_of_three_ends_at_the_hop_limit() -> None:
    """Three nodes that each believe the next is nearer: nothing but the limit ends it."""
    a, b, c, far = NODES[:4]
    everything = {(x, y): 1 for x in NODES for y in NODES if x != y}
    believed: dict[NodeId, Claims] = {node: {} for node in NODES}
    for here, there in ((a, b), (b, c), (c, a)):
        believed[here] = {(here, there): 1, (there, here): 1, (there, far): 1, (far, there): 1}
    visited, end = travel(routers(believed, everything), a, far)
    assert end == Drop("hop_limit")
    assert len(visited) == 1 + HOP_LIMIT


@given(st.lists(st.integers(1, 3000), max_size=40))
def test_route_timing_is_that_of_the_rfc(gaps_ms: list[int]) -> None:
    """Against a model in whole milliseconds, every tick."""
    timer = SpfTimer(config=RoutingConfig())
    learn_until = quiet_at = 0
    due: int | None = None
    first = False
    state = SpfState.QUIET
    now = 0
    for gap in gaps_ms:
        if due is not None and due <= now + gap:
            deadline = timer.next_deadline()
            assert deadline is not None
            assert round(deadline * 1000) == due
            assert timer.advance(now=deadline + 1e-9)
            due = None
        now += gap
        if state is not SpfState.QUIET and now >= quiet_at:
            state = SpfState.QUIET
        elif state is SpfState.SHORT_WAIT and now >= learn_until:
            state = SpfState.LONG_WAIT
        # Half a microsecond late, so that sums of floats cannot fall before their tick.
        computed = timer.change(now=now / 1000 + 5e-7)
        assert computed == (state is SpfState.QUIET)
        quiet_at = now + 10_000
        if state is SpfState.QUIET:
            state, first, learn_until = SpfState.SHORT_WAIT, True, now + 500
        elif due is None:
            wait = 5000 if state is SpfState.LONG_WAIT else 50 if first else 200
            due, first = now + wait, False
        assert timer.state(now=now / 1000 + 5e-7) is state
