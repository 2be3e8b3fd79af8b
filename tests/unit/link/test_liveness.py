from __future__ import annotations

from mreza.link.liveness import Liveness


def liveness() -> Liveness:
    return Liveness(probe_interval_s=0.5, silent_after_s=5.0, now=0.0)


def test_a_peer_has_its_time_and_no_more() -> None:
    watch = liveness()
    at = 0.0
    while at < 4.9:
        assert not watch.is_silent(now=at)
        at += 0.5
    assert watch.silence_s(now=4.5) == 4.5
    assert watch.is_silent(now=5.0)


def test_anything_heard_is_a_sign_of_life() -> None:
    watch = liveness()
    for turn in range(20):
        now = turn * 0.5
        watch.heard(now=now)
        assert not watch.is_silent(now=now)
    assert watch.next_deadline() <= 9.5 + 5.0


def test_the_time_in_which_we_did_not_listen_is_not_held_against_the_peer() -> None:
    watch = liveness()
    assert not watch.is_silent(now=1.0)
    assert not watch.is_silent(now=60.0)
    assert watch.silence_s(now=60.0) == 1.0
    for turn in range(1, 8):
        assert not watch.is_silent(now=60.0 + turn * 0.5)
    assert watch.is_silent(now=64.0)


def test_probes_come_once_an_interval_and_not_in_volleys_after_a_pause() -> None:
    watch = liveness()
    assert watch.probe_due(now=0.0)
    assert watch.next_deadline() == 0.5
    assert not watch.probe_due(now=0.4)
    assert watch.probe_due(now=7.0)
    assert not watch.probe_due(now=7.4)
    assert watch.probe_due(now=7.5)
