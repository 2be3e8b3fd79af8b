"""Closed, open, half open."""

from __future__ import annotations

import pytest

from mreza.balancing.circuit_breaker import OPEN_MAX_S, OPEN_S, Circuit, CircuitBreaker


def test_it_opens_for_longer_each_time_up_to_a_limit() -> None:
    circuit = CircuitBreaker()
    rests = []
    for _ in range(12):
        circuit.trip(now=1000.0)
        rests.append((circuit.open_until or 0.0) - 1000.0)
    assert rests[:3] == [OPEN_S, 2 * OPEN_S, 3 * OPEN_S]
    assert rests[-1] == OPEN_MAX_S


def test_after_its_rest_one_request_at_a_time_is_let_in() -> None:
    circuit = CircuitBreaker()
    assert circuit.lets_in(pending=500, now=0.0)
    circuit.trip(now=0.0)
    assert circuit.state(29.9) is Circuit.OPEN
    assert not circuit.lets_in(pending=0, now=29.9)
    assert circuit.state(30.0) is Circuit.HALF_OPEN
    assert circuit.lets_in(pending=0, now=30.0)
    assert not circuit.lets_in(pending=1, now=30.0)


@pytest.mark.parametrize(("at", "state"), [(10.0, Circuit.OPEN), (30.0, Circuit.CLOSED)])
def test_only_a_success_of_the_trial_closes_it(at: float, state: Circuit) -> None:
    circuit = CircuitBreaker()
    circuit.trip(now=0.0)
    circuit.succeeded(now=at)
    assert circuit.state(at) is state


def test_old_trouble_is_forgotten_while_it_is_closed() -> None:
    circuit = CircuitBreaker()
    circuit.ease()
    circuit.trip(now=0.0)
    circuit.ease()
    assert circuit.times == 1
    circuit.succeeded(now=OPEN_S)
    circuit.ease()
    assert circuit.times == 0
