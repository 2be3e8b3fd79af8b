"""One link for each peer, and no frame that is lost in silence."""

from __future__ import annotations

from typing import Any, cast

import pytest

from mreza.address import Address
from mreza.config.link import LinkConfig
from mreza.ids import MeshId, NodeId
from mreza.link.session import LinkSession
from mreza.node.link_connection import LinkConnection
from mreza.node.up_links import UpLinks
from mreza.wire.frame import FrameType
from mreza.wire.link import PROTOCOL_VERSION, Hello

PEER, OTHER = NodeId(b"p" * 16), NodeId(b"o" * 16)
MESH = MeshId(b"mesh of the test")
HELLO = Hello(PROTOCOL_VERSION, (), 5, 1.0, "node", (), MESH)
ENVELOPE = int(FrameType.ENVELOPE)


class Link:
    """As much of a LinkConnection as the table touches."""

    def __init__(self, peer: NodeId | None = PEER, *, queue_bytes: int = 10_000) -> None:
        self.peer = peer
        self.address = Address("192.0.2.1", 7467)
        self.dialed = True
        self.connect_rtt_s = 0.25
        self.said: list[str] = []
        self.session: LinkSession | None = None
        if peer is not None:
            self.session = LinkSession(
                peer=peer,
                mesh=MESH,
                hello=HELLO,
                dialed=True,
                config=LinkConfig(queue_bytes=queue_bytes),
                now=0.0,
            )

    def report_up(self) -> None:
        self.said.append("up")

    def part(self, reason: str) -> None:
        self.said.append(f"part {reason}")

    def flush(self) -> None:
        self.said.append("flush")


class Events:
    def __init__(self) -> None:
        self.heard: list[tuple[Any, ...]] = []

    def link_up(
        self, peer: NodeId, hello: Hello, address: Address, *, dialed: bool, rtt_s: float
    ) -> None:
        self.heard.append(("up", peer, hello, address, dialed, rtt_s))

    def link_down(self, peer: NodeId, cause: str) -> None:
        self.heard.append(("down", peer, cause))

    def link_reset(self, peer: NodeId) -> None:
        self.heard.append(("reset", peer))

    def frame_dropped(self, peer: NodeId, kind: int, body: bytes) -> None:
        self.heard.append(("dropped", peer, kind, bytes(body)))


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.fixture
def links(events: Events) -> UpLinks:
    return UpLinks(cast("Any", events))


def up(links: UpLinks, link: Link) -> LinkConnection:
    connection = cast("LinkConnection", link)
    links.bring_up(connection, HELLO)
    return connection


def test_a_link_that_comes_up_is_told_and_found(links: UpLinks, events: Events) -> None:
    link = Link()
    connection = up(links, link)
    assert events.heard == [("up", PEER, HELLO, link.address, True, 0.25)]
    assert link.said == ["up"]
    assert PEER in links
    assert OTHER not in links
    assert len(links) == 1
    assert links.get(PEER) is connection
    assert links.all() == [connection]
    assert links.holds(connection)
    assert not links.holds(cast("LinkConnection", Link()))
    assert not links.holds(cast("LinkConnection", Link(None)))


def test_what_is_sent_is_written_at_the_flush_once_for_each_link(links: UpLinks) -> None:
    link = Link()
    up(links, link)
    for body in (b"one", b"two"):
        assert links.send(PEER, ENVELOPE, body, 1)
    assert link.said == ["up"]
    links.flush()
    links.flush()
    assert link.said == ["up", "flush"]
    assert link.session is not None
    assert [waiting.body for waiting in link.session.take_waiting()] == [b"one", b"two"]


def test_an_envelope_without_a_link_is_reported(links: UpLinks, events: Events) -> None:
    assert not links.send(PEER, ENVELOPE, b"lost", 1)
    assert not links.send(PEER, FrameType.RECORDS, b"they are compared again", 1)
    assert events.heard == [("dropped", PEER, ENVELOPE, b"lost")]


def test_a_full_queue_reports_what_gives_way(links: UpLinks, events: Events) -> None:
    up(links, Link(queue_bytes=65536))
    events.heard.clear()
    for number in range(5):
        assert links.send(PEER, ENVELOPE, bytes([number]) * 15_000, 1)
    assert [entry[0] for entry in events.heard] == ["dropped"]


def test_what_waits_on_a_link_that_ends_is_reported_after_its_end(
    links: UpLinks, events: Events
) -> None:
    connection = up(links, Link())
    links.send(PEER, ENVELOPE, b"waits", 1)
    links.send(PEER, FrameType.DIGEST, b"does not matter", 1)
    links.down(connection, "reset")
    links.down(connection, "twice")
    assert events.heard[1:] == [("down", PEER, "reset"), ("dropped", PEER, ENVELOPE, b"waits")]
    assert len(links) == 0
    links.flush()
    assert cast("Link", connection).said == ["up"]


def test_another_connection_of_the_peer_does_not_end_its_link(
    links: UpLinks, events: Events
) -> None:
    up(links, Link())
    links.down(cast("LinkConnection", Link()), "reset")
    assert PEER in links
    assert len(events.heard) == 1


def test_merged_links_are_one_link_to_the_node(links: UpLinks, events: Events) -> None:
    old, new = Link(), Link()
    connection = up(links, old)
    assert old.session is not None
    assert new.session is not None
    links.send(PEER, FrameType.PROBE, b"of the old link alone", 0)
    links.send(PEER, ENVELOPE, b"waits", 1)
    links.merge(connection, cast("LinkConnection", new))
    assert len(events.heard) == 1
    assert links.get(PEER) is cast("LinkConnection", new)
    assert [waiting.body for waiting in new.session.take_waiting()] == [b"waits"]
    assert old.session.take_waiting() == []
    assert (old.said, new.said) == (["up", "part replaced"], ["up"])
    links.flush()
    assert "flush" not in old.said


def test_a_retired_link_sends_what_waits_and_has_ended_for_the_node(
    links: UpLinks, events: Events
) -> None:
    link = Link()
    connection = up(links, link)
    links.send(PEER, ENVELOPE, b"waits", 1)
    links.retire(connection, "shutdown")
    assert events.heard[1:] == [("down", PEER, "closed")]
    assert link.said == ["up", "part shutdown"]
    assert link.session is not None
    assert len(link.session.take_waiting()) == 1
    assert links.views() == {}


def hear(link: Link) -> None:
    """Have its peer's hello accepted."""
    assert link.session is not None
    link.session.accept(HELLO, now=0.0)


def test_an_unusable_link_has_ended_for_the_node_until_it_is_usable_again(
    links: UpLinks, events: Events
) -> None:
    link = Link()
    connection = up(links, link)
    hear(link)
    links.send(PEER, ENVELOPE, b"waits", 1)
    for _ in range(2):
        links.set_usable(connection, usable=False)
    assert events.heard[1:] == [("down", PEER, "silent"), ("dropped", PEER, ENVELOPE, b"waits")]
    assert PEER not in links
    assert not links.holds(connection)
    assert links.views() == {}
    assert links.get(PEER) is connection
    assert links.all() == [connection]
    for _ in range(2):
        links.set_usable(connection, usable=True)
    assert [entry[0] for entry in events.heard] == ["up", "down", "dropped", "up"]
    assert links.holds(connection)


@pytest.mark.parametrize(("cause", "told"), [("reset", [("reset", PEER)]), ("silent", [])])
def test_an_unusable_link_that_ends_is_no_news_but_a_reset(
    links: UpLinks, events: Events, cause: str, told: list[tuple[Any, ...]]
) -> None:
    connection = up(links, Link())
    links.set_usable(connection, usable=False)
    links.down(connection, cause)
    assert events.heard[2:] == told
    assert links.get(PEER) is None
    links.set_usable(connection, usable=True)
    assert PEER not in links


def test_an_unusable_link_is_retired_in_silence(links: UpLinks, events: Events) -> None:
    link = Link()
    connection = up(links, link)
    links.set_usable(connection, usable=False)
    links.retire(connection, "shutdown")
    assert events.heard[2:] == []
    assert link.said == ["up", "part shutdown"]
    assert links.all() == []


def test_what_was_never_a_link_has_no_use(links: UpLinks, events: Events) -> None:
    for link in (Link(), Link(None)):
        links.set_usable(cast("LinkConnection", link), usable=False)
    assert events.heard == []


def test_an_unusable_link_still_tells_the_peer_that_it_is(links: UpLinks) -> None:
    link = Link()
    up(links, link)
    assert link.session is not None
    link.session.send(int(FrameType.PROBE), b"I do not hear you", 0)
    link.session.send(ENVELOPE, b"goes another way", 1)
    links.set_usable(cast("LinkConnection", link), usable=False)
    assert [waiting.body for waiting in link.session.take_waiting()] == [b"I do not hear you"]
