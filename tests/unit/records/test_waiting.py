from __future__ import annotations

from mreza.ids import NodeId
from mreza.records.waiting import (
    WAITING_BYTES_MAX,
    WAITING_MAX,
    WAITING_PER_ORIGIN_MAX,
    WaitingRoom,
)


def origin(number: int) -> NodeId:
    return NodeId(number.to_bytes(16))


def test_what_waits_is_taken_in_order_and_once() -> None:
    room: WaitingRoom[str] = WaitingRoom()
    assert room.put(origin(1), "a", size=1) == 0
    assert room.put(origin(1), "b", size=1) == 0
    assert room.put(origin(2), "c", size=1) == 0
    assert room.take(origin(1)) == ["a", "b"]
    assert room.take(origin(1)) == []
    assert len(room) == 1


def test_one_origin_cannot_fill_it() -> None:
    room: WaitingRoom[int] = WaitingRoom()
    lost = sum(room.put(origin(1), number, size=1) for number in range(100))
    assert lost == 100 - WAITING_PER_ORIGIN_MAX
    assert room.take(origin(1)) == list(range(100 - WAITING_PER_ORIGIN_MAX, 100))


def test_when_full_the_longest_waiting_origin_gives_way() -> None:
    room: WaitingRoom[int] = WaitingRoom()
    lost = sum(room.put(origin(number), number, size=1) for number in range(WAITING_MAX + 10))
    assert lost == 10
    assert len(room) == WAITING_MAX
    assert room.take(origin(9)) == []
    assert room.take(origin(10)) == [10]


def test_bytes_are_bounded_too() -> None:
    room: WaitingRoom[int] = WaitingRoom()
    half = WAITING_BYTES_MAX // 2
    assert room.put(origin(1), 1, size=half) == 0
    assert room.put(origin(2), 2, size=half) == 0
    assert room.put(origin(3), 3, size=1) == 1
    assert room.take(origin(1)) == []
