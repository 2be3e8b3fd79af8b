from __future__ import annotations

from typing import Any

import pytest

from mreza.config.membership import MembershipConfig
from mreza.config.records import RecordsConfig
from mreza.config.routing import RoutingConfig
from mreza.events import MemberChanged, MemberState, Partitioned, PartitionHealed
from mreza.ids import make_epoch
from mreza.membership.roster import Roster
from mreza.planes.effects import (
    AddressesLearned,
    Announce,
    NodeDoubted,
    NodeLost,
    PeerRestarted,
    RoutesChanged,
)
from mreza.planes.identity_watch import IdentityWatch
from mreza.planes.meaning import GONE, Meaning
from mreza.records.database import Database
from mreza.routing.computation import RouteComputation
from mreza.wire.records import FarewellBody, LinkEntry, LinksBody, LostLink, RecordKind
from tests.support.control_world import MESH, FakeKey, fake_verify, introduction, signed

ME, X, Y = FakeKey("me"), FakeKey("x"), FakeKey("y")


def epoch(boot: int) -> int:
    return make_epoch(boot=boot, random_bits=0)


class Reader:
    """A meaning without a plane around it."""

    def __init__(self) -> None:
        self.effects: list[Any] = []
        self.roster = Roster(me=ME.node_id, config=MembershipConfig())
        self.computation = RouteComputation(me=ME.node_id, config=RoutingConfig())
        self.database = Database(
            mesh=MESH, me=ME.node_id, verify=fake_verify, config=RecordsConfig()
        )
        self.meaning = Meaning(
            me=ME.node_id,
            database=self.database,
            roster=self.roster,
            computation=self.computation,
            watch=IdentityWatch(epoch=epoch(1), instance=1, started_at=0.0),
            effect=self.effects.append,
        )
        self.meet(ME)

    def meet(self, key: FakeKey, *, boot: int = 1, now: float = 0.0, **more: Any) -> None:
        record = signed(key, RecordKind.INTRODUCTION, b"", epoch=epoch(boot))
        self.meaning.apply(record, introduction(key, **more), now=now, wall=now)

    def links(
        self, key: FakeKey, *peers: FakeKey, boot: int = 1, lost: tuple[LostLink, ...] = ()
    ) -> None:
        record = signed(key, RecordKind.LINKS, b"", epoch=epoch(boot))
        body = LinksBody(tuple(LinkEntry(peer.node_id, 96) for peer in peers), lost)
        self.database.offer(record, age_s=0, public_key=key.public, now=0)
        self.meaning.apply(record, body, now=0.0, wall=0.0)

    def settle(self, now: float = 0.0) -> list[Any]:
        self.roster.advance(now=now)
        self.meaning.settle(now=now, wall=now)
        effects = list(self.effects)
        self.effects.clear()
        return effects


@pytest.fixture
def reader() -> Reader:
    return Reader()


def test_links_of_both_ends_make_a_route_and_a_living_member(reader: Reader) -> None:
    reader.meet(X)
    reader.links(ME, X)
    assert reader.settle() == []
    reader.links(X, ME)
    routes_changed, announced = reader.settle()
    assert routes_changed == RoutesChanged()
    assert isinstance(announced, Announce)
    assert reader.roster.members[X.node_id].state is MemberState.ALIVE


def test_addresses_are_learned_when_they_are_news(reader: Reader) -> None:
    reader.meet(X, addresses=("h:1",))
    reader.meet(X, addresses=("h:1",), offers=("a",))
    reader.meet(X, addresses=("h:2",))
    reader.meet(X, addresses=())
    reader.meet(ME, addresses=("me:1",))
    learned = [e.addresses for e in reader.effects if isinstance(e, AddressesLearned)]
    assert learned == [("h:1",), ("h:2",)]


def test_a_word_that_a_process_is_gone_counts_for_its_epoch_only(reader: Reader) -> None:
    for key in (X, Y):
        reader.meet(key, boot=4)
    reader.links(ME, X)
    reader.links(X, ME, boot=4, lost=(LostLink(Y.node_id, epoch(3), GONE),))
    reader.settle(now=0.0)
    reader.settle(now=2.0)
    assert reader.roster.members[Y.node_id].state is MemberState.SUSPECT
    reader.links(X, ME, boot=4, lost=(LostLink(Y.node_id, epoch(4), "reset"),))
    reader.settle(now=2.0)
    assert reader.roster.members[Y.node_id].state is MemberState.SUSPECT
    reader.links(X, ME, boot=4, lost=(LostLink(Y.node_id, epoch(4), GONE),))
    assert NodeLost(Y.node_id, GONE) in reader.settle(now=2.0)


def test_the_word_of_who_cannot_be_reached_does_not_count(reader: Reader) -> None:
    for key in (X, Y):
        reader.meet(key)
    reader.links(X, lost=(LostLink(Y.node_id, epoch(1), GONE),))
    reader.settle(now=0.0)
    reader.settle(now=2.0)
    assert reader.roster.members[Y.node_id].state is MemberState.SUSPECT


def test_a_member_is_doubted_as_long_as_it_is_suspect(reader: Reader) -> None:
    reader.meet(X)
    reader.links(ME, X)
    reader.links(X, ME)
    assert not any(isinstance(effect, NodeDoubted) for effect in reader.settle(now=0.0))
    reader.links(ME)
    assert NodeDoubted(X.node_id, "suspect (unreachable)") in reader.settle(now=20.0)
    reader.links(ME, X)
    assert NodeDoubted(X.node_id, "") in reader.settle(now=25.0)


def test_a_loss_that_is_taken_back_counts_no_more(reader: Reader) -> None:
    for key in (X, Y):
        reader.meet(key)
    reader.links(ME, X)
    reader.links(X, ME, lost=(LostLink(Y.node_id, epoch(1), GONE),))
    reader.settle(now=0.0)
    reader.links(X, ME)
    reader.settle(now=0.5)
    reader.settle(now=2.0)
    assert reader.roster.members[Y.node_id].state is MemberState.SUSPECT


def test_our_own_goodbye_does_not_make_us_leave(reader: Reader) -> None:
    reader.meaning.apply(
        signed(ME, RecordKind.FAREWELL, b""), FarewellBody("bye"), now=0.0, wall=0.0
    )
    assert reader.settle() == []
    assert reader.roster.members[ME.node_id].state is MemberState.ALIVE


def test_unknown_kinds_mean_nothing(reader: Reader) -> None:
    reader.meaning.apply(signed(X, 77, b""), None, now=0.0, wall=0.0)
    assert reader.settle() == []


def test_what_expires_leaves_routes_and_members(reader: Reader) -> None:
    reader.meet(X)
    reader.links(ME, X)
    reader.links(X, ME)
    reader.settle()
    for kind in (RecordKind.LINKS, RecordKind.INTRODUCTION, RecordKind.FAREWELL):
        reader.meaning.expired(signed(X, kind, b""))
    assert RoutesChanged() in reader.settle(now=20.0)
    assert X.node_id not in reader.meaning.introductions


def test_a_new_process_has_no_links_until_it_says_so(reader: Reader) -> None:
    reader.meet(X, instance=1)
    reader.links(ME, X)
    reader.links(X, ME)
    reader.settle()
    reader.meet(X, instance=2, boot=2)
    assert PeerRestarted(X.node_id, epoch(2), same_process=False) in reader.settle(now=20.0)
    assert X.node_id not in reader.computation.router.routes


def test_links_that_come_before_their_introduction_stay(reader: Reader) -> None:
    reader.meet(X, instance=1)
    reader.links(ME, X)
    reader.links(X, ME, boot=2)
    reader.meet(X, instance=2, boot=2)
    reader.settle()
    assert X.node_id in reader.computation.router.routes


def test_members_that_went_with_each_other_are_a_partition_and_not_so_many_failures(
    reader: Reader,
) -> None:
    reader.meet(X)
    reader.meet(Y)
    reader.links(ME, X)
    reader.links(X, ME, Y)
    reader.links(Y, X)
    reader.settle(0.0)
    reader.links(ME)
    reader.settle(20.0)
    assert reader.meaning.next_deadline() == 23.0
    (announcement,) = reader.settle(23.0)
    event = announcement.event
    assert isinstance(event, Partitioned)
    assert event.ours == (ME.node_id,)
    assert set(event.theirs) == {X.node_id, Y.node_id}
    assert event.since_s == 3.0
    announced = [effect.event for effect in reader.settle(60.0) if isinstance(effect, Announce)]
    failed = [event for event in announced if isinstance(event, MemberChanged)]
    assert len(announced) == len(failed)
    assert [(event.new, event.cause) for event in failed] == [(MemberState.FAILED, "partition")] * 2
    reader.links(ME, X)
    events = [effect.event for effect in reader.settle(90.0) if isinstance(effect, Announce)]
    (healed,) = [event for event in events if isinstance(event, PartitionHealed)]
    assert (healed.missing, healed.lasted_s) == ((), 70.0)
    assert reader.meaning.partitions == ()
