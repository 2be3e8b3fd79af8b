"""Deadlines, most of them withdrawn."""

from __future__ import annotations

from hypothesis import given, strategies as st

from mreza.planes.deadlines import Deadlines

changes = st.lists(st.tuples(st.integers(0, 9), st.none() | st.floats(0, 100)), max_size=60)


def test_they_come_in_order_and_once() -> None:
    deadlines = Deadlines()
    deadlines.set(1, 3.0)
    deadlines.set(2, 1.0)
    deadlines.set(3, 9.0)
    assert deadlines.next() == 1.0
    assert deadlines.take_due(now=3.0) == [2, 1]
    assert deadlines.take_due(now=3.0) == []
    assert len(deadlines) == 1


@given(changes, st.floats(0, 100))
def test_what_is_due_is_what_was_set_last(
    changes: list[tuple[int, float | None]], now: float
) -> None:
    deadlines = Deadlines()
    model: dict[int, float] = {}
    for number, at in changes:
        if at is None:
            deadlines.discard(number)
            model.pop(number, None)
        else:
            deadlines.set(number, at)
            model[number] = at
    assert deadlines.next() == min(model.values(), default=None)
    due = deadlines.take_due(now=now)
    assert sorted(due) == sorted(number for number, at in model.items() if at <= now)
    assert [model[number] for number in due] == sorted(model[number] for number in due)
    assert len(deadlines) == len(model) - len(due)


def test_withdrawn_ones_take_no_memory() -> None:
    deadlines = Deadlines()
    for number in range(10_000):
        deadlines.set(number, 1e9 + number)
        deadlines.discard(number)
    assert len(deadlines._heap) < 200
