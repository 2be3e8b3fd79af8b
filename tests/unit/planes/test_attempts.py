"""Each attempt has a number of its own, until its call is over."""

from __future__ import annotations

import gc

import msgspec

from mreza.balancing.balancer import Balancer
from mreza.planes.attempts import Attempts
from mreza.planes.call import Call
from tests.support.service_bench import A, B


def call(number: int = 1, *, deadline: float = 30.0) -> Call:
    made = Call(number, "p", msgspec.Raw(b"\xc0"))
    made.deadline = deadline
    return made


def test_a_request_says_how_much_time_is_left_and_at_which_attempt() -> None:
    attempts, one = Attempts(), call(deadline=30.0)
    first = attempts.begin(one, A, None, idempotent=False, now=10.0)
    second = attempts.begin(one, B, None, idempotent=True, now=29.9999)
    assert (first.id, first.timeout_ms, first.attempt, first.idempotent) == (1, 20_000, 1, False)
    assert (second.id, second.timeout_ms, second.attempt, second.idempotent) == (2, 1, 2, True)
    far = attempts.begin(call(2, deadline=1e12), A, None, idempotent=False, now=0.0)
    assert far.timeout_ms == 2**31 - 1


def test_who_has_a_call_now_is_found_by_node() -> None:
    attempts, one, other = Attempts(), call(1), call(2)
    attempts.begin(one, A, None, idempotent=True, now=0.0)
    attempts.begin(other, A, None, idempotent=True, now=0.0)
    assert [attempt.call for attempt in attempts.at(A)] == [one, other]
    one.current = None
    attempts.begin(one, B, None, idempotent=True, now=0.0)
    assert [attempt.call for attempt in attempts.at(A)] == [other]
    assert [attempt.call for attempt in attempts.at(B)] == [one]
    assert attempts.get(1) is not None, "who was believed lost may answer all the same"


def test_a_call_that_is_over_leaves_nothing() -> None:
    balancer, attempts, one = Balancer(), Attempts(), call()
    for node in (A, B):
        lease = balancer.lease_on(node, now=0.0)
        attempts.begin(one, node, lease, idempotent=True, now=0.0)
    attempts.forget(one)
    assert attempts.get(1) is attempts.get(2) is None
    assert balancer.load_of(A).in_flight == balancer.load_of(B).in_flight == 0


def test_a_call_that_is_over_is_no_work_for_the_cycle_collector() -> None:
    gc.collect()
    gc.disable()
    try:
        attempts, one = Attempts(), call()
        for node in (A, B):
            attempts.begin(one, node, None, idempotent=True, now=0.0)
        one.rival = one.attempts[0]
        attempts.forget(one)
        del one, attempts
        assert gc.collect() == 0
    finally:
        gc.enable()
