from __future__ import annotations

import pytest

from mreza.routing.metric import link_cost, worth_publishing


@pytest.mark.parametrize(
    ("rtt_s", "cost"),
    [(0.0, 96), (0.010, 96), (0.065, 171), (0.120, 246), (1.0, 246), (0.021, 111)],
)
def test_cost_has_the_shape_of_rfc_9616(rtt_s: float, cost: int) -> None:
    assert link_cost(rtt_s=rtt_s) == cost


@pytest.mark.parametrize(
    ("published", "measured", "worth"),
    [(100, 110, False), (100, 111, True), (100, 90, False), (100, 89, True), (96, 96, False)],
)
def test_only_a_change_of_more_than_a_tenth_is_told(
    published: int, measured: int, *, worth: bool
) -> None:
    assert worth_publishing(published=published, measured=measured) is worth
