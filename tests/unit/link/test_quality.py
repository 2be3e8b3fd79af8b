from __future__ import annotations

import pytest

from mreza.link.quality import QualityMeter, TcpCounters


class Link:
    """Counters that grow, and the meter that reads them once a second."""

    def __init__(self) -> None:
        self.meter = QualityMeter()
        self.now = 0.0
        self.sent = self.again = self.frames = self.given_up = self.written = 0

    def second(
        self,
        *,
        sent: int = 20,
        again: int = 0,
        frames: int = 100,
        given_up: int = 0,
        written: int = 1000,
        waiting: tuple[int, ...] = (0,),
        rtt_s: float = 0.002,
        tcp: bool = True,
    ) -> tuple[float, float, float]:
        self.now += 1
        self.sent += sent
        self.again += again
        self.frames += frames
        self.given_up += given_up
        self.written += written
        for queued in waiting:
            self.meter.waiting(queued)
        return self.meter.sample(
            echo_rtt_s=rtt_s,
            tcp=TcpCounters(0.001, self.sent, self.again) if tcp else None,
            frames=self.frames,
            given_up=self.given_up,
            written_bytes=self.written,
            now=self.now,
        )


def test_a_good_link_has_neither_loss_nor_load() -> None:
    link = Link()
    assert [link.second() for _ in range(5)][-1] == (0.001, 0.0, 0.0)


def test_the_round_trip_is_the_better_of_two_witnesses() -> None:
    link = Link()
    assert link.second(rtt_s=0.0005)[0] == 0.0005
    assert link.second(rtt_s=0.3)[0] == 0.001
    assert link.second(rtt_s=0.3, tcp=False)[0] == 0.3


def test_what_tcp_sends_again_is_loss_that_comes_and_goes() -> None:
    link = Link()
    link.second()
    shares = [link.second(again=4)[1] for _ in range(20)]
    assert shares == sorted(shares)
    assert shares[4] > 0.12
    assert shares[-1] == pytest.approx(0.2, abs=0.01)
    assert [link.second()[1] for _ in range(20)][-1] < 0.01


def test_one_segment_sent_again_on_an_idle_link_is_next_to_nothing() -> None:
    link = Link()
    link.second(sent=10)
    assert link.second(sent=10, again=1)[1] == pytest.approx(0.02)
    assert link.second(sent=2, again=2)[1] == pytest.approx(0.02)


def test_what_was_sent_again_during_a_cut_is_no_loss() -> None:
    link = Link()
    link.second()
    link.meter.pause()
    assert link.second(sent=9, again=9)[1] == 0.0


def test_what_our_own_queue_gives_up_is_loss() -> None:
    link = Link()
    shares = [link.second(frames=100, given_up=50, tcp=False)[1] for _ in range(20)]
    assert shares[-1] == pytest.approx(0.5, abs=0.01)
    assert link.second(frames=0, tcp=False)[1] < shares[-1]


def test_a_burst_is_no_load_and_a_queue_that_stands_is() -> None:
    link = Link()
    assert [link.second(waiting=(90_000, 0, 80_000))[2] for _ in range(9)][-1] == 0.0
    loads = [link.second(written=1_000_000, waiting=(500_000, 900_000))[2] for _ in range(30)]
    assert loads == sorted(loads)
    assert loads[-1] == pytest.approx(1.0, abs=0.01)


def test_a_queue_that_does_not_move_is_full_load() -> None:
    link = Link()
    link.second()
    assert link.second(written=0, waiting=(10,))[2] == pytest.approx(0.2)
    assert link.second(written=0, waiting=())[2] == pytest.approx(0.2)
