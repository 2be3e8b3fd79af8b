from __future__ import annotations

import pytest

from mreza.messaging.credit import (
    CREDIT_FIRST_BYTES,
    POSITION_MAX,
    CreditBudget,
    ReceiveCredit,
    SendCredit,
)

MIB = 1024 * 1024


def receiving(
    *, window_max: int = 4 * MIB, growth: int = 64 * MIB, stale: int = 0
) -> ReceiveCredit:
    return ReceiveCredit(CreditBudget(growth), window_max=window_max, stale=stale)


def come(credit: ReceiveCredit, position: int, size: int) -> None:
    """A batch that needs no order."""
    credit.admit(position, size)
    credit.hand_over(size)


def test_a_message_may_start_while_any_credit_is_left() -> None:
    credit = SendCredit()
    assert credit.take(CREDIT_FIRST_BYTES - 1) == 0
    assert credit.is_open
    assert credit.take(5 * MIB) == CREDIT_FIRST_BYTES - 1
    assert not credit.is_open


def test_credit_is_never_taken_back_by_a_late_word() -> None:
    credit = SendCredit()
    credit.take(CREDIT_FIRST_BYTES)
    assert credit.raise_to(CREDIT_FIRST_BYTES + 10)
    assert not credit.raise_to(5)
    assert not credit.raise_to(CREDIT_FIRST_BYTES + 20)
    assert credit.is_open


def test_a_receiver_that_restarted_allows_what_it_allows_a_new_sender() -> None:
    credit = SendCredit()
    credit.take(MIB)
    credit.restart()
    assert credit.limit == MIB + CREDIT_FIRST_BYTES


def test_consuming_half_a_window_is_worth_telling() -> None:
    credit = receiving()
    come(credit, 0, CREDIT_FIRST_BYTES)
    assert credit.announce(now=0.0) == CREDIT_FIRST_BYTES
    assert not credit.consumed(1000, now=10.0)
    assert credit.consumed(CREDIT_FIRST_BYTES // 2, now=10.0)
    assert credit.announce(now=10.0) == CREDIT_FIRST_BYTES + 1000 + CREDIT_FIRST_BYTES // 2


def test_a_fast_handler_gets_a_larger_window_up_to_the_bound() -> None:
    credit = receiving(window_max=3 * CREDIT_FIRST_BYTES)
    position = 0
    for turn in range(10):
        come(credit, position, credit.window)
        position += credit.window
        credit.announce(now=turn * 0.01)
        credit.consumed(credit.waiting, now=turn * 0.01 + 0.001)
    assert credit.window == 3 * CREDIT_FIRST_BYTES


def test_a_slow_handler_keeps_the_first_window() -> None:
    credit = receiving()
    for turn in range(5):
        come(credit, turn * CREDIT_FIRST_BYTES, CREDIT_FIRST_BYTES)
        credit.announce(now=turn * 10.0)
        credit.consumed(CREDIT_FIRST_BYTES, now=turn * 10.0 + 5)
    assert credit.window == CREDIT_FIRST_BYTES


def test_all_windows_together_grow_only_as_far_as_the_budget() -> None:
    budget = CreditBudget(CREDIT_FIRST_BYTES)
    first, second = (ReceiveCredit(budget, window_max=4 * MIB) for _ in range(2))
    for credit in (first, second):
        come(credit, 0, CREDIT_FIRST_BYTES)
        credit.consumed(CREDIT_FIRST_BYTES, now=0.0)
    assert (first.window, second.window) == (2 * CREDIT_FIRST_BYTES, CREDIT_FIRST_BYTES)
    assert budget.left == 0
    assert first.close() == 0
    assert budget.left == CREDIT_FIRST_BYTES


def test_lost_bytes_count_as_consumed() -> None:
    credit = receiving()
    come(credit, 10 * MIB, 100)
    assert credit.announce(now=0.0) == 10 * MIB + CREDIT_FIRST_BYTES


def test_a_sender_that_disregards_its_credit_meets_a_wall() -> None:
    credit = receiving(window_max=CREDIT_FIRST_BYTES)
    come(credit, 0, 2 * CREDIT_FIRST_BYTES - 1)
    assert credit.has_room
    come(credit, 0, 1)
    assert not credit.has_room


def test_what_waits_for_order_takes_credit_and_is_bounded_by_itself() -> None:
    credit = receiving(window_max=CREDIT_FIRST_BYTES)
    credit.admit(0, 2 * CREDIT_FIRST_BYTES)
    assert (credit.may_hold, credit.has_room, credit.waiting) == (False, True, 0)
    assert credit.announce(now=0.0) == CREDIT_FIRST_BYTES
    credit.hand_over(2 * CREDIT_FIRST_BYTES)
    assert (credit.may_hold, credit.has_room) == (True, False)


def test_what_an_earlier_process_left_is_consumed_first_and_told_to_nobody() -> None:
    credit = receiving(stale=1000)
    come(credit, 0, 500)
    assert credit.waiting == 1500
    credit.consumed(1200, now=0.0)
    assert credit.waiting == 300
    credit.consumed(10_000, now=0.0)
    assert credit.waiting == 0


def test_a_position_beyond_all_numbers_can_still_be_answered() -> None:
    credit = receiving()
    come(credit, (1 << 64) - 1, 1)
    assert credit.announce(now=0.0) <= POSITION_MAX + CREDIT_FIRST_BYTES + 1 < 1 << 64


def test_batches_that_wait_are_bounded_however_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mreza.messaging.credit.BATCHES_MAX", 3)
    credit = ReceiveCredit(CreditBudget(), window_max=CREDIT_FIRST_BYTES)
    for _ in range(3):
        assert credit.has_room
        credit.admit(0, 0)
        credit.hand_over(0)
    assert not credit.has_room
    credit.consumed(0, now=0.0)
    assert credit.has_room
