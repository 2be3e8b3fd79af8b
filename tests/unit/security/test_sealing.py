from __future__ import annotations

import pytest

from mreza.config.security import SecurityConfig
from mreza.errors import DecodeError
from mreza.ids import NodeId
from mreza.security import sealing as sealing_module
from mreza.security.identity import Identity
from mreza.security.sealing import NoSuchKey, Opened, Sealing, SealRefused
from mreza.wire.envelope import Envelope, EnvelopeKind, decode_envelope, for_next_hop
from mreza.wire.records import Prekey
from tests.support.security import MESH, OTHER_MESH

HOUR_S = 3600.0


class Node:
    """One end: an identity, its sealing, and what the mesh knows of the others."""

    def __init__(
        self, *, epoch: int = 1, identity: Identity | None = None, **settings: float
    ) -> None:
        self.identity = identity or Identity.generate()
        self.id = self.identity.node_id
        self.epoch = epoch
        self.sealing = Sealing(
            me=self.id,
            mesh=MESH.mesh,
            epoch=epoch,
            sign=self.identity.sign,
            config=SecurityConfig(**settings),  # type: ignore[arg-type]
            now=0.0,
        )

    def seal(
        self,
        to: Node,
        data: bytes = b"data",
        *,
        now: float = 0.0,
        prekey: Prekey | None = None,
        kind: int = EnvelopeKind.SEALED,
        trace: bytes = b"",
        path: tuple[NodeId, ...] = (),
    ) -> bytes:
        envelope = Envelope(
            kind=kind,
            priority=1,
            source=self.id,
            source_epoch=0,
            destinations=(to.id,),
            trace=trace,
            path=path,
        )
        return self.sealing.seal(
            envelope,
            data,
            destination=to.id,
            destination_epoch=to.epoch,
            prekey=prekey or to.sealing.prekeys()[0],
            now=now,
        )

    def open(self, body: bytes, source: Node, *, now: float = 0.0) -> bytes | str:
        """The plaintext, or why there is none."""
        envelope = decode_envelope(body)
        match self.sealing.open(envelope, sender_key=source.identity.public_key, now=now):
            case Opened(plaintext):
                return plaintext
            case NoSuchKey():
                return "no_such_key"
            case SealRefused(reason):
                return reason

    def raise_epoch(self, epoch: int) -> None:
        self.epoch = epoch
        self.sealing.raise_epoch(epoch, now=0.0)


def without_wrap(body: bytes) -> bytes:
    envelope = decode_envelope(body)
    envelope.wrap = b""
    return envelope.encode()


@pytest.fixture
def a() -> Node:
    return Node()


@pytest.fixture
def b() -> Node:
    return Node(epoch=7)


def test_what_is_sealed_is_opened_by_its_destination(a: Node, b: Node) -> None:
    body = a.seal(b, b"secret words")
    assert b"secret words" not in body
    assert b.open(body, a) == b"secret words"


def test_every_transmission_is_sealed_anew(a: Node, b: Node) -> None:
    one, two = a.seal(b), a.seal(b)
    assert decode_envelope(one).counter + 1 == decode_envelope(two).counter
    assert decode_envelope(one).sealed != decode_envelope(two).sealed
    assert (b.open(two, a), b.open(one, a)) == (b"data", b"data")


def test_nothing_is_opened_twice(a: Node, b: Node) -> None:
    bodies = [a.seal(b) for _ in range(3)]
    assert [b.open(body, a) for body in bodies] == [b"data"] * 3
    assert [b.open(body, a) for body in bodies] == ["replay"] * 3


def test_nobody_else_opens_it(a: Node, b: Node) -> None:
    stranger = Node(epoch=7)
    assert stranger.open(a.seal(b), a) == "bad_wrap"


def test_nobody_else_can_have_sealed_it(a: Node, b: Node) -> None:
    liar = Node()
    envelope = decode_envelope(liar.seal(b))
    envelope.source = a.id
    assert b.open(envelope.encode(), a) == "bad_wrap"
    assert b.sealing.newest_from(a.id) == 0


def test_another_meshs_seal_is_refused(a: Node, b: Node) -> None:
    a.sealing._mesh = OTHER_MESH.mesh
    assert b.open(a.seal(b), a) == "bad_wrap"


def spoil(envelope: Envelope, what: str) -> None:
    match what:
        case "kind":
            envelope.kind = EnvelopeKind.TRACE
        case "priority":
            envelope.priority = 3
        case "lane":
            envelope.lane = 1
        case "flags":
            envelope.flags |= 0x100
        case "trace":
            envelope.trace = b"x" * 25
        case "counter":
            envelope.counter += 1
        case "sealed":
            envelope.sealed = envelope.sealed[:-1] + bytes((envelope.sealed[-1] ^ 1,))
        case "cut":
            envelope.sealed = envelope.sealed[:3]


SPOILED = ["kind", "priority", "lane", "flags", "trace", "counter", "sealed", "cut"]


@pytest.mark.parametrize("what", SPOILED)
@pytest.mark.parametrize("known", [True, False])
def test_what_must_not_change_on_the_way_cannot(a: Node, b: Node, what: str, known: bool) -> None:
    if known:
        assert b.open(a.seal(b), a) == b"data"
    body = a.seal(b, trace=b"t" * 25)
    envelope = decode_envelope(body)
    spoil(envelope, what)
    assert b.open(envelope.encode(), a) == "bad_seal"
    assert b.open(body, a) == b"data"


def test_hop_limit_path_cursor_and_destinations_may_change(a: Node, b: Node) -> None:
    relay = Node()
    body = a.seal(b, path=(relay.id, b.id))
    envelope = decode_envelope(body)
    onward = decode_envelope(bytes(for_next_hop(body, envelope, advance_path=True)))
    onward.destinations = (b.id, relay.id)
    assert onward.hop_limit == envelope.hop_limit - 1
    assert b.open(onward.encode(), a) == b"data"


def test_the_wrap_travels_until_it_is_confirmed(a: Node, b: Node) -> None:
    first = a.seal(b)
    assert b.open(first, a) == b"data"
    assert decode_envelope(a.seal(b)).wrap
    a.sealing.confirmed(b.id, 12345)
    a.sealing.confirmed(Node().id, b.sealing.newest_from(a.id))
    assert decode_envelope(a.seal(b)).wrap
    a.sealing.confirmed(b.id, b.sealing.newest_from(a.id))
    bare = a.seal(b)
    assert not decode_envelope(bare).wrap
    assert b.open(bare, a) == b"data"


def test_a_repeated_wrap_of_a_live_session_is_ignored(a: Node, b: Node) -> None:
    b.open(a.seal(b), a)
    envelope = decode_envelope(a.seal(b))
    envelope.wrap = b"x" * len(envelope.wrap)
    assert b.open(envelope.encode(), a) == b"data"


def test_a_session_ends_after_its_envelopes_or_its_time() -> None:
    a, b = Node(session_envelopes=3, session_lifetime_s=60), Node()
    sessions = [decode_envelope(a.seal(b)).session_id for _ in range(7)]
    assert [sessions.count(s) for s in dict.fromkeys(sessions)] == [3, 3, 1]
    assert sessions == sorted(sessions)
    assert decode_envelope(a.seal(b, now=59)).session_id == sessions[-1]
    assert decode_envelope(a.seal(b, now=60)).session_id > sessions[-1]


def test_a_counter_beyond_the_bound_is_refused(a: Node, b: Node) -> None:
    b.open(a.seal(b), a)
    a.sealing._sending[b.id].counter = 2**23 - 1
    assert b.open(a.seal(b), a) == b"data"
    assert decode_envelope(a.seal(b)).counter == 0
    envelope = decode_envelope(a.seal(b))
    envelope.counter = 2**63
    assert b.open(envelope.encode(), a) == "bad_seal"


def test_a_restarted_destination_gets_a_new_session(a: Node, b: Node) -> None:
    b.open(a.seal(b), a)
    a.sealing.confirmed(b.id, b.sealing.newest_from(a.id))
    again = Node(identity=b.identity, epoch=8)
    assert again.open(a.seal(b), a) == "no_such_key"
    assert again.open(a.seal(again), a) == b"data"


def test_a_wrap_for_an_earlier_life_is_answered_not_refused(a: Node, b: Node) -> None:
    again = Node(identity=b.identity, epoch=8)
    assert again.open(a.seal(b), a) == "no_such_key"


def test_a_wrap_for_the_prekey_of_a_copy_is_answered(a: Node, b: Node) -> None:
    copy = Node(identity=b.identity, epoch=b.epoch)
    assert copy.open(a.seal(b), a) == "no_such_key"


def test_a_missing_session_without_wrap_is_answered(a: Node, b: Node) -> None:
    assert b.open(without_wrap(a.seal(b)), a) == "no_such_key"


def test_bytes_that_are_no_wrap_are_refused(a: Node, b: Node) -> None:
    envelope = decode_envelope(a.seal(b))
    envelope.wrap = b"short"
    assert b.open(envelope.encode(), a) == "bad_wrap"


def test_an_older_epoch_of_the_source_is_refused(a: Node, b: Node) -> None:
    old, older = a.seal(b), a.seal(b)
    assert b.open(old, a) == b"data"
    a.raise_epoch(5)
    assert b.open(a.seal(b), a) == b"data"
    assert b.open(older, a) == "wrong_epoch"
    assert b.open(old, a) == "wrong_epoch"


def test_a_prekey_that_cannot_be_used_does_not_break_the_sender(a: Node, b: Node) -> None:
    with pytest.raises(DecodeError, match="not usable"):
        a.seal(b, prekey=Prekey(id=1, public=bytes(32)))
    assert b.open(a.seal(b), a) == b"data"


# NO_SUCH_KEY


def unknown_session(a: Node, b: Node) -> bytes:
    return without_wrap(a.seal(b))


def rejected_by(a: Node, b: Node, answer: bytes | None, *, now: float = 0.0) -> int | None:
    assert answer is not None
    envelope = decode_envelope(answer)
    return a.sealing.check_no_such_key(envelope, sender_key=b.identity.public_key, now=now)


def test_a_rejected_session_is_replaced(a: Node, b: Node) -> None:
    envelope = decode_envelope(unknown_session(a, b))
    answer = b.sealing.no_such_key(envelope, now=0.0)
    assert answer is not None
    told = decode_envelope(answer)
    assert (told.kind, told.source, told.destinations) == (3, b.id, (a.id,))
    assert (told.session_id, told.source_epoch, told.wrap) == (envelope.session_id, 7, b"")
    assert rejected_by(a, b, answer) == envelope.session_id
    assert a.sealing.rejected(b.id, envelope.session_id)
    assert not a.sealing.rejected(b.id, envelope.session_id)
    assert rejected_by(a, b, answer) is None
    body = a.seal(b)
    assert decode_envelope(body).session_id > envelope.session_id
    assert b.open(body, a) == b"data"


def test_a_forged_or_stale_rejection_changes_nothing(a: Node, b: Node) -> None:
    envelope = decode_envelope(unknown_session(a, b))
    answer = b.sealing.no_such_key(envelope, now=0.0)
    assert rejected_by(a, Node(), answer) is None
    assert answer is not None
    forged = answer[:-1] + bytes((answer[-1] ^ 1,))
    for spoiled in (answer[:-1], forged, answer + b"\0"):
        assert rejected_by(a, b, spoiled) is None
    a.sealing._epoch = 99
    assert rejected_by(a, b, answer) is None
    a.sealing._epoch = a.epoch
    assert rejected_by(a, b, answer) == envelope.session_id


def test_a_rejection_for_another_node_or_session_changes_nothing(a: Node, b: Node) -> None:
    c = Node()
    for_c = decode_envelope(unknown_session(c, b))
    a.seal(b)
    assert rejected_by(a, b, b.sealing.no_such_key(for_c, now=0.0)) is None
    moved = decode_envelope(a.seal(b))
    moved.source = c.id
    answer = b.sealing.no_such_key(moved, now=5.0)
    assert rejected_by(a, b, answer) is None


def test_at_most_one_answer_a_second_to_each_source(a: Node, b: Node) -> None:
    c = Node()
    from_a, from_c = (decode_envelope(unknown_session(node, b)) for node in (a, c))
    answers = [b.sealing.no_such_key(from_a, now=at / 10) is not None for at in range(25)]
    assert [at for at, sent in enumerate(answers) if sent] == [0, 10, 20]
    assert b.sealing.no_such_key(from_c, now=2.4)


def test_many_names_do_not_make_many_signatures_or_much_memory(
    a: Node, b: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealing_module, "SOURCES_MAX", 20)
    envelope = decode_envelope(unknown_session(a, b))
    made = 0
    for number in range(1000):
        envelope.source = NodeId(number.to_bytes(16))
        made += b.sealing.no_such_key(envelope, now=0.0) is not None
    assert made == sealing_module.SIGNATURES_PER_S
    assert len(b.sealing._answered) == 20


def test_rejections_are_checked_at_a_bounded_rate(a: Node, b: Node) -> None:
    answer = b.sealing.no_such_key(decode_envelope(unknown_session(a, b)), now=0.0)
    assert answer is not None
    forged = answer[:-1] + bytes((answer[-1] ^ 1,))
    assert all(rejected_by(a, b, forged) is None for _ in range(100))
    assert rejected_by(a, b, answer) is None
    assert rejected_by(a, b, answer, now=1.0) is not None


# Keys come and go.


def test_prekeys_change_every_hour_and_say_so(b: Node) -> None:
    first = b.sealing.prekeys()
    assert b.sealing.next_deadline() == HOUR_S
    assert not b.sealing.advance(now=HOUR_S - 1)
    assert b.sealing.prekeys() == first
    assert b.sealing.advance(now=HOUR_S)
    second = b.sealing.prekeys()
    assert second[1:] == first
    assert b.sealing.advance(now=2 * HOUR_S)
    assert first[0] not in b.sealing.prekeys()


def test_a_session_dies_with_its_prekey_and_its_wrap_opens_nothing_more(a: Node, b: Node) -> None:
    body = a.seal(b)
    assert b.open(body, a) == b"data"
    b.sealing.advance(now=HOUR_S)
    assert b.open(body, a) == "replay"
    assert b.open(a.seal(b), a) == b"data"
    b.sealing.advance(now=2 * HOUR_S)
    assert not b.sealing._sources
    assert b.open(body, a) == "no_such_key"


def test_a_source_that_went_back_to_an_older_prekey_keeps_its_floor(a: Node, b: Node) -> None:
    (old,) = b.sealing.prekeys()
    b.sealing.advance(now=HOUR_S)
    body = a.seal(b)
    assert b.open(body, a) == b"data"
    # The directory of the source was behind after it raised its epoch.
    a.raise_epoch(2)
    assert b.open(a.seal(b, prekey=old), a) == b"data"
    b.sealing.advance(now=2 * HOUR_S)
    assert b.open(body, a) == "wrong_epoch"


def test_a_source_keeps_a_few_sessions_only(b: Node) -> None:
    a = Node(session_envelopes=1)
    bodies = [a.seal(b) for _ in range(10)]
    assert [b.open(body, a) for body in bodies] == [b"data"] * 10
    assert len(b.sealing._sources[a.id].sessions) == 4
    late = [b.open(body, a) for body in bodies]
    assert late == ["no_such_key"] * 6 + ["replay"] * 4


def test_more_sources_than_there_is_room_for_are_refused(
    a: Node, b: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealing_module, "SOURCES_MAX", 2)
    others = [Node(), Node()]
    assert [b.open(other.seal(b), other) for other in others] == [b"data"] * 2
    assert b.open(a.seal(b), a) == "too_many_sources"
    b.sealing.advance(now=2 * HOUR_S)
    a.sealing.forget(b.id)
    assert b.open(a.seal(b), a) == b"data"


def test_more_destinations_than_there_is_room_for_get_new_sessions(
    a: Node, b: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealing_module, "DESTINATIONS_MAX", 2)
    first = decode_envelope(a.seal(b)).session_id
    others = [Node(), Node()]
    assert all(other.open(a.seal(other), a) == b"data" for other in others)
    assert len(a.sealing._sending) == 2
    body = a.seal(b)
    assert decode_envelope(body).session_id > first
    assert b.open(body, a) == b"data"


def test_raising_the_epoch_replaces_every_key(a: Node, b: Node) -> None:
    to_b, to_a = a.seal(b), b.seal(a)
    assert b.open(to_b, a) == b"data"
    before = b.sealing.prekeys()
    b.raise_epoch(8)
    assert b.sealing.prekeys() != before
    assert b.open(to_b, a) == "no_such_key"
    assert b.open(a.seal(b), a) == b"data"
    assert a.open(to_a, b) == b"data"
    body = b.seal(a)
    assert decode_envelope(body).source_epoch == 8
    assert a.open(body, b) == b"data"


def test_after_a_clock_jump_all_keys_are_new_in_the_same_epoch(a: Node, b: Node) -> None:
    to_a, to_b = b.seal(a), a.seal(b)
    assert (a.open(to_a, b), b.open(to_b, a)) == (b"data", b"data")
    b.raise_epoch(b.epoch)
    assert b.open(to_b, a) == "no_such_key"
    assert b.open(a.seal(b), a) == "no_such_key"
    a.sealing.rejected(b.id, decode_envelope(to_b).session_id)
    assert b.open(a.seal(b), a) == b"data"
    assert a.open(b.seal(a), b) == b"data"


def test_a_forgotten_node_can_come_back_but_its_old_envelopes_cannot(a: Node, b: Node) -> None:
    body = a.seal(b)
    b.open(body, a)
    b.sealing.forget(a.id)
    b.sealing.forget(Node().id)
    assert b.sealing.newest_from(a.id) == 0
    assert b.open(body, a) == "no_such_key"
    a.sealing.forget(b.id)
    assert b.open(a.seal(b), a) == b"data"


def test_two_copies_of_a_machine_never_share_a_session_id(b: Node) -> None:
    identity = Identity.generate()
    copies = [Node(identity=identity) for _ in range(2)]
    bodies = [copy.seal(b) for copy in copies]
    assert len({decode_envelope(body).session_id for body in bodies}) == 2
    assert [b.open(body, copies[0]) for body in bodies] == [b"data"] * 2
