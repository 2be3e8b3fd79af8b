from __future__ import annotations

from mreza.ids import NodeId
from mreza.planes.own_links import LOST_FOR_S, PEERS_MAX, OwnLinks
from mreza.wire.records import LINKS, LINKS_MAX, LOST_MAX, LinkEntry, LinksBody, LostLink

P, Q = NodeId(bytes(15) + b"p"), NodeId(bytes(15) + b"q")


def said(links: OwnLinks, now: float = 0.0) -> LinksBody:
    body = LINKS.decode(links.body(now))
    assert body == links.said
    return body


def test_links_are_listed_with_their_cost() -> None:
    links = OwnLinks()
    links.up(P, peer_epoch=7, known_epoch=7, rtt_s=0.001, now=0.0)
    links.up(Q, peer_epoch=7, known_epoch=7, rtt_s=0.120, now=0.0)
    assert said(links) == LinksBody((LinkEntry(P, 96), LinkEntry(Q, 246)))
    assert list(links.peers) == [P, Q]


def test_a_lost_link_is_listed_with_its_cause_until_it_is_back() -> None:
    links = OwnLinks()
    links.up(P, peer_epoch=7, known_epoch=7, rtt_s=0, now=0.0)
    assert links.down(P, cause="reset", now=0.0)
    assert said(links) == LinksBody((), (LostLink(P, 7, "reset"),))
    assert not links.down(P, cause="reset", now=0.0)
    assert links.down(P, cause="gone", now=0.3)
    assert said(links).lost == (LostLink(P, 7, "gone"),)
    links.up(P, peer_epoch=8, known_epoch=8, rtt_s=0, now=0.0)
    assert said(links).lost == ()


def test_a_peer_that_refuses_us_with_its_own_words_does_not_spoil_our_record() -> None:
    links = OwnLinks()
    for cause, listed in (("x" * 60, "refused"), ("\x1b[2J", "refused"), ("version", "version")):
        links.up(P, peer_epoch=7, known_epoch=7, rtt_s=0, now=0.0)
        assert links.down(P, cause=cause, now=0.0)
        assert said(links).lost == (LostLink(P, 7, listed),)


def test_a_loss_is_forgotten_after_a_while() -> None:
    links = OwnLinks()
    links.up(P, peer_epoch=7, known_epoch=7, rtt_s=0, now=0.0)
    links.down(P, cause="silent", now=0.0)
    assert said(links, LOST_FOR_S - 1).lost
    assert not said(links, LOST_FOR_S).lost


def test_who_was_never_linked_cannot_be_lost() -> None:
    assert not OwnLinks().down(P, cause="gone", now=0.0)


def test_a_cost_changes_only_by_much() -> None:
    links = OwnLinks()
    assert not links.measured(P, rtt_s=1.0, loss=0.0, load=0.0, now=0.0)
    links.up(P, peer_epoch=7, known_epoch=7, rtt_s=0.001, now=0.0)
    assert not links.measured(P, rtt_s=0.012, loss=0.0, load=0.0, now=0.0)
    assert links.measured(P, rtt_s=0.120, loss=0.0, load=0.0, now=0.0)
    assert said(links).links == (LinkEntry(P, 246),)


def test_a_peer_that_raised_its_epoch_is_lost_in_the_new_one() -> None:
    links = OwnLinks()
    links.up(P, peer_epoch=7, known_epoch=7, rtt_s=0, now=0.0)
    links.peer_is_in_epoch(P, 9)
    links.peer_is_in_epoch(P, 8)
    links.peer_is_in_epoch(Q, 8)
    links.down(P, cause="gone", now=0.0)
    assert said(links).lost == (LostLink(P, 9, "gone"),)


def test_a_link_is_listed_once_its_peer_has_said_who_it_is() -> None:
    links = OwnLinks()
    links.up(P, peer_epoch=7, known_epoch=6, rtt_s=0, now=0.0)
    assert said(links) == LinksBody(())
    assert list(links.peers) == [P], "it is there all the same"
    assert not links.peer_is_in_epoch(P, 6)
    assert said(links).links == ()
    assert links.peer_is_in_epoch(P, 7)
    assert said(links).links == (LinkEntry(P, 96),)
    assert not links.peer_is_in_epoch(P, 7), "no news"


def test_the_newest_are_listed_when_there_are_too_many() -> None:
    links = OwnLinks()
    peers = [NodeId(number.to_bytes(16)) for number in range(LINKS_MAX + 10)]
    for peer in peers:
        links.up(peer, peer_epoch=1, known_epoch=1, rtt_s=0, now=0.0)
    assert [entry.peer for entry in said(links).links] == peers[10:]
    for peer in peers:
        links.down(peer, cause="reset", now=0.0)
    assert [entry.peer for entry in said(links).lost] == peers[-LOST_MAX:]


def test_a_link_lost_twice_in_a_minute_is_penalized_for_a_while_and_stays() -> None:
    links = OwnLinks()
    links.up(P, peer_epoch=7, known_epoch=7, rtt_s=0.001, now=0.0)
    for at in (10.0, 30.0):
        links.down(P, cause="silent", now=at)
        links.up(P, peer_epoch=7, known_epoch=7, rtt_s=0.001, now=at + 1)
    (entry,) = said(links).links
    assert entry.cost > 150
    now = 31.0
    while (due_at := links.next_deadline()) is not None:
        assert due_at > now
        now = due_at
        links.advance(now=now)
    assert 100 < now < 1000
    assert links.costs()[P] <= 107
    assert not links.advance(now=now)


def test_what_its_former_life_did_is_not_held_against_a_peer() -> None:
    links = OwnLinks()
    for epoch in range(7, 10):
        links.up(P, peer_epoch=epoch, known_epoch=epoch, rtt_s=0.001, now=epoch)
        links.down(P, cause="reset", now=epoch)
    links.up(P, peer_epoch=10, known_epoch=10, rtt_s=0.001, now=10.0)
    assert links.costs() == {P: 96}


def test_a_peer_that_closes_is_no_link_that_flaps() -> None:
    links = OwnLinks()
    for at in range(5):
        links.up(P, peer_epoch=7, known_epoch=7, rtt_s=0.001, now=at)
        links.down(P, cause="closed", now=at)
    links.up(P, peer_epoch=7, known_epoch=7, rtt_s=0.001, now=5.0)
    assert links.costs() == {P: 96}


def test_the_past_of_few_peers_is_remembered() -> None:
    links = OwnLinks()
    for number in range(PEERS_MAX + 10):
        peer = NodeId(number.to_bytes(16))
        links.up(peer, peer_epoch=1, known_epoch=1, rtt_s=0, now=0.0)
        links.down(peer, cause="silent", now=0.0)
    assert len(links._past) == PEERS_MAX
