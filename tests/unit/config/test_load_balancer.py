"""Strategies have names that people can spell."""

from __future__ import annotations

from typing import Any

import pytest

from mreza.config.load_balancer import LoadBalancerConfig, Strategy, strategy_of
from mreza.errors import ConfigError


@pytest.mark.parametrize(
    "spelled", [Strategy.ROUND_ROBIN, "round_robin", "ROUND_ROBIN", "Round-Robin"]
)
def test_any_usual_spelling_is_understood(spelled: Any) -> None:
    assert strategy_of(spelled) is Strategy.ROUND_ROBIN
    assert LoadBalancerConfig(strategy=spelled).strategy is Strategy.ROUND_ROBIN


@pytest.mark.parametrize("wrong", ["prequal", "latency", None, 3])
def test_what_does_not_exist_is_refused_with_what_does(wrong: object) -> None:
    with pytest.raises(ConfigError, match=r"allowed: Strategy\.ROUND_ROBIN, .*CONSISTENT_HASH$"):
        strategy_of(wrong)


def test_a_process_may_have_a_strategy_of_its_own() -> None:
    spelled: Any = {"parse": "Peak-EWMA"}
    config = LoadBalancerConfig(per_process=spelled)
    assert config.per_process == {"parse": Strategy.PEAK_EWMA}
    with pytest.raises(ConfigError, match="per_process"):
        LoadBalancerConfig(per_process=spelled | {"sum": "prequal"})
