from __future__ import annotations

from mreza.messaging.batch import Batch
from mreza.messaging.lanes import Lanes
from mreza.qos import Delivery
from mreza.wire.packet import PacketKind


def lanes_of(*batches: tuple[PacketKind, int]) -> Lanes:
    lanes = Lanes({})
    for kind, inbox in batches:
        batch = Batch(kind, delivery=Delivery.AT_LEAST_ONCE, inbox=inbox)
        lanes.lane(kind, inbox).append(batch)
    return lanes


def taken(lanes: Lanes) -> list[tuple[PacketKind, int]]:
    out = []
    while (batch := lanes.take(lambda _: True)) is not None:
        out.append((batch.kind, batch.inbox))
    return out


def test_lanes_take_turns() -> None:
    lanes = lanes_of(
        *[(PacketKind.DATA, 0)] * 3, *[(PacketKind.DATA, 1)] * 2, (PacketKind.REQUEST, 0)
    )
    assert [(kind.name, inbox) for kind, inbox in taken(lanes)] == [
        ("DATA", 0),
        ("DATA", 1),
        ("REQUEST", 0),
        ("DATA", 0),
        ("DATA", 1),
        ("DATA", 0),
    ]
    assert not lanes


def test_an_inbox_without_credit_stops_nobody_else() -> None:
    lanes = lanes_of((PacketKind.DATA, 0), (PacketKind.DATA, 1), (PacketKind.RESPONSE, 0))
    assert lanes.blocked_inbox() is None
    lanes.credit(0).take(10**6)
    assert taken(lanes) == [(PacketKind.DATA, 1), (PacketKind.RESPONSE, 0)]
    assert lanes.blocked_inbox() == 0
    assert lanes


def test_a_full_window_stops_all() -> None:
    lanes = lanes_of((PacketKind.DATA, 0), (PacketKind.REQUEST, 0))
    assert lanes.take(lambda _: False) is None


def test_dropping_kinds_leaves_the_others() -> None:
    lanes = lanes_of((PacketKind.DATA, 0), (PacketKind.REQUEST, 0), (PacketKind.RESPONSE, 0))
    lanes.tail = lanes.lane(PacketKind.DATA, 0)[0]
    assert [b.kind for b in lanes.drop(lambda b: b.is_call)] == [PacketKind.REQUEST]
    tails = [lanes.tail is None]
    assert len(lanes.drop(lambda b: not b.is_call)) == 2
    assert [*tails, lanes.tail is None] == [False, True]
    assert not lanes
