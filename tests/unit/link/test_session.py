from __future__ import annotations

import pytest

from mreza.config.link import LinkConfig
from mreza.ids import MeshId, NodeId
from mreza.link.session import (
    FrameReceived,
    HelloReceived,
    LinkSession,
    PeerLeft,
    RefusedByPeer,
    RefusedByUs,
    RttMeasured,
    SessionEvent,
    UsableChanged,
)
from mreza.wire.frame import BODY_MAX, FrameType, encode_frame
from mreza.wire.link import HELLO, PROBE, PROTOCOL_VERSION, Hello, Probe, Refused
from mreza.wire.records import AgedRecord, Record

ME, PEER = NodeId(b"m" * 16), NodeId(b"p" * 16)
MESH = MeshId(b"M" * 16)
PLENTY = 1 << 30
CONFIG = LinkConfig(probe_interval_s=0.5, silent_after_s=5.0, handshake_timeout_s=3.0)
NOTICED_S = 3.25 * 0.5
ENVELOPE, PART = FrameType.ENVELOPE, FrameType.ENVELOPE_PART


def hello(*, version: int = PROTOCOL_VERSION, mesh: MeshId = MESH, epoch: int = 7) -> Hello:
    return Hello(
        version=version,
        features=(),
        epoch=epoch,
        uptime_s=1.0,
        name="node",
        addresses=("192.0.2.1:7467",),
        mesh=mesh,
    )


def session(*, dialed: bool = True, now: float = 0.0) -> LinkSession:
    return LinkSession(
        peer=PEER, mesh=MESH, hello=hello(epoch=1), dialed=dialed, config=CONFIG, now=now
    )


def written(end: LinkSession) -> bytes:
    return b"".join(end.data_to_send(PLENTY))


def receive(end: LinkSession, data: bytes, *, now: float = 0.0) -> list[SessionEvent]:
    """Feed bytes as a host does that accepts every hello."""
    events = []
    for event in end.receive_data(data, now=now):
        if isinstance(event, HelloReceived):
            end.accept(event.hello, now=now)
        events.append(event)
    return events


def carry(source: LinkSession, target: LinkSession, *, now: float = 0.0) -> list[SessionEvent]:
    return receive(target, written(source), now=now)


def linked(now: float = 0.0) -> tuple[LinkSession, LinkSession]:
    dialer, acceptor = session(now=now), session(dialed=False, now=now)
    carry(dialer, acceptor, now=now)
    carry(acceptor, dialer, now=now)
    carry(dialer, acceptor, now=now)
    carry(acceptor, dialer, now=now)
    assert dialer.is_up
    assert acceptor.is_up
    return dialer, acceptor


def one(events: list[SessionEvent]) -> SessionEvent:
    (event,) = events
    return event


def test_the_dialing_end_speaks_first_and_the_other_only_when_it_has_accepted() -> None:
    dialer, acceptor = session(), session(dialed=False)
    assert not acceptor.wants_to_send()
    (event,) = acceptor.receive_data(written(dialer), now=0.0)
    assert event == HelloReceived(hello(epoch=1))
    assert not acceptor.wants_to_send()
    acceptor.accept(event.hello, now=0.0)
    events = carry(acceptor, dialer)
    assert isinstance(events[0], HelloReceived)
    assert dialer.is_up


def test_frames_that_follow_the_hello_in_the_same_bytes_are_read_under_its_new_limit() -> None:
    dialer, acceptor = session(), session(dialed=False)
    data = written(dialer) + encode_frame(ENVELOPE, bytes(BODY_MAX))
    events = receive(acceptor, data)
    assert [type(event) for event in events] == [HelloReceived, FrameReceived]


def test_what_follows_a_refused_hello_is_not_read() -> None:
    dialer, acceptor = session(), session(dialed=False)
    data = written(dialer) + encode_frame(ENVELOPE, b"secret")
    events = []
    for event in acceptor.receive_data(data, now=0.0):
        events.append(event)
        acceptor.refuse("old_epoch", "you are old")
    assert len(events) == 1
    assert list(acceptor.receive_data(b"more", now=0.0)) == []
    assert one(receive(dialer, written(acceptor))) == RefusedByPeer(
        Refused("old_epoch", "you are old")
    )
    assert dialer.next_deadline() is None


def test_a_refusal_may_bring_an_introduction_larger_than_a_hello() -> None:
    record = Record(
        origin=ME, kind=1, key=b"", epoch=9, sequence=1, body=bytes(16_000), signature=bytes(64)
    )
    aged = AgedRecord(record=record, age_s=1.0)
    dialer, acceptor = session(), session(dialed=False)
    acceptor.refuse("old_epoch", "x" * 2000, aged)
    acceptor.refuse("malformed", "only the first refusal is said")
    event = one(carry(acceptor, dialer))
    assert isinstance(event, RefusedByPeer)
    assert event.refused.introduction == aged
    assert len(event.refused.text) == 512


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (encode_frame(FrameType.HELLO, HELLO.encode(hello(version=0))), "version"),
        (encode_frame(FrameType.HELLO, HELLO.encode(hello(mesh=MeshId(b"O" * 16)))), "other_mesh"),
        (encode_frame(FrameType.HELLO, b"\x00"), "malformed"),
        (encode_frame(FrameType.PROBE, b""), "malformed"),
        (encode_frame(ENVELOPE, b""), "malformed"),
        (encode_frame(FrameType.HELLO, bytes(5000)), "malformed"),
        (encode_frame(200, b""), "malformed"),
        (encode_frame(FrameType.REFUSED, b"\xff"), "malformed"),
    ],
)
def test_a_stranger_that_says_no_good_hello_is_refused(frame: bytes, code: str) -> None:
    acceptor = session(dialed=False)
    event = one(receive(acceptor, frame))
    assert isinstance(event, RefusedByUs)
    assert event.code == code
    assert not acceptor.is_up


def test_a_newer_version_is_left_to_the_end_that_knows_it() -> None:
    acceptor = session(dialed=False)
    data = encode_frame(FrameType.HELLO, HELLO.encode(hello(version=99)))
    assert isinstance(one(receive(acceptor, data)), HelloReceived)


@pytest.mark.parametrize("kind", [FrameType.HELLO, FrameType.JOIN])
def test_frames_that_have_no_place_on_a_link_end_it(kind: int) -> None:
    dialer, _ = linked()
    event = one(receive(dialer, encode_frame(kind, b"")))
    assert isinstance(event, RefusedByUs)
    assert event.code == "malformed"


def test_frames_go_both_ways_and_control_is_handed_on() -> None:
    dialer, acceptor = linked()
    dialer.send(ENVELOPE, b"one", 1)
    dialer.send(FrameType.RECORDS, b"two", 1)
    dialer.send(FrameType.DIGEST, b"three", 1)
    got = [(e.kind, e.body) for e in carry(dialer, acceptor) if isinstance(e, FrameReceived)]
    assert got == [(FrameType.RECORDS, b"two"), (FrameType.DIGEST, b"three"), (ENVELOPE, b"one")]
    assert dialer.queued_bytes == 0


def test_pieces_are_joined_to_the_envelope_that_was_cut() -> None:
    dialer, acceptor = linked()
    bulk = bytes(range(256)) * 250
    dialer.send(ENVELOPE, bulk, 1)
    events: list[SessionEvent] = []
    while dialer.wants_to_send():
        for batch in dialer.data_to_send(16_000):
            events += receive(acceptor, batch)
    event = one(events)
    assert isinstance(event, FrameReceived)
    assert (event.kind, event.body) == (ENVELOPE, bulk)


@pytest.mark.parametrize(
    "pieces",
    [
        [b""],
        [b"\x04x"],
        [b"\x00x"],
        [b"\x02x"],
        [b"\x01x", b"\x01x"],
        [b"\x01" + bytes(16_000), *([b"\x00" + bytes(16_000)] * 4)],
    ],
)
def test_pieces_out_of_order_or_without_end_cost_the_link(pieces: list[bytes]) -> None:
    _, acceptor = linked()
    data = b"".join(encode_frame(PART, piece) for piece in pieces)
    events = receive(acceptor, data)
    assert isinstance(events[-1], RefusedByUs)
    assert events[-1].code == "malformed"


def test_both_ends_know_the_round_trip_time_after_three_flights() -> None:
    dialer, acceptor = session(), session(dialed=False)
    carry(dialer, acceptor, now=0.010)
    events = carry(acceptor, dialer, now=0.020)
    assert dialer.rtt_s is None
    events = carry(dialer, acceptor, now=0.030)
    assert RttMeasured() in events
    assert acceptor.rtt_s == pytest.approx(0.020)
    events = carry(acceptor, dialer, now=0.040)
    assert RttMeasured() in events
    assert dialer.rtt_s == pytest.approx(0.020)


def test_probes_keep_an_idle_link_and_say_how_long_an_echo_was_held() -> None:
    dialer, acceptor = linked(now=1.0)
    deadline = dialer.next_deadline()
    assert deadline == 1.5
    now = 1.0
    for _ in range(40):
        now += 0.5
        assert dialer.advance(now=now) is None
        assert acceptor.advance(now=now) is None
        carry(dialer, acceptor, now=now)
        carry(acceptor, dialer, now=now)
    assert dialer.is_up
    assert dialer.rtt_s == pytest.approx(0.0, abs=1e-3)


def wait(end: LinkSession, *, until: float) -> list[tuple[float, SessionEvent]]:
    """Wake it at its deadlines; what it says, and when."""
    said = []
    while (at := end.next_deadline()) is not None and at <= until:
        event = end.advance(now=at)
        if event is not None:
            said.append((at, event))
    return said


def test_a_silent_peer_makes_the_link_unusable_and_is_given_up_later() -> None:
    dialer, _ = linked()
    unusable, over = wait(dialer, until=60.0)
    assert unusable == (NOTICED_S, UsableChanged(usable=False))
    assert over[0] == 5.0
    assert isinstance(over[1], RefusedByUs)
    assert over[1].code == "silent"
    assert dialer.refused
    assert dialer.advance(now=9.0) is None


def test_a_peer_that_was_silent_makes_the_link_usable_at_both_ends_at_once() -> None:
    dialer, acceptor = linked()
    assert wait(dialer, until=3.0) == [(NOTICED_S, UsableChanged(usable=False))]
    wait(acceptor, until=0.5)
    events = carry(acceptor, dialer, now=3.0)
    assert UsableChanged(usable=True) in events
    assert not any(isinstance(event, RttMeasured) for event in events)
    assert UsableChanged(usable=False) not in carry(dialer, acceptor, now=3.0)
    assert dialer.usable
    assert acceptor.usable


def test_an_end_that_is_not_heard_is_told_so_on_the_way_that_is_left() -> None:
    dialer, acceptor = linked()
    for turn in range(1, 8):
        now = turn * 0.5
        wait(dialer, until=now)
        wait(acceptor, until=now)
        written(dialer)
        events = carry(acceptor, dialer, now=now)
        if UsableChanged(usable=False) in events:
            break
    assert [end.usable for end in (dialer, acceptor)] == [False, False]
    assert now == 2.0
    carry(dialer, acceptor, now=4.0)
    carry(acceptor, dialer, now=4.0)
    carry(dialer, acceptor, now=4.0)
    assert [end.usable for end in (dialer, acceptor)] == [True, True]


def test_a_spare_link_says_that_it_is_probed_less_often() -> None:
    dialer, acceptor = linked()
    assert not dialer.carry(routes=False, now=0.1)
    wait(dialer, until=0.5)
    carry(dialer, acceptor, now=0.5)
    assert wait(acceptor, until=3.0) == []
    assert dialer.carry(routes=True, now=0.6)
    wait(dialer, until=0.6)
    carry(dialer, acceptor, now=0.6)
    ((at, event),) = wait(acceptor, until=5.0)
    assert event == UsableChanged(usable=False)
    assert 0.6 + 3 * 0.5 < at < 0.6 + 6 * 0.5


def test_a_hello_must_come_in_time() -> None:
    acceptor = session(dialed=False)
    assert acceptor.next_deadline() == 3.0
    assert acceptor.advance(now=2.9) is None
    event = acceptor.advance(now=3.0)
    assert isinstance(event, RefusedByUs)
    assert event.code == "timeout"


def test_goodbye_comes_after_what_waits_and_the_other_end_may_still_speak() -> None:
    dialer, acceptor = linked()
    for number in range(30):
        dialer.send(ENVELOPE, bytes([number]) * 10_000, 1)
    dialer.goodbye("replaced")
    dialer.goodbye("again")
    assert not dialer.is_up
    events: list[SessionEvent] = []
    while dialer.wants_to_send():
        for batch in dialer.data_to_send(50_000):
            events += receive(acceptor, batch)
    assert len(events) == 31
    assert events[-1] == PeerLeft("replaced")
    assert acceptor.peer_left
    acceptor.send(ENVELOPE, b"late", 1)
    acceptor.goodbye("replaced")
    first, second = carry(acceptor, dialer)
    assert isinstance(first, FrameReceived)
    assert second == PeerLeft("replaced")


def test_an_end_that_leaves_sends_no_more_probes() -> None:
    dialer, _ = linked()
    dialer.goodbye("shutdown")
    written(dialer)
    assert dialer.advance(now=0.6) is None
    probe = PROBE.encode(Probe(stamp_us=5))
    assert receive(dialer, encode_frame(FrameType.PROBE, probe)) == []
    assert not dialer.wants_to_send()


def test_what_waits_when_a_link_is_refused_can_be_taken() -> None:
    dialer, _ = linked()
    dialer.send(ENVELOPE, b"unsent", 1)
    dialer.refuse("revoked", "stolen")
    assert dialer.wants_to_send()
    assert b"revoked" in written(dialer)
    assert not dialer.wants_to_send()
    assert [waiting.body for waiting in dialer.take_waiting()] == [b"unsent"]


def test_a_link_that_was_unusable_ends_the_envelope_it_had_begun() -> None:
    dialer, acceptor = linked()
    dialer.send(ENVELOPE, b"x" * BODY_MAX, 0)
    receive(acceptor, b"".join(dialer.data_to_send(20_000)))
    dialer.send(ENVELOPE, b"goes another way", 1)
    assert [waiting.body for waiting in dialer.take_most()] == [b"goes another way"]
    dialer.send(ENVELOPE, b"y" * BODY_MAX, 0)
    events = [*receive(acceptor, b"".join(dialer.data_to_send(20_000)))]
    events += carry(dialer, acceptor)
    bodies = [event.body for event in events if isinstance(event, FrameReceived)]
    assert [(len(body), body[:1]) for body in bodies] == [(BODY_MAX, b"x"), (BODY_MAX, b"y")]
    assert not dialer.wants_to_send()
    assert dialer.queued_bytes == 0
