"""Eight real nodes with default settings on one LAN: all know who is there, whatever happens."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.support.netns import Net
from tests.support.netns.members import APP, Member, all_see_all, known_to, wait_until

pytestmark = pytest.mark.timeout(240)
LONG_S = 60.0


def test_nodes_that_know_nothing_of_each_other_meet_by_beacons(own_net: Net) -> None:
    hosts = own_net.more_hosts(["first", "second"])
    own_net.lan("lan", hosts)
    first = hosts[0].up(app=APP)
    second = Member(hosts[1], hosts[1].up(app=APP, env={"NETNS_FIRST": "first"}))
    wait_until(lambda: second.events("first_answer"), "the first message is answered")
    assert first.alive() == {"first", "second"}


def test_a_killed_node_is_known_to_all_and_comes_back_as_itself(
    lan_members: list[Member],
) -> None:
    *others, victim = lan_members
    old = victim.process.node_id
    killed = time.monotonic()
    victim.process.kill()
    known_to(others, victim.name, "suspect", since=killed, timeout_s=LONG_S)
    known_to(others, victim.name, "failed", since=killed, timeout_s=LONG_S)
    victim.process = victim.host.up(app=APP)
    assert victim.process.node_id == old
    all_see_all(lan_members)


def test_leaving_and_joining_are_known_to_all(lan_members: list[Member]) -> None:
    *others, one = lan_members
    left = time.monotonic()
    one.leave()
    known_to(others, one.name, "left", since=left)
    assert one.process.wait() == 0
    started = time.monotonic()
    one.process = one.host.up(app=APP)
    known_to(others, one.name, "alive", since=started)
    all_see_all(lan_members)


def test_halves_of_a_lan_go_on_and_are_one_mesh_when_it_heals(
    net: Net, lan_members: list[Member]
) -> None:
    half = len(lan_members) // 2
    ours, theirs = lan_members[:half], lan_members[half:]
    (lan,) = net.lans
    split = lan.split([member.host for member in theirs])
    for here, there in ((ours, theirs), (theirs, ours)):
        for member in there:
            known_to(here, member.name, "suspect", since=split, timeout_s=LONG_S)
    for side in (ours, theirs):
        names = {member.name for member in side}
        for member in side:
            member.process.sees_just(*names)
            assert member.ask("ask_work") in names
    lan.heal()
    all_see_all(lan_members, timeout_s=LONG_S)


@pytest.fixture
def frozen(lan_members: list[Member]) -> Callable[[Member, float], float]:
    def freeze(member: Member, seconds: float) -> float:
        member.process.freeze()
        try:
            time.sleep(seconds)  # not a wait for something: it stands still for this long
        finally:
            member.process.thaw()
        return time.monotonic()

    return freeze


@pytest.mark.parametrize("seconds", [2.0, 5.0])
def test_a_node_that_stood_still_briefly_never_failed(
    lan_members: list[Member], frozen: Callable[[Member, float], float], seconds: float
) -> None:
    begun = time.monotonic()
    frozen(lan_members[2], seconds)
    all_see_all(lan_members)
    for member in lan_members:
        assert not member.events("member_changed", since=begun, new="failed")


def test_a_node_that_stood_still_for_long_failed_once_and_is_back(
    lan_members: list[Member], frozen: Callable[[Member, float], float]
) -> None:
    *others, one = lan_members
    begun = time.monotonic()
    frozen(one, 15.0)
    all_see_all(lan_members)
    for member in others:
        failed = member.events("member_changed", since=begun, new="failed")
        assert [event.fields["label"] for event in failed] == [one.name]
