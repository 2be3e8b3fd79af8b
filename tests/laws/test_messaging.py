"""What messaging promises, whatever the wire does."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

from hypothesis import given, settings, strategies as st

from mreza.config.messaging import MessagingConfig
from mreza.errors import OutboxFull
from mreza.messaging.batch import BATCH_OVERHEAD_BYTES
from mreza.messaging.fragments import BODY_MAX, Piece, Transfer, cut
from mreza.messaging.ranges import SeenNumbers
from mreza.qos import Delivery
from mreza.wire.packet import HEAD, Ack, Head, PacketKind
from tests.support.message_pair import MessagePair, Wire

chances = st.floats(0.0, 0.6)
seeds = st.integers(0, 2**32)
sizes = st.one_of(st.integers(1, 200), st.integers(1, 20_000), st.sampled_from([33_000, 150_000]))
sends = st.lists(
    st.tuples(
        st.sampled_from(Delivery), st.integers(0, 3), st.integers(0, 2), sizes, st.booleans()
    ),
    max_size=40,
)


def wire_of(seed: int, loss: float, twice: float, late: float) -> Wire:
    return Wire(Random(seed), loss=loss, twice=twice, late=late)  # noqa: S311


@settings(max_examples=150, deadline=None)
@given(sends, seeds, chances, chances, chances)
def test_every_accepted_reliable_message_is_handed_over_exactly_once(
    plan: list[tuple[Delivery, int, int, int, bool]],
    seed: int,
    loss: float,
    twice: float,
    late: float,
) -> None:
    pair = MessagePair(wire_of(seed, loss, twice, late))
    accepted: dict[int, tuple[Delivery, int]] = {}
    for number, (delivery, priority, inbox, size, flush) in enumerate(plan):
        payload: Any = [number, b"x" * size] if size % 2 else f"{number}:" + "x" * size
        pair.outbox.put(payload, priority=priority, delivery=delivery, inbox=inbox)
        accepted[number] = (delivery, priority)
        if flush:
            pair.flush()
            pair.step()
    pair.run(seconds=60)
    pair.wire.mend()
    pair.run(seconds=600)
    assert pair.outbox.is_idle
    assert pair.outbox.waiting == 0
    assert pair.reassembly.used == 0 or any(
        delivery is Delivery.AT_MOST_ONCE for delivery, _ in accepted.values()
    )
    came = [
        (priority, p[0] if isinstance(p, list) else int(p.partition(":")[0]))
        for priority, _, p in pair.handed_over
    ]
    counts = Counter(number for _, number in came)
    for number, (delivery, priority) in accepted.items():
        if delivery is Delivery.AT_MOST_ONCE:
            assert counts[number] <= 1
        else:
            assert counts[number] == 1, f"message {number} came {counts[number]} times"
            assert (priority, number) in came


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(Delivery), sizes, st.booleans()), max_size=40),
    seeds,
    chances,
    chances,
)
def test_ordered_messages_come_in_the_order_of_sending(
    plan: list[tuple[Delivery, int, bool]], seed: int, loss: float, late: float
) -> None:
    pair = MessagePair(wire_of(seed, loss, 0.2, late))
    for number, (delivery, size, flush) in enumerate(plan):
        pair.outbox.put([number, b"x" * size], priority=1, delivery=delivery, inbox=0)
        if flush:
            pair.flush()
            pair.step()
    pair.run(seconds=30)
    pair.wire.mend()
    pair.run(seconds=600)
    came = [payload[0] for _, _, payload in pair.handed_over]
    ordered = [number for number in came if plan[number][0] is Delivery.ORDERED]
    assert ordered == [n for n, (delivery, _, _) in enumerate(plan) if delivery is Delivery.ORDERED]


@settings(max_examples=60, deadline=None)
@given(sends, seeds, chances, chances)
def test_memory_on_both_sides_stays_within_its_bounds_while_handlers_hang(
    plan: list[tuple[Delivery, int, int, int, bool]], seed: int, loss: float, late: float
) -> None:
    config = MessagingConfig(outbox_bytes=200_000, inbox_bytes=64 * 1024)
    pair = MessagePair(wire_of(seed, loss, 0.1, late), config=config)
    pair.consumes = False
    largest = max((size for _, _, _, size, _ in plan), default=0)
    accepted = 0
    for delivery, priority, inbox, size, flush in plan * 4:
        try:
            pair.outbox.put(b"x" * size, priority=priority, delivery=delivery, inbox=inbox)
            accepted += delivery is not Delivery.AT_MOST_ONCE
        except OutboxFull:
            pass
        assert pair.outbox.waiting <= config.outbox_bytes + largest + BATCH_OVERHEAD_BYTES + 20
        if flush:
            pair.flush()
            pair.step()
    pair.run(seconds=60)
    waiting = Counter[int]()
    for _, arrival in pair.batches:
        waiting[arrival.inbox] += len(arrival.body)
    # With handlers and waiting for order: twice the window and one message each.
    for size in waiting.values():
        assert size <= 4 * config.inbox_bytes + 2 * max(BODY_MAX, largest + 20)
    pair.wire.mend()
    for _ in range(50):
        pair.consume()
        pair.run(seconds=60)
    reliable = sum(1 for _ in pair.handed_over)
    assert pair.outbox.is_idle
    assert reliable >= accepted


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 400_000), st.randoms(use_true_random=False))
def test_pieces_make_the_body_whole_from_any_order(total: int, rng: Random) -> None:
    body = rng.randbytes(total)
    pieces = list(cut(body, transfer=7))
    rng.shuffle(pieces)
    transfer = Transfer(pieces[0][0], now=0.0)
    results = [transfer.add(fragment, piece, now=0.0) for fragment, piece in pieces]
    assert results[:-1] == [Piece.STORED] * (len(pieces) - 1)
    assert results[-1] is Piece.COMPLETE
    assert transfer.body == body


@given(st.lists(st.integers(1, 60), max_size=80), st.integers(0, 70))
def test_numbers_seen_are_a_set_and_its_runs_say_the_same(numbers: list[int], raised: int) -> None:
    seen, model = SeenNumbers(), set[int]()
    for number in numbers:
        assert seen.add(number) == (number not in model)
        model.add(number)
    seen.raise_to(raised)
    model |= set(range(1, raised + 1))
    assert all((number in seen) == (number in model) for number in range(1, 75))
    runs = seen.runs(100)
    told = set(range(1, seen.cumulative + 1)).union(*(range(a, b + 1) for a, b in runs))
    assert told == model
    bounds = [seen.cumulative, *(edge for run in runs for edge in run)]
    assert all(b > a + 1 for a, b in zip(bounds[::2], bounds[1::2], strict=False))


@given(st.sets(st.integers(1, 60)), st.integers(0, 2**63), st.integers(0, 3))
def test_an_acknowledgement_says_from_bytes_what_was_seen(
    numbers: set[int], position: int, priority: int
) -> None:
    seen = SeenNumbers()
    for number in sorted(numbers, reverse=True):
        seen.add(number)
    ack = Ack(priority, seen.cumulative, seen.runs(32), ((0, position),), 1)
    head = Head(1, PacketKind.DATA, 5, 9, 3, (ack,), position=position)
    again = HEAD.decode(HEAD.encode(head))
    assert again == head
    (told,) = again.acks
    runs = [range(1, told.cumulative + 1), *(range(a, b + 1) for a, b in told.ranges)]
    assert {number for run in runs for number in run} == numbers
