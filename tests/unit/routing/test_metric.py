from __future__ import annotations

import pytest

from mreza.routing.metric import (
    BASE_COST,
    FALL_AFTER_S,
    FLAP_PENALTY_MAX,
    LinkCost,
    link_cost,
    worth_publishing,
)


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


@pytest.mark.parametrize(
    ("loss", "load", "cost"),
    [
        (0.02, 0.0, 96),
        (0.11, 0.0, 288),
        (0.2, 0.0, 480),
        (0.9, 0.0, 480),
        (0, 0.5, 128),
        (0, 9, 160),
    ],
)
def test_loss_costs_hops_and_load_less_than_one(loss: float, load: float, cost: int) -> None:
    assert link_cost(rtt_s=0.001, loss=loss, load=load) == cost


def measured(cost: LinkCost, *, now: float, rtt_s: float = 0.0, loss: float = 0.0) -> bool:
    return cost.measured(rtt_s=rtt_s, loss=loss, load=0.0, now=now)


def test_a_rise_is_told_at_once_and_a_fall_when_it_has_held() -> None:
    cost = LinkCost()
    cost.up(rtt_s=0.001, now=0.0)
    assert measured(cost, now=11.0, loss=0.2)
    assert cost.published == 480
    assert not measured(cost, now=12.0)
    assert not measured(cost, now=14.0, loss=0.2)
    assert not measured(cost, now=15.0)
    assert not measured(cost, now=14.9 + FALL_AFTER_S)
    assert cost.next_deadline() == 15.0 + FALL_AFTER_S
    assert cost.advance(now=15.0 + FALL_AFTER_S)
    assert cost.published == BASE_COST
    assert cost.next_deadline() is None


def test_a_cost_that_swings_is_told_once() -> None:
    cost = LinkCost()
    cost.up(rtt_s=0.001, now=0.0)
    told = [measured(cost, now=now, loss=0.1 * (now % 2)) for now in range(11, 600)]
    assert sum(told) == 1


def test_a_new_link_is_measured_better_every_moment() -> None:
    cost = LinkCost()
    cost.up(rtt_s=0.120, now=0.0)
    assert measured(cost, now=1.0, rtt_s=0.060)
    assert measured(cost, now=9.0, rtt_s=0.001)
    assert cost.published == BASE_COST
    cost.lost(now=20.0)
    cost.up(rtt_s=0.120, now=21.0)
    assert not measured(cost, now=22.0, rtt_s=0.001)


def test_a_link_that_comes_back_still_has_the_loss_it_had() -> None:
    cost = LinkCost()
    cost.up(rtt_s=0.001, now=0.0)
    measured(cost, now=1.0, loss=0.2)
    cost.lost(now=2.0)
    cost.up(rtt_s=0.001, now=3.0)
    assert cost.published == 480


def test_the_penalty_grows_with_every_loss_and_has_an_end() -> None:
    cost = LinkCost()
    prices = []
    for now in range(7):
        cost.up(rtt_s=0.001, now=now)
        prices.append(cost.published - BASE_COST)
        cost.lost(now=now)
    assert prices[:2] == [0, 0]
    assert prices == sorted(prices)
    assert prices[2] == pytest.approx(96, abs=4)
    assert prices[-1] == pytest.approx(FLAP_PENALTY_MAX, abs=12)


def test_losses_that_are_far_apart_cost_nothing() -> None:
    cost = LinkCost()
    for turn in range(5):
        cost.up(rtt_s=0.001, now=turn * 61.0)
        assert cost.published == BASE_COST
        cost.lost(now=turn * 61.0)
