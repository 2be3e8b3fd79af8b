"""What links hear is translated three ways, and always wakes the driver."""

from __future__ import annotations

from typing import Any

import pytest

from mreza.address import Address
from mreza.events import Event, LinkDown, LinkUp, PeerRefused
from mreza.ids import MeshId, NodeId
from mreza.link.quality import Quality
from mreza.node.link_events import PeerRefusal
from mreza.node.link_news import LinkNews
from mreza.node.logs import Log
from mreza.wire.link import PROTOCOL_VERSION, Hello
from mreza.wire.records import AgedRecord, Record
from tests.support.hand_clock import HandClock

PEER = NodeId(b"p" * 16)
WHERE = Address("192.0.2.1", 7467)
HELLO = Hello(PROTOCOL_VERSION, (), 5, 1.0, "peer", ("192.0.2.1:1",), MeshId(b"m" * 16))
NEWEST = AgedRecord(Record(PEER, 1, b"", 9, 1, b"", bytes(64)), 1.0)


class Told:
    """Core, control plane and discovery in one: writes down who was told what."""

    def __init__(self) -> None:
        self.heard: list[tuple[Any, ...]] = []
        self.has_news = False
        "What it answers."
        self.control = self

    def label_of(self, node: NodeId) -> str:
        assert node == PEER
        return "peer"

    def __getattr__(self, name: str) -> Any:
        return lambda *given, **named: self._told((name, *given, *named.values()))

    def _told(self, what: tuple[Any, ...]) -> bool:
        self.heard.append(what)
        return self.has_news


class Case:
    def __init__(self) -> None:
        self.core, self.finder = Told(), Told()
        self.events: list[Event] = []
        self.wakes = 0
        core: Any = self.core
        self.news = LinkNews(
            core,
            finder=lambda: self.finder,
            clock=HandClock(),
            emit=self.events.append,
            wake=self._woken,
            log=Log("test"),
        )

    def _woken(self) -> None:
        self.wakes += 1


@pytest.fixture
def case() -> Case:
    return Case()


def test_a_link_that_comes_up(case: Case) -> None:
    case.news.link_up(PEER, HELLO, WHERE, dialed=True, rtt_s=0.25)
    assert case.core.heard == [("link_up", PEER, 5, 0.25, 1000.0)]
    assert case.finder.heard == [("link_up", PEER, WHERE, True, ("192.0.2.1:1",))]
    (event,) = case.events
    assert isinstance(event, LinkUp)
    assert (event.peer, event.label, event.address, event.dialed) == (
        PEER,
        "peer",
        "192.0.2.1:7467",
        True,
    )
    assert case.wakes == 1


def test_a_link_that_ends(case: Case) -> None:
    case.news.link_down(PEER, "reset")
    assert case.core.heard == [("link_down", PEER, "reset", 1000.0)]
    assert case.finder.heard == [("link_down", PEER, "reset")]
    (event,) = case.events
    assert isinstance(event, LinkDown)
    assert (event.peer, event.label, event.cause) == (PEER, "peer", "reset")
    assert case.wakes == 1


def test_a_silent_link_that_turns_out_to_be_reset_is_no_event(case: Case) -> None:
    case.news.link_reset(PEER)
    assert case.core.heard == [("link_down", PEER, "reset", 1000.0)]
    assert case.finder.heard == [("link_down", PEER, "reset")]
    assert case.events == []
    assert case.wakes == 1


def test_what_is_for_the_core_alone(case: Case) -> None:
    case.news.link_measured(PEER, Quality(0.1, 0.2, 0.3))
    case.news.peer_gone(PEER)
    case.news.frame(PEER, 3, b"body")
    case.news.frame_dropped(PEER, 3, b"body")
    assert case.core.heard == [
        ("link_measured", PEER, 0.1, 0.2, 0.3, 1000.0),
        ("link_down", PEER, "gone", 1000.0),
        ("frame", PEER, 3, b"body", 1000.0),
        ("frame_dropped", PEER, 3, b"body", 1000.0),
    ]
    assert case.finder.heard == []
    assert case.events == []
    assert case.wakes == 3


def test_a_measurement_wakes_the_core_if_the_mesh_should_know(case: Case) -> None:
    case.core.has_news = True
    case.news.link_measured(PEER, Quality(0.1, 0.2, 0.3))
    assert case.wakes == 1


@pytest.mark.parametrize("proof", [None, NEWEST])
def test_a_refusal_is_an_event_and_its_proof_is_offered(
    case: Case, proof: AgedRecord | None
) -> None:
    case.news.refused(
        PeerRefusal(WHERE, PEER, "old_epoch", "why", by_us=False, dialed=True, introduction=proof)
    )
    (event,) = case.events
    assert isinstance(event, PeerRefused)
    assert (event.address, event.code, event.by_us) == ("192.0.2.1:7467", "old_epoch", False)
    assert case.core.heard == ([] if proof is None else [("offer", NEWEST, 1000.0)])
    assert case.wakes == 1


@pytest.mark.parametrize(
    ("proof", "uptime_s", "heard"),
    [
        (None, None, []),
        (NEWEST, None, [("offer", NEWEST, 1000.0)]),
        (None, 3.0, [("own_key_said_hello", 9, 3.0, 1000.0)]),
    ],
    ids=["nothing", "introduction", "hello"],
)
def test_somebody_with_our_key_is_judged_by_the_core(
    case: Case, proof: AgedRecord | None, uptime_s: float | None, heard: list[Any]
) -> None:
    case.news.identity_conflict(WHERE, 9, proof, uptime_s=uptime_s)
    assert case.core.heard == heard
    assert case.wakes == 1
