from __future__ import annotations

import pytest

from mreza.config.membership import MembershipConfig
from mreza.events import MemberState
from mreza.membership import roster as roster_module
from mreza.membership.roster import Roster
from tests.support.control_world import FakeKey, introduction

ME, X, Y = FakeKey("me"), FakeKey("x"), FakeKey("y")
ALIVE, SUSPECT, FAILED, LEFT = MemberState


@pytest.fixture
def roster() -> Roster:
    roster = Roster(me=ME.node_id, config=MembershipConfig())
    meet(roster, ME)
    roster.drain()
    return roster


def meet(roster: Roster, key: FakeKey, *, epoch: int = 1, now: float = 0.0) -> None:
    roster.introduced(key.node_id, introduction(key, name="n"), epoch=epoch, now=now)


def reach(roster: Roster, *keys: FakeKey, gone: tuple[FakeKey, ...] = (), now: float) -> None:
    roster.reachability(
        reachable=[key.node_id for key in keys], gone=[key.node_id for key in gone], now=now
    )


def changes(roster: Roster) -> list[tuple[MemberState | None, MemberState, str]]:
    return [(t.old, t.member.state, t.member.cause) for t in roster.drain()]


def test_this_node_is_alive_from_its_introduction_on() -> None:
    roster = Roster(me=ME.node_id, config=MembershipConfig())
    meet(roster, ME)
    assert changes(roster) == [(None, ALIVE, "joined")]


def test_a_new_member_is_announced_when_it_can_be_reached(roster: Roster) -> None:
    meet(roster, X)
    assert roster.members[X.node_id].state is SUSPECT
    assert changes(roster) == []
    reach(roster, X, now=1.0)
    assert changes(roster) == [(None, ALIVE, "joined")]
    assert roster.members[X.node_id].since == 1.0
    reach(roster, X, now=2.0)
    assert changes(roster) == []


def test_a_new_member_that_never_can_be_reached_fails_in_the_end(roster: Roster) -> None:
    meet(roster, X)
    assert roster.next_deadline() == 8.0
    roster.advance(now=8.0)
    assert changes(roster) == [(None, FAILED, "unreachable")]
    assert roster.next_deadline() is None


def test_an_unreachable_member_is_suspect_then_failed(roster: Roster) -> None:
    meet(roster, X)
    reach(roster, X, now=0.0)
    reach(roster, now=10.0)
    assert roster.undecided == (X.node_id,)
    roster.advance(now=17.9)
    assert roster.members[X.node_id].state is SUSPECT
    roster.advance(now=18.0)
    assert changes(roster) == [
        (None, ALIVE, "joined"),
        (ALIVE, SUSPECT, "unreachable"),
        (SUSPECT, FAILED, "unreachable"),
    ]
    reach(roster, X, now=20.0)
    assert changes(roster) == [(FAILED, ALIVE, "returned")]


def test_a_suspect_that_is_reached_again_is_alive(roster: Roster) -> None:
    meet(roster, X)
    reach(roster, X, now=0.0)
    reach(roster, now=10.0)
    reach(roster, X, now=11.0)
    assert changes(roster)[-1] == (SUSPECT, ALIVE, "reachable")
    assert roster.undecided == ()


def test_a_member_whose_process_is_gone_fails_after_one_second(roster: Roster) -> None:
    meet(roster, X)
    reach(roster, X, now=0.0)
    reach(roster, gone=(X,), now=10.0)
    assert roster.next_deadline() == 11.0
    roster.advance(now=11.0)
    assert changes(roster)[-1] == (SUSPECT, FAILED, "gone")


def test_a_late_word_that_it_is_gone_ends_the_suspicion_at_once(roster: Roster) -> None:
    meet(roster, X)
    reach(roster, X, now=0.0)
    reach(roster, now=10.0)
    reach(roster, gone=(X,), now=14.0)
    assert changes(roster)[-1] == (SUSPECT, FAILED, "gone")


def test_a_reachable_member_is_alive_whatever_is_said_of_it(roster: Roster) -> None:
    meet(roster, X)
    reach(roster, X, gone=(X,), now=0.0)
    assert changes(roster) == [(None, ALIVE, "joined")]


def test_who_says_goodbye_has_left_until_a_newer_epoch(roster: Roster) -> None:
    meet(roster, X)
    reach(roster, X, now=0.0)
    roster.farewell(X.node_id, epoch=1, reason="maintenance", now=1.0)
    assert changes(roster)[-1] == (ALIVE, LEFT, "maintenance")
    reach(roster, X, now=2.0)
    meet(roster, X, epoch=1, now=3.0)
    assert changes(roster) == []
    reach(roster, now=4.0)
    meet(roster, X, epoch=2, now=5.0)
    assert changes(roster) == [], "a newer epoch that cannot be reached is no return yet"
    reach(roster, X, now=6.0)
    assert changes(roster) == [(LEFT, ALIVE, "returned")]


def test_an_old_goodbye_does_not_touch_a_newer_epoch(roster: Roster) -> None:
    meet(roster, X, epoch=5)
    reach(roster, X, now=0.0)
    roster.farewell(X.node_id, epoch=4, reason="", now=1.0)
    assert roster.members[X.node_id].state is ALIVE


def test_a_goodbye_may_come_before_its_introduction(roster: Roster) -> None:
    roster.farewell(X.node_id, epoch=1, reason="", now=0.0)
    meet(roster, X)
    assert changes(roster) == [(None, LEFT, "left")]


def test_a_failed_member_may_turn_out_to_have_left(roster: Roster) -> None:
    meet(roster, X)
    roster.advance(now=8.0)
    roster.farewell(X.node_id, epoch=1, reason="", now=9.0)
    assert changes(roster)[-1] == (FAILED, LEFT, "left")


def test_who_left_is_forgotten_with_its_introduction_and_who_failed_is_not(roster: Roster) -> None:
    meet(roster, X)
    meet(roster, Y)
    roster.farewell(X.node_id, epoch=1, reason="", now=0.0)
    roster.advance(now=8.0)
    before = roster.version
    for key in (X, Y, FakeKey("stranger")):
        roster.expired(key.node_id)
    assert list(roster.members) == [ME.node_id, Y.node_id]
    assert roster.version > before


def test_a_full_roster_forgets_who_departed_first(
    roster: Roster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roster_module, "MEMBERS_MAX", 3)
    meet(roster, X)
    meet(roster, Y, now=1.0)
    reach(roster, X, Y, now=1.0)
    meet(roster, FakeKey("z"), now=2.0)
    assert len(roster.members) == 4, "nobody who is here is forgotten"
    reach(roster, X, now=3.0)
    roster.advance(now=11.0)
    meet(roster, FakeKey("late"), now=12.0)
    assert Y.node_id not in roster.members or FakeKey("z").node_id not in roster.members
    assert X.node_id in roster.members


def test_details_follow_the_newest_introduction(roster: Roster) -> None:
    meet(roster, X)
    reach(roster, X, now=0.0)
    before = roster.version
    roster.introduced(X.node_id, introduction(X, name="new", offers=("parse",)), epoch=2, now=5.0)
    member = roster.members[X.node_id]
    assert (member.name, member.offers, member.epoch, member.since) == ("new", ("parse",), 2, 0.0)
    assert roster.version > before


def test_who_went_with_a_side_of_the_mesh_failed_by_the_partition(roster: Roster) -> None:
    meet(roster, X)
    meet(roster, Y)
    reach(roster, X, Y, now=0.0)
    roster.reachability(reachable=[], gone=[Y.node_id], parted=[X.node_id, Y.node_id], now=1.0)
    roster.drain()
    roster.advance(now=60.0)
    assert changes(roster) == [(SUSPECT, FAILED, "partition"), (SUSPECT, FAILED, "gone")]
