"""What a node says of its own load."""

from __future__ import annotations

from mreza.planes.own_load import OwnLoad
from mreza.wire.packet import Load


def test_nothing_is_told_before_there_is_room_for_requests() -> None:
    load = OwnLoad()
    load.measured(cpu=0.5, memory=0.5, loop_lag_s=0.1)
    assert load.told(in_flight=0, capacity=0) is None


def test_figures_are_told_in_bounds() -> None:
    load = OwnLoad()
    assert load.told(in_flight=3, capacity=10) == Load(3, 10, None, None, None)
    load.measured(cpu=1.7, memory=-0.2, loop_lag_s=-1.0)
    assert load.told(in_flight=3, capacity=10) == Load(3, 10, 1000, 0, 0)
    load.measured(cpu=0.1234, memory=0.5, loop_lag_s=0.25)
    assert load.told(in_flight=4, capacity=10) == Load(4, 10, 123, 500, 250_000)
