"""What a stranger sends is kept for a moment, within bounds."""

from __future__ import annotations

from mreza.ids import NodeId
from mreza.planes.early import BYTES_MAX, ENVELOPES_MAX, PATIENCE_S, EarlyEnvelopes
from mreza.wire.envelope import Envelope, EnvelopeKind

ME, A, B, PEER = (NodeId(bytes([number]) * 16) for number in range(4))


def envelope(source: NodeId, sealed: bytes = b"x") -> Envelope:
    return Envelope(
        kind=EnvelopeKind.SEALED,
        priority=1,
        source=source,
        source_epoch=1,
        destinations=(ME,),
        sealed=sealed,
    )


def test_those_of_a_node_that_becomes_known_come_out_in_order() -> None:
    early = EarlyEnvelopes()
    first, other, second = envelope(A), envelope(B), envelope(A)
    for one in (first, other, second):
        assert early.add(one, PEER, now=0.0)
    assert early.take(lambda node: node == A) == [(first, PEER), (second, PEER)]
    assert early.take(lambda node: node == A) == []
    assert len(early) == 1


def test_what_waited_too_long_is_given_up() -> None:
    early = EarlyEnvelopes()
    assert early.next_deadline() is None
    early.add(envelope(A), PEER, now=0.0)
    early.add(envelope(A), PEER, now=0.5)
    assert early.next_deadline() == PATIENCE_S
    assert early.expire(now=PATIENCE_S) == 1
    assert early.expire(now=PATIENCE_S) == 0
    assert len(early) == 1


def test_a_flood_of_strangers_fills_a_bounded_room_that_is_free_again() -> None:
    early = EarlyEnvelopes()
    half = envelope(A, bytes(BYTES_MAX // 2))
    assert early.add(half, PEER, now=0.0)
    assert early.add(half, PEER, now=0.0)
    assert not early.add(envelope(B), PEER, now=0.0)
    early.expire(now=PATIENCE_S)
    assert all(early.add(envelope(B), PEER, now=2.0) for _ in range(ENVELOPES_MAX))
    assert not early.add(envelope(B), PEER, now=2.0)
    assert len(early.take(lambda _: True)) == ENVELOPES_MAX
    assert early.add(half, PEER, now=3.0)
