"""When a link is unusable, and when it is not: tables, and a simulation with late arrivals."""

from __future__ import annotations

import itertools
from random import Random

import pytest

from mreza.config.link import LinkConfig
from mreza.link.liveness import Liveness

CONFIG = LinkConfig(
    probe_interval_s=0.1, idle_probe_interval_s=1.0, missed_probes=3, silent_after_s=30.0
)


def liveness() -> Liveness:
    return Liveness(config=CONFIG, now=0.0)


def hear(watch: Liveness, *, now: float, next_s: float = 0.1, hears: bool = True) -> None:
    watch.heard(now=now)
    watch.probe_heard(next_s=next_s, hears=hears, now=now)


def run(watch: Liveness, *, until: float) -> float:
    """Wake it as a driver does that is never late; when it became unusable, or `until`."""
    while watch.next_deadline() < until:
        now = watch.next_deadline()
        watch.advance(now=now)
        watch.probe_due(now=now)
        if not watch.usable:
            return now
    return until


def deaf(watch: Liveness) -> float:
    """Let it hear nothing more until it says so."""
    at = run(watch, until=1000.0)
    assert not watch.hears
    return at


def test_three_missed_probes_and_a_margin_make_a_link_unusable() -> None:
    watch = liveness()
    hear(watch, now=0.0)
    assert deaf(watch) == pytest.approx(0.325)
    assert not watch.is_over(now=29.9)
    assert watch.is_over(now=30.0)


def test_anything_heard_is_a_sign_of_life() -> None:
    watch = liveness()
    for turn in range(100):
        watch.heard(now=turn * 0.25)
        assert run(watch, until=(turn + 1) * 0.25) == (turn + 1) * 0.25
    assert watch.silence_s(now=25.0) == 0.25


@pytest.mark.parametrize(
    ("heard_at", "noticed_at"), [(1.0, 1.325), (1.09, 1.325), (1.11, 1.425), (1.25, 1.525)]
)
def test_probes_are_missed_from_the_first_that_was_due_after_anything_was_heard(
    heard_at: float, noticed_at: float
) -> None:
    watch = liveness()
    hear(watch, now=0.9)
    run(watch, until=0.95)
    hear(watch, now=1.0)
    watch.heard(now=heard_at)
    assert deaf(watch) == pytest.approx(noticed_at)


def test_a_link_is_usable_again_at_once_and_the_peer_hears_of_it_at_once() -> None:
    watch = liveness()
    hear(watch, now=0.0)
    at = deaf(watch)
    assert watch.interval_s == 1.0
    watch.heard(now=at + 5)
    assert watch.usable
    assert watch.probe_due(now=at + 5)
    assert watch.interval_s == 0.1


def test_an_end_that_is_not_heard_holds_the_link_unusable_too() -> None:
    watch = liveness()
    hear(watch, now=0.0)
    watch.probe_due(now=0.0)
    hear(watch, now=0.1, hears=False)
    assert (watch.hears, watch.usable) == (True, False)
    assert watch.probe_due(now=0.1)
    hear(watch, now=5.0)
    assert watch.usable


def test_two_ends_that_both_heard_nothing_find_each_other_again() -> None:
    a, b = liveness(), liveness()
    for watch in (a, b):
        hear(watch, now=0.0)
        deaf(watch)
    hear(b, now=9.0, hears=a.hears)
    assert (b.hears, b.usable) == (True, False)
    assert b.probe_due(now=9.0)
    hear(a, now=9.1, hears=b.hears)
    assert a.usable
    assert a.probe_due(now=9.1)
    hear(b, now=9.2, hears=a.hears)
    assert b.usable


def test_the_time_in_which_we_did_not_listen_is_not_held_against_the_peer() -> None:
    watch = liveness()
    hear(watch, now=0.0)
    watch.advance(now=0.0)
    watch.probe_due(now=0.0)
    watch.advance(now=60.0)
    assert watch.usable
    assert deaf(watch) == pytest.approx(60.225)


def test_a_loop_that_is_always_late_still_notices() -> None:
    watch = liveness()
    hear(watch, now=0.0)
    now = 0.0
    while watch.usable:
        now = watch.next_deadline() + 0.04
        watch.advance(now=now)
        watch.probe_due(now=now)
    assert now < 2.0


def test_the_patience_grows_with_what_was_late_and_shrinks_again() -> None:
    watch = liveness()
    now = 0.0
    for late_s in (0.0, 0.08, 0.0):
        now += 0.1 + late_s
        hear(watch, now=now)
    assert watch.patience_s == pytest.approx(0.3 + 1.5 * 0.08, abs=0.002)
    for _ in range(300):
        now += 0.1
        hear(watch, now=now)
    assert watch.patience_s == pytest.approx(0.325)


def test_patience_is_at_most_doubled_however_late_a_probe_was() -> None:
    watch = liveness()
    hear(watch, now=0.0)
    hear(watch, now=0.3)
    hear(watch, now=30.0)
    assert watch.patience_s == pytest.approx(0.6)


def test_how_long_a_link_was_cut_is_no_lateness() -> None:
    watch = liveness()
    hear(watch, now=0.0)
    at = deaf(watch)
    hear(watch, now=at + 20)
    assert watch.patience_s == pytest.approx(0.325)


def test_a_spare_link_is_probed_less_often_and_the_peer_is_patient() -> None:
    watch = liveness()
    hear(watch, now=0.0)
    watch.probe_due(now=0.0)
    watch.carry(routes=False, now=0.0)
    assert watch.probe_due(now=0.1)
    assert not watch.probe_due(now=1.0)
    hear(watch, now=0.1, next_s=1.0)
    assert deaf(watch) == pytest.approx(0.1 + 3.25)


def test_a_link_that_gets_a_route_is_probed_at_once() -> None:
    watch = liveness()
    watch.carry(routes=False, now=0.0)
    assert watch.probe_due(now=0.0)
    watch.heard(now=0.3)
    watch.carry(routes=True, now=0.4)
    assert watch.next_deadline() == 0.4
    assert watch.probe_due(now=0.4)
    watch.carry(routes=True, now=0.41)
    assert watch.next_deadline() == pytest.approx(0.5)


@pytest.mark.parametrize(("next_s", "patience_s"), [(0.0, 0.325), (1e9, 32.5)])
def test_a_peer_may_be_of_an_older_version_or_lie(next_s: float, patience_s: float) -> None:
    watch = liveness()
    hear(watch, now=0.0, next_s=next_s)
    assert watch.patience_s == pytest.approx(patience_s)


def test_probes_come_once_an_interval_and_not_in_volleys_after_a_pause() -> None:
    watch = liveness()
    assert watch.probe_due(now=0.0)
    assert watch.next_deadline() == pytest.approx(0.1)
    assert not watch.probe_due(now=0.09)
    assert watch.probe_due(now=7.0)
    assert not watch.probe_due(now=7.09)
    assert watch.probe_due(now=7.1)


def late_s(rng: Random, *, mean_s: float) -> float:
    """Of a scheduler under load: a short wait for the processor, and now and then a long one."""
    long_s = rng.uniform(0.0, 8 * mean_s) if rng.random() < 0.01 else 0.0
    return rng.expovariate(1 / mean_s) + long_s


def simulate(rng: Random, *, mean_late_s: float, hours: float) -> int:
    """Probes arrive late, and so do our own wake-ups; how often the link became unusable."""
    watch = Liveness(config=LinkConfig(probe_interval_s=0.05, silent_after_s=15.0), now=0.0)
    now, sent_at, alarms = 0.0, 0.0, 0
    arrives_at, wakes_at = 0.0, 0.0
    while now < hours * 3600:
        now = min(arrives_at, wakes_at)
        if arrives_at <= wakes_at:
            hear(watch, now=now, next_s=0.05)
            sent_at = max(sent_at + 0.05, now)
            arrives_at = sent_at + late_s(rng, mean_s=mean_late_s)
        else:
            watch.advance(now=now)
            watch.probe_due(now=now)
            alarms += not watch.hears
            if not watch.hears:
                watch.heard(now=now)
            wakes_at = max(now, watch.next_deadline()) + late_s(rng, mean_s=mean_late_s)
    return alarms


@pytest.mark.parametrize("seed", range(3))
def test_a_machine_under_load_raises_hardly_an_alarm(seed: int) -> None:
    assert simulate(Random(seed), mean_late_s=0.010, hours=0.2) == 0  # noqa: S311


def test_the_simulation_raises_alarms_where_lateness_is_longer_than_any_patience() -> None:
    assert simulate(Random(1), mean_late_s=0.2, hours=0.1) > 5  # noqa: S311


@pytest.mark.parametrize("seed", range(5))
def test_a_cut_is_noticed_in_time_whatever_was_late_before(seed: int) -> None:
    rng = Random(seed)  # noqa: S311
    for _ in range(50):
        watch = liveness()
        now = 0.0
        for _ in range(20):
            now += 0.1 + min(0.03, late_s(rng, mean_s=0.002))
            hear(watch, now=now)
            run(watch, until=now + 0.05)
        cut_at = now + rng.uniform(0.0, 0.1)
        assert 0.2 < deaf(watch) - cut_at < 0.4


@pytest.mark.parametrize("phase", [0.0, 0.2, 0.4, 0.6, 0.8, 0.99])
def test_the_end_that_follows_falls_into_step_and_keeps_its_rate(phase: float) -> None:
    leader_at, follower = 0.1 * phase, liveness()
    sent: list[float] = []
    while leader_at < 10.0:
        while (at := follower.next_deadline()) < leader_at:
            follower.advance(now=at)
            if follower.probe_due(now=at):
                sent.append(at)
        hear(follower, now=leader_at)
        follower.follow(now=leader_at)
        leader_at += 0.1
    steady = [at for at in sent if at > 1.0]
    assert len(steady) in (89, 90)
    assert {round((at - 0.1 * phase) % 0.1, 6) for at in steady} == {0.03}
    assert max(b - a for a, b in itertools.pairwise(sent)) <= 0.12001


def test_an_end_follows_only_who_probes_as_often_as_it_does() -> None:
    watch = liveness()
    watch.probe_due(now=0.0)
    hear(watch, now=0.05, next_s=1.0)
    watch.follow(now=0.05)
    assert watch.next_deadline() == 0.1
