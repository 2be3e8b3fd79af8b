"""What is told about links are plain values."""

from __future__ import annotations

import pytest

from mreza.address import Address
from mreza.node.link_events import DialOutcome, DialResult, PeerRefusal, view_of
from tests.integration.link_ends import LinkEnd, MeshOfLinks, ends
from tests.support.fake_net import FakeNetwork, turns


def test_a_refusal_says_who_ended_what_and_why() -> None:
    refusal = PeerRefusal(
        Address("192.0.2.1", 7), None, code="other_mesh", text="why", by_us=True, dialed=False
    )
    assert refusal.introduction is None
    with pytest.raises(AttributeError):
        refusal.code = "x"  # type: ignore[misc]


def test_a_dial_says_what_came_of_it_and_who_was_there() -> None:
    assert DialResult(DialOutcome.NOBODY) == (DialOutcome.NOBODY, None, "")


async def test_a_view_shows_a_link_as_it_is_now(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeNetwork.install(monkeypatch)
    a, b = (LinkEnd(credentials) for credentials in MeshOfLinks().pair())
    async with ends(a, b):
        await a.links.dial(b.address)
        await turns()
        (link,) = a.links._all
        view = view_of(b.me, link)
        assert view == a.links.peers[b.me]
        assert (view.name, view.epoch, view.address) == ("node", b.epoch, b.address)
        assert (view.dialed, view.tls, view.queued_bytes) == (True, "TLSv1.3", 0)
        assert view.rtt_s is not None
        (other,) = b.links.peers.values()
        assert (other.peer, other.dialed) == (a.me, False)
        assert view.bytes_out == other.bytes_in > 0
        assert view.bytes_in == other.bytes_out > 0
