from __future__ import annotations

from typing import Any

from mreza.planes.effects import Dropped
from mreza.planes.traffic import Traffic


def test_drops_are_counted_for_ever_and_told() -> None:
    told: list[Any] = []
    traffic = Traffic(told)
    traffic.drop("replay")
    traffic.drop("replay", 2)
    traffic.drop("no_route")
    assert told == [Dropped("replay"), Dropped("replay", 2), Dropped("no_route")]
    assert traffic.dropped == {"replay": 3, "no_route": 1}
