"""Which class is which strategy."""

from __future__ import annotations

import pytest

from mreza.balancing.strategy import DRAW_LOTS, picker_of
from mreza.config.load_balancer import Strategy
from mreza.errors import ConfigError
from tests.support.balancing import endpoints, lots


@pytest.mark.parametrize("strategy", Strategy)
def test_every_strategy_picks(strategy: Strategy) -> None:
    nodes = endpoints("a", "b", "c")
    picker = picker_of(strategy, lots(1))
    for _ in range(10):
        assert picker.pick(nodes, key="k", now=0.0) in nodes
    assert picker.pick(nodes[1:2], key=None, now=0.0).node == "b"


@pytest.mark.parametrize("strategy", Strategy)
def test_only_those_that_draw_lots_need_chance(strategy: Strategy) -> None:
    if strategy in DRAW_LOTS:
        with pytest.raises(ConfigError, match="draws lots"):
            picker_of(strategy, None)
    else:
        picker_of(strategy, None)
