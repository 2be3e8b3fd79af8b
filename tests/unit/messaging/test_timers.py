from __future__ import annotations

from mreza.messaging.timers import Timers


def test_a_deadline_that_moved_later_is_looked_at_again_then() -> None:
    timers: Timers[str] = Timers()
    deadlines: dict[str, float | None] = {"a": 1.0, "b": 2.0}
    for key, at in deadlines.items():
        timers.set(key, at)
    deadlines["a"] = 3.0
    assert timers.next_deadline() == 1.0
    assert timers.due(deadlines.get, now=1.5) == []
    assert timers.due(deadlines.get, now=2.5) == ["b"]
    assert timers.due(deadlines.get, now=3.0) == ["a"]
    assert timers.next_deadline() is None


def test_a_deadline_that_moved_earlier_counts_at_once() -> None:
    timers: Timers[str] = Timers()
    timers.set("a", 5.0)
    timers.set("a", 1.0)
    timers.set("a", 9.0)
    timers.set("a", None)
    assert timers.next_deadline() == 1.0
    assert timers.due({"a": 1.0}.get, now=1.0) == ["a"]
    assert timers.due({"a": 1.0}.get, now=9.0) == []


def test_a_deadline_that_went_away_is_forgotten() -> None:
    timers: Timers[str] = Timers()
    timers.set("a", 1.0)
    assert timers.due(lambda _: None, now=2.0) == []
    assert timers.next_deadline() is None
