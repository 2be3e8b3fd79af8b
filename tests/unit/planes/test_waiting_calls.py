"""Calls wait within a bound."""

from __future__ import annotations

import msgspec

from mreza.errors import OutboxFull
from mreza.planes.call import Call
from mreza.planes.waiting_calls import WaitingCalls


def call(number: int, size: int = 10) -> Call:
    return Call(number, "p", msgspec.Raw(b"x" * size))


def test_calls_wait_in_the_order_in_which_they_came() -> None:
    waiting, calls = WaitingCalls(bytes_max=100), [call(n) for n in (3, 1, 2)]
    for one in calls:
        assert waiting.put(one) is None
    assert waiting.all() == calls
    waiting.remove(calls[1])
    assert calls[1] not in waiting
    assert waiting.all() == [calls[0], calls[2]]
    assert len(waiting) == 2


def test_who_waits_already_is_not_counted_twice() -> None:
    waiting, one = WaitingCalls(bytes_max=20), call(1)
    for _ in range(5):
        assert waiting.put(one) is None
    assert waiting.put(call(2)) is None
    waiting.remove(one)
    waiting.remove(one)
    assert waiting.put(call(3)) is None


def test_what_exceeds_the_bound_is_refused_but_one_may_always_wait() -> None:
    waiting, large = WaitingCalls(bytes_max=20), call(1, 50)
    assert waiting.put(large) is None
    assert isinstance(waiting.put(call(2)), OutboxFull)
    assert len(waiting) == 1
    waiting.remove(large)
    assert waiting.put(call(2)) is None
