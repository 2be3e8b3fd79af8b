"""A way carries frames in order, as fast as it is, and gives up what does not fit."""

from __future__ import annotations

import pytest

from mreza.sim.link import Way
from mreza.sim.world import World
from mreza.wire.frame import HEADER_BYTES, FrameType

KIND = int(FrameType.DIGEST)


class Ends:
    """A way between two nodes whose target only takes down what arrives."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, delay_s: float = 0.01) -> None:
        self.world = World(seed=9)
        self.world.add("a", "b")
        self.world.link("a", "b", delay_s=delay_s)
        self.world.run(seconds=1)
        self.way: Way = self.world.links["a", "b"].ways[0]
        self.arrived: list[tuple[float, bytes]] = []
        self.gave_way: list[bytes] = []
        monkeypatch.setattr(
            self.way.target,
            "frame_arrived",
            lambda _, __, body: self.arrived.append((self.world.now, body)),
        )
        monkeypatch.setattr(
            self.way.source,
            "frame_gave_way",
            lambda _, __, body, ___: self.gave_way.append(body),
        )

    def send(self, *bodies: bytes, kind: int = KIND) -> float:
        for body in bodies:
            self.way.transmit(kind, body, 0)
        return self.world.now

    @property
    def bodies(self) -> list[bytes]:
        return [body for _, body in self.arrived]


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> Ends:
    return Ends(monkeypatch)


def test_frames_arrive_after_the_delay_and_in_order(ends: Ends) -> None:
    delays = iter((0.03, 0.01, 0.02))
    ends.way.draw = lambda: next(delays)
    begin = ends.send(b"1", b"2", b"3")
    ends.world.run(seconds=1)
    assert ends.bodies == [b"1", b"2", b"3"]
    assert [at - begin for at, _ in ends.arrived] == pytest.approx([0.03] * 3)


def test_a_narrow_way_carries_one_frame_after_the_other(ends: Ends) -> None:
    ends.way.bytes_per_s = 1000.0
    begin = ends.send(bytes(100 - HEADER_BYTES), bytes(100 - HEADER_BYTES))
    assert ends.way.backlog_s == pytest.approx(0.2)
    ends.world.run(seconds=1)
    assert [at - begin for at, _ in ends.arrived] == pytest.approx([0.11, 0.21])


def test_what_does_not_fit_into_the_queue_gives_way(ends: Ends) -> None:
    ends.way.bytes_per_s, ends.way.queue_bytes = 1000.0, 250
    bodies = [bytes((number,)) * (100 - HEADER_BYTES) for number in range(4)]
    ends.send(*bodies)
    ends.world.run(seconds=1)
    assert ends.bodies == bodies[:2]
    assert ends.gave_way == bodies[2:]


def test_only_envelopes_are_given_up_doubled_and_overtaken(ends: Ends) -> None:
    ends.way.loss = 1.0
    ends.send(b"control")
    ends.send(b"envelope", kind=FrameType.ENVELOPE)
    ends.way.loss, ends.way.duplicate = 0.0, 1.0
    ends.send(b"twice", kind=FrameType.ENVELOPE)
    ends.world.run(seconds=1)
    assert ends.bodies == [b"control", b"twice", b"twice"]
    ends.arrived.clear()
    ends.way.duplicate, ends.way.reorder = 0.0, 1.0
    ends.send(b"late", kind=FrameType.ENVELOPE)
    ends.send(b"control")
    ends.world.run(seconds=1)
    assert ends.bodies == [b"control", b"late"]


def test_what_a_short_cut_swallows_comes_when_it_is_over(ends: Ends) -> None:
    ends.send(b"under way")
    ends.world.cut("a", "b")
    ends.send(b"meanwhile")
    ends.world.run(seconds=0.2)
    assert ends.bodies == []
    ends.world.repair("a", "b")
    ends.world.run(seconds=0.5)
    assert ends.bodies == [b"under way", b"meanwhile"]


def test_order_holds_when_a_cut_is_shorter_than_the_delay(ends: Ends) -> None:
    for body in (b"1", b"2"):
        ends.send(body)
        ends.world.run(seconds=0.004)
    ends.world.run(seconds=0.001)
    ends.world.cut("a", "b")
    ends.world.run(seconds=0.002)
    ends.world.repair("a", "b")
    ends.send(b"3")
    ends.world.run(seconds=1)
    assert ends.bodies == [b"1", b"2", b"3"]


def test_what_was_under_way_is_lost_with_its_connection(ends: Ends) -> None:
    ends.world.cut("a", "b")
    ends.send(b"lost")
    ends.world.network.close(ends.way, "reset")
    ends.world.run(seconds=5)
    ends.world.repair("a", "b")
    ends.world.run(seconds=3)
    assert ends.way.is_open
    assert b"lost" not in ends.bodies


def test_a_loaded_link_is_measured_and_forgotten_when_it_is_steady(ends: Ends) -> None:
    link = ends.way.link
    ends.way.bytes_per_s = 10_000.0
    ends.world.network.watch(link)
    for _ in range(100):
        ends.send(bytes(800))
        ends.world.run(seconds=0.05)
    slow = ends.way.rtt.smoothed_s
    assert slow is not None
    assert slow > 0.5
    ends.way.bytes_per_s = 0.0
    ends.world.run(seconds=60)
    assert not link.watched
    assert ends.way.rtt.smoothed_s == pytest.approx(0.02, rel=0.2)
