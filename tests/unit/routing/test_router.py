from __future__ import annotations

import pytest

from mreza.ids import NodeId
from mreza.routing.router import Deliver, Drop, Expired, Forward, Router
from mreza.routing.spf import Route, ShortestPaths
from mreza.wire.envelope import Envelope, EnvelopeKind

ME, A, B, FAR, LOST = (NodeId(bytes([number]) * 16) for number in range(1, 6))


@pytest.fixture
def router() -> Router:
    router = Router(ME)
    routes = {
        A: Route(A, 96, 1),
        B: Route(B, 96, 1),
        FAR: Route(B, 192, 2),
        LOST: Route(LOST, 96, 1),
    }
    assert router.install(ShortestPaths(ME, routes, {A: ME, B: ME, FAR: B, LOST: ME}))
    router.link_up(A)
    router.link_up(B)
    return router


def envelope(
    to: NodeId = FAR,
    *,
    hop_limit: int = 32,
    kind: int = EnvelopeKind.SEALED,
    path: tuple[NodeId, ...] = (),
    cursor: int = 0,
) -> Envelope:
    return Envelope(
        kind=kind,
        priority=1,
        source=A,
        source_epoch=1,
        destinations=(to,),
        hop_limit=hop_limit,
        path=path,
        path_cursor=cursor,
    )


@pytest.mark.parametrize("to", [ME, A, FAR, LOST, NodeId(b"?" * 16)])
def test_the_next_hop_is_where_our_own_envelopes_go(router: Router, to: NodeId) -> None:
    decision = router.decide(envelope(to), None)
    expected = decision.next_hop if isinstance(decision, Forward) else None
    assert router.next_hop(to) == expected
    assert (expected is None) == (to not in (A, FAR))


def test_what_is_for_us_is_delivered_whatever_its_hop_limit(router: Router) -> None:
    assert router.decide(envelope(ME, hop_limit=0), A) == Deliver()


def test_what_is_for_others_goes_to_the_next_hop(router: Router) -> None:
    assert router.decide(envelope(), A) == Forward(B)
    assert router.decide(envelope(), None) == Forward(B)


def test_the_hop_limit_ends_at_one_for_relays_and_at_zero_for_the_sender(router: Router) -> None:
    assert router.decide(envelope(hop_limit=2), A) == Forward(B)
    assert router.decide(envelope(hop_limit=1), A) == Drop("hop_limit")
    assert router.decide(envelope(hop_limit=0), A) == Drop("hop_limit")
    assert router.decide(envelope(hop_limit=1), None) == Forward(B)
    assert router.decide(envelope(hop_limit=0), None) == Drop("hop_limit")


def test_a_trace_is_answered_where_its_hop_limit_ends(router: Router) -> None:
    assert router.decide(envelope(hop_limit=1, kind=EnvelopeKind.TRACE), A) == Expired()
    assert router.decide(envelope(hop_limit=2, kind=EnvelopeKind.TRACE), A) == Forward(B)


def test_nothing_goes_back_to_the_link_it_came_from(router: Router) -> None:
    assert router.decide(envelope(), B) == Drop("returns")


def test_no_route_and_no_link_are_different_reasons(router: Router) -> None:
    assert router.decide(envelope(NodeId(bytes(16))), A) == Drop("no_route")
    assert router.decide(envelope(LOST), A) == Drop("no_link")
    router.link_down(B)
    router.link_down(B)
    assert router.decide(envelope(), A) == Drop("no_link")
    assert list(router.links) == [A]
    assert router.has_link(A)
    assert not router.has_link(B)


def test_envelopes_for_many_are_not_carried_yet(router: Router) -> None:
    many = envelope()
    many.destinations = (A, B)
    assert router.decide(many, None) == Drop("destinations")


def test_an_explicit_path_is_followed_from_its_start(router: Router) -> None:
    assert router.decide(envelope(path=(A, FAR)), None) == Forward(A)


def test_the_node_under_the_cursor_moves_it_on(router: Router) -> None:
    assert router.decide(envelope(path=(ME, A, FAR)), B) == Forward(A, advance_path=True)


def test_after_its_last_stop_a_path_goes_on_by_routes(router: Router) -> None:
    assert router.decide(envelope(path=(ME,)), A) == Forward(B, advance_path=True)
    assert router.decide(envelope(path=(A,), cursor=1), A) == Forward(B)


def test_off_its_path_an_envelope_is_dropped(router: Router) -> None:
    assert router.decide(envelope(path=(A, FAR)), B) == Drop("path")


def test_a_path_needs_links_and_never_turns_back(router: Router) -> None:
    assert router.decide(envelope(path=(FAR,)), None) == Drop("no_link")
    assert router.decide(envelope(path=(ME, A)), A) == Drop("returns")
    nowhere = envelope(NodeId(bytes(16)), path=(ME,))
    assert router.decide(nowhere, A) == Drop("no_route")


def test_installing_the_same_next_hops_is_no_change(router: Router) -> None:
    routes = {A: Route(A, 200, 1), B: Route(B, 96, 1), FAR: Route(B, 192, 2)}
    assert router.install(ShortestPaths(ME, routes, {A: ME, B: ME, FAR: B}))
    assert not router.install(ShortestPaths(ME, dict(routes), {A: ME, B: ME, FAR: B}))
    assert router.routes[A].cost == 200
    assert router.path_to(FAR) == (ME, B, FAR)
