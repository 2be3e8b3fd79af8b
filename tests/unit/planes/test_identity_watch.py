from __future__ import annotations

from itertools import pairwise

import pytest

from mreza.ids import make_epoch
from mreza.planes.identity_watch import GiveWay, IdentityWatch, Raise
from mreza.wire.records import INTRODUCTION, AgedRecord, Introduction, RecordKind
from tests.support.control_world import FakeKey, introduction, signed

ME, PEER = FakeKey("me"), FakeKey("peer")
US, THEM = 500, 900
"Instances."


def watch(*, boot: int = 1, started_at: float = 0.0, instance: int = US) -> IdentityWatch:
    return IdentityWatch(
        epoch=make_epoch(boot=boot, random_bits=1), instance=instance, started_at=started_at
    )


def spoken(
    boot: int, *, age_s: float = 0.0, uptime_s: float = 0.0, instance: int = THEM
) -> tuple[AgedRecord, Introduction]:
    said = introduction(ME, instance=instance, uptime_s=uptime_s)
    epoch = make_epoch(boot=boot, random_bits=5)
    record = signed(ME, RecordKind.INTRODUCTION, INTRODUCTION.encode(said), epoch=epoch)
    return AgedRecord(record, age_s), said


def fight(
    machine: IdentityWatch, *, uptime_s: float, at: float, turns: int, every_s: float = 1.0
) -> list[Raise | GiveWay | None]:
    """The other one speaks with a boot counter beyond ours, again and again."""
    answers: list[Raise | GiveWay | None] = []
    boot = 2
    for turn in range(turns):
        now = at + turn * every_s
        aged, said = spoken(boot, uptime_s=uptime_s + turn * every_s)
        answer = machine.own_key_spoke(aged, said, now=now)
        answers.append(answer)
        if isinstance(answer, Raise):
            machine.raised(make_epoch(boot=answer.boot, random_bits=1))
            boot = answer.boot + 1
    return answers


def test_a_newer_epoch_of_ours_is_gone_beyond() -> None:
    aged, said = spoken(7, age_s=400)
    assert watch().own_key_spoke(aged, said, now=1.0) == Raise(8, duplicate=False)


def test_while_the_disk_is_written_nothing_is_asked_twice() -> None:
    machine = watch()
    assert machine.own_key_spoke(*spoken(7), now=1.0) == Raise(8, duplicate=False)
    assert machine.own_key_spoke(*spoken(7), now=1.0) is None
    assert machine.own_key_spoke(*spoken(9), now=1.0) == Raise(10, duplicate=False)


def test_the_third_time_within_a_minute_the_later_starter_gives_way() -> None:
    answers = fight(watch(started_at=100.0), uptime_s=60.0, at=105.0, turns=3)
    assert answers == [Raise(3, duplicate=False), Raise(5, duplicate=False), GiveWay(62.0)]


def test_the_earlier_starter_goes_on_and_knows() -> None:
    answers = fight(watch(started_at=0.0), uptime_s=3.0, at=105.0, turns=4)
    assert [a.duplicate for a in answers if isinstance(a, Raise)] == [False, False, True, True]


def test_exactly_one_of_two_gives_way() -> None:
    """Whatever the difference of their starts and the delay between them, never both stop."""
    for difference in (-3.0, -1.01, -1.0, -0.99, 0.0, 0.5, 0.99, 1.0, 1.01, 3.0):
        for delay in (0.0, 0.02, 0.5):
            here, there = watch(started_at=0.0), watch(started_at=difference, instance=THEM)
            for _ in range(3):
                now = 10.0
                a = here.own_key_spoke(*spoken(50, uptime_s=now - delay - difference), now=now)
                b = there.own_key_spoke(*spoken(50, uptime_s=now - delay, instance=US), now=now)
                for machine in (here, there):
                    machine._asked_boot = 1
            stops = [isinstance(answer, GiveWay) for answer in (a, b)]
            assert stops.count(True) <= 1, (difference, delay)
            if delay == 0.0:
                assert stops.count(True) == 1, (difference, delay)


@pytest.mark.parametrize(("ours", "stops"), [(US, True), (THEM + 1, False)])
def test_equal_uptimes_are_decided_by_the_random_bits(ours: int, *, stops: bool) -> None:
    machine = watch(started_at=100.0, instance=ours)
    answers = fight(machine, uptime_s=5.5, at=105.0, turns=3)
    assert isinstance(answers[-1], GiveWay) is stops


def test_raises_further_apart_are_no_fight() -> None:
    answers = fight(watch(started_at=100.0), uptime_s=600.0, at=105.0, turns=5, every_s=31.0)
    assert [isinstance(a, Raise) and not a.duplicate for a in answers] == [True] * 5


def test_records_from_before_we_started_are_of_an_earlier_life() -> None:
    machine = watch(started_at=100.0)
    for boot in (5, 10, 15, 20):
        aged, said = spoken(boot, age_s=50.0, uptime_s=1000.0)
        assert machine.own_key_spoke(aged, said, now=110.0) == Raise(boot + 1, duplicate=False)
        machine.raised(make_epoch(boot=boot + 1, random_bits=1))


def test_without_an_introduction_of_the_other_nobody_stops() -> None:
    machine = watch(started_at=100.0)
    for boot in (5, 10, 15, 20):
        aged, _ = spoken(boot)
        assert machine.own_key_spoke(aged, None, now=110.0) == Raise(boot + 1, duplicate=False)
        machine.raised(make_epoch(boot=boot + 1, random_bits=1))


def test_our_own_instance_is_not_another() -> None:
    machine = watch(started_at=100.0)
    for boot in (5, 10, 15, 20):
        answer = machine.own_key_spoke(*spoken(boot, instance=US), now=110.0)
        assert answer == Raise(boot + 1, duplicate=False)
        machine.raised(make_epoch(boot=boot + 1, random_bits=1))


def greeted(
    machine: IdentityWatch, *, uptime_s: float, at: float, turns: int
) -> list[Raise | GiveWay | None]:
    """The other one says hello with a boot counter beyond ours, again and again."""
    answers: list[Raise | GiveWay | None] = []
    boot = 2
    for turn in range(turns):
        epoch = make_epoch(boot=boot, random_bits=5)
        answer = machine.own_key_said_hello(epoch, uptime_s=uptime_s + turn, now=at + turn)
        answers.append(answer)
        if isinstance(answer, Raise):
            machine.raised(make_epoch(boot=answer.boot, random_bits=1))
            boot = answer.boot + 1
    return answers


def test_a_hello_from_an_epoch_that_we_are_beyond_says_nothing() -> None:
    machine = watch(boot=3)
    for epoch in (make_epoch(boot=2, random_bits=9), make_epoch(boot=3, random_bits=0)):
        assert machine.own_key_said_hello(epoch, uptime_s=1.0, now=1.0) is None


def test_hellos_count_like_records() -> None:
    later = greeted(watch(started_at=100.0), uptime_s=60.0, at=105.0, turns=3)
    assert later == [Raise(3, duplicate=False), Raise(5, duplicate=False), GiveWay(62.0)]
    earlier = greeted(watch(started_at=0.0), uptime_s=3.0, at=105.0, turns=3)
    assert earlier == [Raise(3, duplicate=False), Raise(5, duplicate=False), Raise(7, True)]


def test_who_has_only_said_hello_decides_no_tie() -> None:
    for ours in (US, THEM + 1):
        machine = watch(started_at=100.0, instance=ours)
        assert greeted(machine, uptime_s=5.5, at=105.0, turns=3)[-1] == Raise(7, duplicate=True)


def test_who_introduced_itself_before_it_said_hello_decides_a_tie() -> None:
    machine = watch(started_at=100.0)
    assert machine.own_key_spoke(*spoken(2, uptime_s=4.5), now=104.5) == Raise(3, duplicate=False)
    machine.raised(make_epoch(boot=3, random_bits=1))
    epoch = make_epoch(boot=4, random_bits=5)
    answer = machine.own_key_said_hello(epoch, uptime_s=5.0, now=105.0)
    assert answer == Raise(5, duplicate=False)
    machine.raised(make_epoch(boot=5, random_bits=1))
    epoch = make_epoch(boot=6, random_bits=5)
    assert machine.own_key_said_hello(epoch, uptime_s=6.0, now=106.0) == GiveWay(6.0)


def turns(machine: IdentityWatch, instances: list[int], *, every_s: float = 1.0) -> list[bool]:
    told = []
    for number, (old, new) in enumerate(pairwise(instances)):
        told.append(
            machine.peer_spoke(PEER.node_id, old_instance=old, instance=new, now=number * every_s)
        )
    return told


def test_a_peer_that_alternates_three_times_in_a_minute_is_told_once() -> None:
    assert turns(watch(), [1, 2, 1, 2, 1, 2]) == [False, False, True, False, False]


def test_a_peer_that_restarts_often_is_not_two() -> None:
    assert not any(turns(watch(), [1, 2, 3, 4, 5, 6]))


def test_a_peer_that_raises_its_epoch_three_times_in_a_minute_has_a_double() -> None:
    assert turns(watch(), [1, 1, 1, 1]) == [False, False, True]
    assert not any(turns(watch(), [1, 1, 2, 3]))


def test_slow_alternation_is_not_told() -> None:
    assert not any(turns(watch(), [1, 2, 1, 2, 1, 2], every_s=31.0))


def test_after_a_minute_it_is_told_again() -> None:
    machine = watch()
    assert turns(machine, [1, 2, 1, 2] * 30).count(True) == 2
    assert machine.may_tell(ME.node_id, now=1000.0)
    assert not machine.may_tell(ME.node_id, now=1059.0)
    assert machine.may_tell(ME.node_id, now=1060.0)
