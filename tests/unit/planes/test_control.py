from __future__ import annotations

import msgspec
import pytest

from mreza.errors import CertificateRejected, DecodeError, DuplicateIdentity
from mreza.events import (
    DuplicateIdentityFound,
    EpochRaised,
    MemberChanged,
    MemberState,
)
from mreza.ids import boot_of, make_epoch
from mreza.planes.effects import (
    AddressesLearned,
    Dropped,
    NodeLost,
    Offence,
    PeerRestarted,
    RaiseEpoch,
    RoutesChanged,
    SendFrame,
    Stop,
)
from mreza.wire.frame import FrameType
from mreza.wire.records import (
    INTRODUCTION,
    LINKS,
    RECORDS,
    AgedRecord,
    LinkEntry,
    LinksBody,
    Prekey,
    Record,
    RecordKind,
    RecordsBody,
)
from tests.support.control_world import ControlWorld, FakeKey, introduction, signed

FACT = 77
HIGH = make_epoch(boot=9, random_bits=0)


@pytest.fixture
def world() -> ControlWorld:
    return ControlWorld(seed=7)


def states(world: ControlWorld, name: str) -> dict[str, MemberState]:
    return {m.name: m.state for m in world.nodes[name].plane.members.values()}


def flood(world: ControlWorld, to: str, frm: str, *records: Record, age_s: float = 0.0) -> None:
    body = RECORDS.encode(RecordsBody(tuple(AgedRecord(record, age_s) for record in records)))
    world.inject(to, frm, FrameType.RECORDS, body)


def intro(key: FakeKey, *, epoch: int = HIGH, sequence: int = 1, **more: object) -> Record:
    body = INTRODUCTION.encode(introduction(key, **more))  # type: ignore[arg-type]
    return signed(key, RecordKind.INTRODUCTION, body, epoch=epoch, sequence=sequence)


def links(key: FakeKey, *peers: FakeKey, epoch: int = HIGH, sequence: int = 1) -> Record:
    body = LINKS.encode(LinksBody(tuple(LinkEntry(peer.node_id, 96) for peer in peers)))
    return signed(key, RecordKind.LINKS, body, epoch=epoch, sequence=sequence)


# Routes and members


def test_three_in_a_line_know_and_reach_each_other(world: ControlWorld) -> None:
    a, b, c = world.line("a", "b", "c")
    assert a.plane.path_to(c.id) == (a.id, b.id, c.id)
    assert a.plane.routes[c.id].hops == 2
    for name in "abc":
        assert set(states(world, name).values()) == {MemberState.ALIVE}
    assert a.plane.public_key_of(c.id) == c.key.public
    assert a.plane.epoch_of(c.id) == c.plane.epoch


def test_the_first_route_change_is_computed_at_once(world: ControlWorld) -> None:
    a, b = world.grow("ab")
    world.link("a", "b")
    # One way for who they are, one for their links.
    world.run(0.0101)
    assert b.id in a.plane.routes
    assert len(a.heard(RoutesChanged)) == 1


def test_a_link_that_only_one_end_claims_carries_nothing(world: ControlWorld) -> None:
    a, _ = world.line("a", "b")
    liar = FakeKey("liar")
    flood(world, "a", "b", intro(liar), links(liar, a.key))
    world.run(1.0)
    assert liar.node_id in a.plane.members
    assert liar.node_id not in a.plane.routes


def test_who_cannot_be_reached_is_suspect_then_failed_then_back(world: ControlWorld) -> None:
    a, _, c = world.line("a", "b", "c")
    world.cut("b", "c")
    world.run(1.0)
    assert states(world, "a")["c"] is MemberState.SUSPECT
    world.run(8.0)
    assert states(world, "a")["c"] is MemberState.FAILED
    assert a.heard(NodeLost) == [NodeLost(c.id, "unreachable")]
    world.link("b", "c")
    world.run(1.0)
    assert states(world, "a")["c"] is MemberState.ALIVE
    assert [(e.old, e.new, e.cause) for e in a.heard(MemberChanged) if e.node == c.id] == [
        (None, "alive", "joined"),
        ("alive", "suspect", "unreachable"),
        ("suspect", "failed", "unreachable"),
        ("failed", "alive", "returned"),
    ]


def test_a_process_that_a_neighbor_saw_gone_fails_in_a_second(world: ControlWorld) -> None:
    a, b, *_ = world.grow("abcd")
    for ends in ("ab", "bd", "dc", "cb"):
        world.link(*ends)
    world.run(11.0)
    world.crash("c")
    world.run(1.4)
    assert states(world, "a")["c"] is MemberState.FAILED
    assert a.heard(NodeLost) == [NodeLost(world.nodes["c"].id, "gone")]
    assert "gone" not in [lost.cause for lost in a.heard(NodeLost) if lost.node == b.id]


def test_a_signed_goodbye_makes_a_member_left_and_nothing_brings_it_back(
    world: ControlWorld,
) -> None:
    a, _, c = world.line("a", "b", "c")
    world.do("c", lambda plane: plane.farewell("done here", now=world.now))
    world.run(0.1)
    assert states(world, "a")["c"] is MemberState.LEFT
    assert a.heard(NodeLost) == [NodeLost(c.id, "done here")]
    world.crash("c", gone=False)
    world.run(20.0)
    assert states(world, "a")["c"] is MemberState.LEFT
    assert len(a.heard(NodeLost)) == 1
    world.restart("c")
    world.link("b", "c")
    world.run(1.0)
    assert states(world, "a")["c"] is MemberState.ALIVE


def test_a_new_member_hears_of_goodbyes_it_missed(world: ControlWorld) -> None:
    world.line("a", "b")
    world.do("b", lambda plane: plane.farewell("", now=world.now))
    world.run(0.1)
    world.crash("b", gone=False)
    world.node("late")
    world.link("a", "late")
    world.run(1.0)
    assert states(world, "late")["b"] is MemberState.LEFT


def test_records_of_the_unreachable_are_not_offered_to_newcomers(world: ControlWorld) -> None:
    a, b = world.line("a", "b")
    world.crash("b")
    world.run(10.0)
    late = world.node("late")
    world.link("a", "late")
    world.run(1.0)
    assert b.id not in late.plane.members
    assert a.plane.newest_introduction(b.id) is not None, "kept"


def test_records_of_the_dead_are_dropped_at_900_s(world: ControlWorld) -> None:
    a, b = world.line("a", "b")
    world.crash("b")
    world.run(1000.0)
    assert a.plane.newest_introduction(b.id) is None
    assert a.plane.public_key_of(b.id) is None
    assert states(world, "a") == {"a": MemberState.ALIVE, "b": MemberState.FAILED}
    world.restart("b")
    world.link("a", "b")
    world.run(1.0)
    assert states(world, "a")["b"] is MemberState.ALIVE


def test_who_lives_is_refreshed_and_stays(world: ControlWorld) -> None:
    a, _, c = world.line("a", "b", "c")
    world.run(3000.0)
    assert states(world, "a") == dict.fromkeys(("a", "b", "c"), MemberState.ALIVE)
    assert a.plane.path_to(c.id)
    newest = a.plane.newest_introduction(c.id)
    assert newest is not None
    assert newest.age_s < 330
    assert newest.record.sequence >= 10


def test_a_slower_link_is_told_and_used_less(world: ControlWorld) -> None:
    a, b, c = world.grow("abc")
    for ends in ("ab", "bc", "ac"):
        world.link(*ends)
    world.run(20.0)
    assert a.plane.path_to(c.id) == (a.id, c.id)
    world.do("a", lambda plane: plane.link_measured(c.id, rtt_s=0.011, now=world.now))
    assert a.plane.routes[c.id].cost == 96, "too little to tell"
    world.do("a", lambda plane: plane.link_measured(c.id, rtt_s=0.200, now=world.now))
    world.run(1.0)
    assert a.plane.path_to(c.id) == (a.id, b.id, c.id)
    assert c.plane.path_to(a.id) == (c.id, b.id, a.id)


# Records in


def test_an_older_record_is_not_accepted_and_answered_with_ours(world: ControlWorld) -> None:
    a, b = world.line("a", "b")
    x = FakeKey("x")
    flood(world, "a", "b", intro(x, sequence=5, name="new"))
    world.run(1.0)
    frames: list[Record] = []
    a.plane.receive(
        b.id,
        FrameType.RECORDS,
        RECORDS.encode(RecordsBody((AgedRecord(intro(x, sequence=4, name="old"), 0.0),))),
        now=world.now,
    )
    a.plane.advance(now=world.now)
    for effect in a.plane.drain():
        if isinstance(effect, SendFrame) and effect.kind == FrameType.RECORDS:
            frames += [aged.record for aged in RECORDS.decode(bytes(effect.body)).records]
    assert frames == [intro(x, sequence=5, name="new")]
    assert a.plane.members[x.node_id].name == "new"


def test_a_record_is_flooded_once_over_each_link(world: ControlWorld) -> None:
    world.grow("abcd")
    for ends in ("ab", "bc", "cd", "da", "ac", "bd"):
        world.link(*ends)
    world.run(5.0)
    before = sum(node.frames_sent for node in world.nodes.values())
    world.do("a", lambda plane: plane.introduce(offers=("work",), now=world.now))
    world.run(1.0)
    frames = sum(node.frames_sent for node in world.nodes.values()) - before
    assert frames <= 9, "3 from its origin, at most 2 from each other node"
    for node in world.nodes.values():
        assert node.plane.offering("work") == (world.nodes["a"].id,)


def test_a_wrong_signature_costs_the_neighbor_its_link(world: ControlWorld) -> None:
    a, b = world.line("a", "b")
    forged = msgspec.structs.replace(intro(FakeKey("x")), signature=bytes(64))
    innocent = [intro(FakeKey(f"y{number}")) for number in range(10)]
    flood(world, "a", "b", forged, *innocent)
    world.run(1.0)
    (offence,) = a.heard(Offence)
    assert (offence.peer, offence.code) == (b.id, "malformed")
    assert "bad_signature" in offence.text
    known = [record for record in innocent if record.origin in a.plane.members]
    assert known == innocent[:5], "what was not checked in the same slice is dropped unread"


def test_a_forged_record_without_a_peer_is_nobodys_offence(world: ControlWorld) -> None:
    a = world.node("a")
    forged = msgspec.structs.replace(intro(FakeKey("x")), signature=bytes(64))
    world.offer("a", None, AgedRecord(forged, 0.0))
    world.run(0.1)
    assert a.heard(Offence) == []
    assert a.heard(Dropped) == [Dropped("record_bad_signature")]


@pytest.mark.parametrize("code", ["expired", "not_yet_valid", "unknown_authority"])
def test_a_certificate_that_we_do_not_accept_is_not_the_neighbors_fault(
    world: ControlWorld, code: str
) -> None:
    a, _ = world.line("a", "b")
    x = FakeKey("x")
    world.anchors.rejected[x.public] = code
    flood(world, "a", "b", intro(x))
    world.run(1.0)
    assert a.heard(Offence) == []
    assert Dropped(f"record_certificate_{code}") in a.heard(Dropped)
    assert x.node_id not in a.plane.members


def test_nobody_is_introduced_with_the_certificate_of_another(world: ControlWorld) -> None:
    a, _ = world.line("a", "b")
    x, y = FakeKey("x"), FakeKey("y")
    body = INTRODUCTION.encode(introduction(y))
    flood(world, "a", "b", signed(x, RecordKind.INTRODUCTION, body))
    world.run(1.0)
    assert "certificate_id_mismatch" in a.heard(Offence)[0].text


@pytest.mark.parametrize("kind", [FrameType.RECORDS, FrameType.DIGEST])
def test_malformed_frames_cost_the_link(world: ControlWorld, kind: int) -> None:
    a, b = world.line("a", "b")
    world.inject("a", "b", kind, b"\xc1 hostile")
    assert [offence.peer for offence in a.heard(Offence)] == [b.id]


@pytest.mark.parametrize("kind", list(RecordKind)[:3])
def test_a_signed_body_that_cannot_be_read_is_dropped(world: ControlWorld, kind: int) -> None:
    a, _ = world.line("a", "b")
    x = FakeKey("x")
    flood(world, "a", "b", signed(x, kind, b"\xc1"))
    world.run(1.0)
    assert a.heard(Dropped) == [Dropped("record_malformed")]
    assert a.heard(Offence) == []


def test_records_of_an_unknown_origin_wait_for_its_introduction(world: ControlWorld) -> None:
    a, _ = world.line("a", "b")
    x = FakeKey("x")
    flood(world, "a", "b", signed(x, FACT, b"fact", epoch=HIGH))
    world.run(1.0)
    assert a.plane.database.get(x.node_id, FACT) is None
    flood(world, "a", "b", intro(x))
    world.run(0.1)
    assert a.plane.database.get(x.node_id, FACT) is not None


def test_unknown_kinds_are_carried(world: ControlWorld) -> None:
    a, b, c = world.line("a", "b", "c")
    fact = signed(a.key, FACT, b"from the future", epoch=a.plane.epoch, slot=b"k")
    flood(world, "b", "a", fact)
    world.run(1.0)
    assert c.plane.database.get(a.id, FACT, b"k") == fact
    world.node("d")
    world.link("c", "d")
    world.run(1.0)
    assert world.nodes["d"].plane.database.get(a.id, FACT, b"k") == fact
    assert b.plane.database.get(a.id, FACT, b"k") == fact


def test_signatures_are_checked_in_slices(world: ControlWorld) -> None:
    a, b = world.line("a", "b")
    origins = [FakeKey(f"n{number}") for number in range(40)]
    body = RECORDS.encode(RecordsBody(tuple(AgedRecord(intro(x), 0.0) for x in origins)))
    a.plane.receive(b.id, FrameType.RECORDS, body, now=world.now)
    known = []
    while (deadline := a.plane.next_deadline()) is not None and deadline <= world.now:
        a.plane.advance(now=world.now)
        known.append(len(a.plane.members) - 2)
    assert known[0] == 6, "a chain and a signature cost as much as five: 30 a turn"
    assert known[-1] == 40


def test_a_storm_of_changes_is_coalesced_to_five_a_second(world: ControlWorld) -> None:
    a, _, c = world.line("a", "b", "c")
    x = FakeKey("x")
    flood(world, "a", "b", intro(x))
    world.run(5.0)
    for sequence in range(2, 202):
        flood(world, "a", "b", intro(x, sequence=sequence, name=str(sequence)))
        world.run(0.01)
    world.run(1.0)
    assert a.plane.members[x.node_id].name == "201", "the last word counts"
    a.forget_effects()
    accepted = c.plane.database.get(x.node_id, RecordKind.INTRODUCTION)
    assert accepted is None or accepted.sequence == 201


def test_equivocation_ends_alike_everywhere_and_is_kept_as_proof(world: ControlWorld) -> None:
    a, b, c = world.line("a", "b", "c")
    x = FakeKey("x")
    world.offer("a", None, AgedRecord(intro(x, name="one"), 0.0))
    world.offer("c", None, AgedRecord(intro(x, name="two"), 0.0))
    world.run(60.0)
    kept = {node.plane.members[x.node_id].name for node in (a, b, c)}
    assert len(kept) == 1
    assert b.plane.database.proofs
    assert b.heard(Dropped) == [Dropped("equivocation")]


def test_too_much_at_once_is_dropped_counted_and_healed(
    world: ControlWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mreza.planes.backlog.BACKLOG_MAX", 10)
    a, b = world.line("a", "b")
    body = RecordsBody(tuple(AgedRecord(intro(FakeKey(f"n{n}")), 0.0) for n in range(15)))
    a.plane.receive(b.id, FrameType.RECORDS, RECORDS.encode(body), now=world.now)
    world.do("a", lambda plane: plane.advance(now=world.now))
    assert a.heard(Dropped) == [Dropped("records_backlog", 5)]


def test_a_dropped_frame_is_made_up_for(world: ControlWorld) -> None:
    a, b = world.line("a", "b")
    world.links.clear()
    world.do("a", lambda plane: plane.introduce(offers=("x",), now=world.now))
    world.links = {("a", "b"): 99, ("b", "a"): 99}
    world.run(0.1)
    assert b.plane.offering("x") == ()
    world.do("a", lambda plane: plane.frame_dropped(b.id, now=world.now))
    world.run(1.1)
    assert b.plane.offering("x") == (a.id,)


# What we say


def test_a_peer_gets_who_we_are_and_our_links_at_once(world: ControlWorld) -> None:
    a, b = world.grow("ab")
    a.plane.link_up(b.id, peer_epoch=b.plane.epoch, rtt_s=0.001, now=0.0)
    frames = [e for e in a.plane.drain() if isinstance(e, SendFrame)]
    bodies = [RECORDS.decode(bytes(f.body)) for f in frames if f.kind == FrameType.RECORDS]
    kinds = [aged.record.kind for body in bodies for aged in body.records]
    assert kinds == [RecordKind.INTRODUCTION, RecordKind.LINKS]
    assert {frame.peer for frame in frames} == {b.id}


def test_what_changes_about_us_is_told(world: ControlWorld) -> None:
    a, b = world.line("a", "b")
    prekey = Prekey(2, b"k" * 32)
    world.do(
        "a",
        lambda plane: plane.introduce(
            addresses=("10.0.0.1:7467",),
            offers=("work",),
            prekeys=(prekey,),
            authorities=(bytes(16),),
            now=world.now,
        ),
    )
    world.run(0.1)
    assert b.plane.prekey_of(a.id) == prekey
    assert b.plane.members[a.id].authorities == (bytes(16),)
    assert b.heard(AddressesLearned) == [AddressesLearned(a.id, ("10.0.0.1:7467",))]
    assert a.plane.offering("work") == b.plane.offering("work") == (a.id,)
    sent = a.frames_sent
    world.do("a", lambda plane: plane.introduce(offers=("work",), now=world.now))
    assert a.frames_sent == sent, "nothing new"


def test_more_than_fits_is_refused_before_it_is_signed(world: ControlWorld) -> None:
    a = world.node("a")
    with pytest.raises(DecodeError):
        a.plane.introduce(offers=tuple(str(n) for n in range(1000)), now=0.0)
    assert a.plane.members[a.id].offers == ()


def test_a_node_with_a_rejected_certificate_does_not_start(world: ControlWorld) -> None:
    world.anchors.rejected[FakeKey("a").public] = "expired"
    with pytest.raises(CertificateRejected):
        world.node("a")


def test_the_uptime_is_the_one_at_signing(world: ControlWorld) -> None:
    a, b = world.line("a", "b")
    world.run(100.0)
    world.do("a", lambda plane: plane.introduce(offers=("x",), now=world.now))
    world.run(0.1)
    said = b.plane.introduction_of(a.id)
    assert said is not None
    assert said.uptime_s == pytest.approx(101.0)


# One identity, one process


def test_a_restart_is_told_from_a_raised_epoch(world: ControlWorld) -> None:
    a, b = world.line("a", "b")
    world.do("b", lambda plane: plane.epoch_raised(make_epoch(boot=5, random_bits=1), now=1.0))
    b.boot = 5
    world.run(1.0)
    assert a.heard(PeerRestarted) == [PeerRestarted(b.id, b.plane.epoch, same_process=True)]
    assert b.id in a.plane.routes
    assert b.heard(EpochRaised)[0].epoch == b.plane.epoch
    world.crash("b", gone=False)
    again = world.restart("b")
    world.link("a", "b")
    world.run(1.0)
    assert a.heard(PeerRestarted)[1:] == [
        PeerRestarted(b.id, again.plane.epoch, same_process=False)
    ]


def test_links_of_a_former_life_are_not_used(world: ControlWorld) -> None:
    a, b, c = world.line("a", "b", "c")
    b.obeys = False
    x = FakeKey("x")
    flood(world, "a", "b", intro(x, instance=1), links(x, b.key))
    flood(world, "a", "b", links(b.key, a.key, c.key, x, epoch=b.plane.epoch, sequence=1 << 40))
    world.run(10.0)
    assert x.node_id in a.plane.routes
    newer = make_epoch(boot=10, random_bits=0)
    flood(world, "a", "b", intro(x, instance=2, epoch=newer))
    world.run(10.0)
    assert x.node_id not in a.plane.routes
    flood(world, "a", "b", links(x, b.key, sequence=2))
    world.run(10.0)
    assert x.node_id not in a.plane.routes, "a straggler of the former life"
    flood(world, "a", "b", links(x, b.key, epoch=newer))
    world.run(10.0)
    assert x.node_id in a.plane.routes


def test_our_older_records_come_back_after_a_restart_and_are_answered(world: ControlWorld) -> None:
    a, b = world.line("a", "b")
    for number in range(20):
        b.plane.introduce(offers=(str(number),), now=world.now)
        world.do("b", lambda plane: plane.advance(now=world.now))
        world.run(0.3)
    former = a.plane.database.get(b.id, RecordKind.INTRODUCTION)
    assert former is not None
    assert former.sequence > 20
    world.crash("b")
    again = world.restart("b")
    world.link("a", "b")
    world.run(1.0)
    assert again.heard(RaiseEpoch) == []
    now_known = a.plane.database.get(b.id, RecordKind.INTRODUCTION)
    assert now_known is not None
    assert (now_known.epoch, now_known.sequence) == (again.plane.epoch, 1)


def test_the_farewell_of_a_former_life_is_carried_like_anybodys(world: ControlWorld) -> None:
    a, b = world.line("a", "b")
    world.do("b", lambda plane: plane.farewell("", now=world.now))
    world.run(0.1)
    world.crash("b")
    again = world.restart("b")
    world.link("a", "b")
    world.run(5.0)
    assert again.heard(RaiseEpoch) == []
    assert states(world, "a")["b"] is MemberState.ALIVE
    assert again.plane.database.get(b.id, RecordKind.FAREWELL) is not None
    assert states(world, "b")["b"] is MemberState.ALIVE
    assert a.plane._spreading.summary() == again.plane._spreading.summary()


def test_a_restored_node_meets_its_newer_records_and_goes_beyond(world: ControlWorld) -> None:
    a, b, c = world.line("a", "b", "c")
    world.crash("b")
    world.restart("b", boot=40)
    world.link("a", "b")
    world.link("b", "c")
    world.run(60.0)
    world.crash("b")
    world.run(1.0)
    restored = world.restart("b", boot=5)
    world.link("a", "b")
    world.run(2.0)
    assert [effect.boot for effect in restored.heard(RaiseEpoch)] == [41]
    assert boot_of(restored.plane.epoch) == 41
    assert a.plane.epoch_of(b.id) == restored.plane.epoch
    assert states(world, "a")["b"] is MemberState.ALIVE
    assert restored.heard(DuplicateIdentityFound) == []
    assert c.heard(Stop) == []


def test_a_refusals_introduction_raises_the_epoch_too(world: ControlWorld) -> None:
    node = world.node("a")
    world.offer("a", None, AgedRecord(intro(FakeKey("a"), instance=9), 500.0))
    world.run(0.1)
    assert [effect.boot for effect in node.heard(RaiseEpoch)] == [10]
    assert boot_of(node.plane.epoch) == 10


def test_a_hello_with_our_key_raises_the_epoch_beyond_it(world: ControlWorld) -> None:
    node = world.node("a")
    epoch = make_epoch(boot=9, random_bits=0)
    node.plane.own_key_said_hello(epoch, uptime_s=1.0, now=world.now)
    assert node.plane.drain() == [RaiseEpoch(10)]
    node.plane.own_key_said_hello(node.plane.epoch, uptime_s=1.0, now=world.now)
    assert node.plane.drain() == []


def test_a_forged_record_of_our_own_changes_nothing(world: ControlWorld) -> None:
    a, b = world.line("a", "b")
    forged = msgspec.structs.replace(intro(a.key), signature=bytes(64))
    flood(world, "a", "b", forged)
    world.run(1.0)
    assert a.heard(RaiseEpoch) == []
    assert [offence.peer for offence in a.heard(Offence)] == [b.id]


def test_a_clone_stops_and_the_original_stays_itself(world: ControlWorld) -> None:
    a, b, c = world.line("a", "b", "c")
    world.node("d")
    world.link("c", "d")
    world.run(100.0)
    clone = world.node("clone", identity="b", boot=3)
    started = world.now
    world.link("clone", "d")
    world.run(10.0)
    (stop,) = clone.heard(Stop)
    assert isinstance(stop.error, DuplicateIdentity)
    stopped_at = next(at for at, effect in clone.effects if isinstance(effect, Stop))
    assert stopped_at - started < 10
    assert b.heard(Stop) == []
    assert [e.stopped_here for e in clone.heard(DuplicateIdentityFound)] == [True]
    for node in (a, b, c):
        (event,) = node.heard(DuplicateIdentityFound)
        assert (event.node, event.label, event.stopped_here) == (b.id, "b", False)
    world.crash("clone")
    world.run(20.0)
    assert a.plane.epoch_of(b.id) == b.plane.epoch
    assert states(world, "a")["b"] is MemberState.ALIVE


def test_who_has_stopped_says_no_more(world: ControlWorld) -> None:
    test_a_clone_stops_and_the_original_stays_itself(world)
    clone = world.nodes["clone"]
    clone.plane.drain()
    clone.plane.farewell("bye", now=world.now)
    assert not [e for e in clone.plane.drain() if isinstance(e, SendFrame)]
    newest = make_epoch(boot=99, random_bits=0)
    clone.plane.offer(
        AgedRecord(intro(clone.key, epoch=newest), 0.0), from_peer=None, now=world.now
    )
    clone.plane.advance(now=world.now)
    clone.plane.own_key_said_hello(newest, uptime_s=1.0, now=world.now)
    assert not [e for e in clone.plane.drain() if isinstance(e, RaiseEpoch | Stop)]


# As a machine


def test_deadlines_are_kept_and_time_does_not_stand_still(world: ControlWorld) -> None:
    world.line(*"abcdef")
    before = {name: node.frames_sent for name, node in world.nodes.items()}
    world.run(600.0)
    for name, node in world.nodes.items():
        assert node.frames_sent - before[name] < 150, "a quiet mesh is quiet"


@pytest.mark.parametrize("seed", range(5))
def test_halves_of_a_healed_partition_become_one_mesh(seed: int) -> None:
    world = ControlWorld(seed=seed)
    names = [f"n{number}" for number in range(12)]
    world.grow(names)
    for number, name in enumerate(names):
        world.link(name, names[(number + 1) % 12])
    world.run(15.0)
    across = [(names[5], names[6]), (names[11], names[0])]
    for a, b in across:
        world.cut(a, b)
    world.run(60.0)
    assert list(states(world, "n0").values()).count(MemberState.FAILED) == 6
    for a, b in across:
        world.link(a, b)
    world.run(1.0)
    for name in names:
        assert set(states(world, name).values()) == {MemberState.ALIVE}, name
    summaries = {node.plane._spreading.summary() for node in world.nodes.values()}
    assert len(summaries) == 1


def test_equal_seeds_give_equal_runs() -> None:
    def run() -> list[tuple[float, str]]:
        world = ControlWorld(seed=3)
        a, *_ = world.line("a", "b", "c")
        world.crash("b")
        world.run(400.0)
        return [(at, repr(effect)) for at, effect in a.effects]

    assert run() == run()


def test_links_that_were_never_up_are_ignored(world: ControlWorld) -> None:
    a, b = world.grow("ab")
    world.do("a", lambda plane: plane.link_down(b.id, cause="gone", now=0.0))
    assert a.effects == []
