"""20 % of the requests and ten a second, over any ten seconds."""

from __future__ import annotations

from hypothesis import given, strategies as st

from mreza.balancing.retry_budget import RetryBudget


def taken(budget: RetryBudget, *, now: float) -> int:
    count = 0
    while budget.take(now=now):
        count += 1
    return count


def test_without_requests_there_are_ten_a_second() -> None:
    budget = RetryBudget()
    assert taken(budget, now=0.0) == 100
    assert taken(budget, now=9.9) == 0
    assert taken(budget, now=10.0) == 100


def test_requests_earn_a_fifth_of_a_retry_for_ten_seconds() -> None:
    budget = RetryBudget()
    for _ in range(50):
        budget.request(now=0.0)
    assert budget.balance(now=9.9) == 110
    assert budget.balance(now=10.0) == 100


def test_what_had_to_be_sent_again_is_paid_later() -> None:
    budget = RetryBudget()
    for _ in range(150):
        budget.spend(now=0.0)
    assert not budget.take(now=5.0)
    assert budget.balance(now=5.0) == -50
    assert budget.take(now=10.0)


@given(st.lists(st.tuples(st.floats(0, 3), st.integers(0, 60)), max_size=40))
def test_in_any_ten_seconds_no_more_is_taken_than_was_earned(
    steps: list[tuple[float, int]],
) -> None:
    budget, now = RetryBudget(), 0.0
    log: list[tuple[float, int, int]] = []
    for wait_s, requests in steps:
        now += wait_s
        for _ in range(requests):
            budget.request(now=now)
        log.append((now, requests, taken(budget, now=now)))
        # Whole seconds are counted: this one and the nine before it. What was taken in them
        # may have been earned by requests ten seconds older.
        spent = sum(one[2] for one in log if int(one[0]) > int(now) - 10)
        requests_then = sum(one[1] for one in log if int(one[0]) > int(now) - 20)
        assert spent <= 100 + 0.2 * requests_then + 1e-6
