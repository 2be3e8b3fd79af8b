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


@pytest.mark.parametrize("wrong", ["least_loaded", None, 3])
def test_what_does_not_exist_is_refused_with_what_does(wrong: object) -> None:
    with pytest.raises(ConfigError, match=r"allowed: Strategy\.ROUND_ROBIN"):
        strategy_of(wrong)
