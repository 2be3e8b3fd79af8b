from __future__ import annotations

from hypothesis import given, strategies as st

from mreza.link.send_queue import BATCH_BYTES, SendQueue, Waiting
from mreza.qos import Priority
from mreza.wire.frame import BODY_MAX, HEADER_BYTES, PART_MAX, FrameReader, FrameType

ENVELOPE, PART, RECORDS = FrameType.ENVELOPE, FrameType.ENVELOPE_PART, FrameType.RECORDS
LOW, NORMAL, HIGH, CRITICAL = (int(p) for p in Priority)
PLENTY = 1 << 30


def queue(limit: int = PLENTY) -> SendQueue:
    return SendQueue(limit_bytes=limit)


def frames(batches: list[bytes]) -> list[tuple[int, bytes]]:
    reader = FrameReader(limit=BODY_MAX)
    return [frame for batch in batches for frame in reader.feed(batch)]


def take_bodies(q: SendQueue, room: int = PLENTY) -> list[bytes]:
    return [body for _, body in frames(q.take(room))]


def test_control_goes_first_then_critical_then_the_rest_in_order_of_weight() -> None:
    q = queue()
    for kind, body, priority in (
        (ENVELOPE, b"low", LOW),
        (ENVELOPE, b"normal", NORMAL),
        (ENVELOPE, b"high", HIGH),
        (ENVELOPE, b"critical", CRITICAL),
        (RECORDS, b"records", LOW),
    ):
        assert q.push(kind, body, priority) == []
    assert take_bodies(q) == [b"records", b"critical", b"high", b"normal", b"low"]
    assert not q


def test_a_busy_link_is_shared_by_weight_and_nobody_starves() -> None:
    q = queue()
    for _ in range(400):
        for priority in (LOW, NORMAL, HIGH):
            q.push(ENVELOPE, bytes([priority]) * 995, priority)
    served = [body[0] for body in take_bodies(q, room=210 * 1000)]
    assert [served.count(p) for p in (LOW, NORMAL, HIGH)] == [10, 40, 160]


def test_a_priority_that_was_idle_has_no_claim_on_the_past() -> None:
    q = queue()
    for _ in range(100):
        q.push(ENVELOPE, bytes(995), HIGH)
    take_bodies(q, room=100_000)
    for _ in range(50):
        q.push(ENVELOPE, b"h" * 995, HIGH)
        q.push(ENVELOPE, b"l" * 995, LOW)
    served = [body[:1] for body in take_bodies(q, room=34 * 1000)]
    assert served.count(b"l") <= 3


def test_when_full_the_oldest_of_the_lowest_priority_gives_way() -> None:
    q = queue(limit=4 * 105)
    for body, priority in ((b"a", NORMAL), (b"b", LOW), (b"c", LOW), (b"d", NORMAL)):
        q.push(ENVELOPE, body * 100, priority)
    assert q.push(ENVELOPE, b"e" * 100, HIGH) == [Waiting(ENVELOPE, b"b" * 100, LOW)]
    assert q.push(RECORDS, b"f" * 200, LOW) == [
        Waiting(ENVELOPE, b"c" * 100, LOW),
        Waiting(ENVELOPE, b"a" * 100, NORMAL),
    ]
    # Nothing lower: the new one itself gives way, and nobody else does.
    assert q.push(ENVELOPE, b"g" * 100, NORMAL) == [Waiting(ENVELOPE, b"g" * 100, NORMAL)]
    assert q.push(ENVELOPE, b"h" * 300, HIGH) == [Waiting(ENVELOPE, b"h" * 300, HIGH)]
    assert q.size == 205 + 105 + 105


def test_small_frames_are_joined_and_large_ones_travel_in_batches_of_their_own() -> None:
    q = queue()
    for _ in range(100):
        q.push(ENVELOPE, bytes(100), NORMAL)
    assert len(q.take(PLENTY)) == 1
    for _ in range(5):
        q.push(ENVELOPE, bytes(64 * 1024), NORMAL)
    batches = q.take(PLENTY)
    assert len(batches) == 5
    assert max(map(len, batches)) <= BATCH_BYTES


def test_bulk_is_cut_where_the_room_ends_and_urgent_ones_go_between_its_pieces() -> None:
    q = queue()
    bulk = bytes(range(256)) * 256
    q.push(ENVELOPE, bulk, NORMAL)
    first = frames(q.take(20_000))
    assert [kind for kind, _ in first] == [PART, PART]
    assert first[0][1][0] == 1
    assert all(len(body) <= PART_MAX for _, body in first)
    q.push(ENVELOPE, b"urgent", HIGH)
    rest = frames(q.take(PLENTY))
    assert rest[0] == (ENVELOPE, b"urgent")
    assert rest[-1][1][0] == 2
    pieces = [body for kind, body in first + rest if kind == PART]
    assert b"".join(piece[1:] for piece in pieces) == bulk
    assert q.size == 0


def test_urgent_bulk_is_never_cut() -> None:
    q = queue()
    q.push(ENVELOPE, bytes(40_000), HIGH)
    q.push(ENVELOPE, bytes(40_000), HIGH)
    assert [len(body) for body in take_bodies(q, 50_000)] == [40_000]
    assert [len(body) for body in take_bodies(q, 1)] == [40_000]


def test_one_envelope_at_a_time_is_in_pieces() -> None:
    q = queue()
    q.push(ENVELOPE, b"l" * 60_000, LOW)
    assert [kind for kind, _ in frames(q.take(10_000))] == [PART]
    q.push(ENVELOPE, b"n" * 60_000, NORMAL)
    # It does not fit and another is in pieces: it waits, and goes whole at the next write.
    kinds = []
    while q:
        kinds.append([kind for kind, _ in frames(q.take(20_000))])
    flat = [kind for turn in kinds for kind in turn]
    assert flat.count(ENVELOPE) == 1
    assert flat.count(PART) == 3


def test_all_that_waits_can_move_to_another_link() -> None:
    q = queue()
    q.push(ENVELOPE, b"b" * 60_000, NORMAL)
    q.take(1)
    q.push(RECORDS, b"r", NORMAL)
    q.push(ENVELOPE, b"c", CRITICAL)
    q.push(ENVELOPE, b"n", NORMAL)
    assert q.take_all() == [
        Waiting(RECORDS, b"r", CRITICAL),
        Waiting(ENVELOPE, b"c", CRITICAL),
        Waiting(ENVELOPE, b"b" * 60_000, NORMAL),
        Waiting(ENVELOPE, b"n", NORMAL),
    ]
    assert (q.size, bool(q), q.take(PLENTY)) == (0, False, [])


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 64 * 1024), st.integers(1, 200_000)),
        max_size=30,
    )
)
def test_whatever_goes_in_comes_out_whole_once_and_in_order_within_its_priority(
    steps: list[tuple[int, int, int]],
) -> None:
    q = queue()
    sent: dict[int, list[bytes]] = {p: [] for p in range(4)}
    got: dict[int, list[bytes]] = {p: [] for p in range(4)}
    pieces: list[bytes] = []

    def receive(batches: list[bytes]) -> None:
        for kind, body in frames(batches):
            if kind != PART:
                got[body[0]].append(body)
                continue
            pieces.append(body[1:])
            if body[0] & 2:
                got[pieces[0][0]].append(b"".join(pieces))
                pieces.clear()

    for number, (priority, size, room) in enumerate(steps):
        body = bytes([priority]) + number.to_bytes(2) + bytes(size)
        q.push(ENVELOPE, body, priority)
        sent[priority].append(body)
        batches = q.take(room)
        assert sum(map(len, batches)) <= room + BODY_MAX + HEADER_BYTES
        receive(batches)
    while q:
        receive(q.take(100_000))
    assert q.size == 0
    assert got == sent
