from __future__ import annotations

from mreza.planes.traffic import Traffic


def test_drops_are_counted_for_ever_and_told_once() -> None:
    traffic = Traffic()
    assert traffic.take_drops() == {}
    traffic.drop("replay")
    traffic.drop("replay", 2)
    traffic.drop("no_route")
    assert traffic.take_drops() == {"replay": 3, "no_route": 1}
    assert traffic.take_drops() == {}
    traffic.drop("replay")
    assert traffic.dropped == {"replay": 4, "no_route": 1}
