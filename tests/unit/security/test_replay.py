from __future__ import annotations

from mreza.security.replay import REPLAY_WINDOW, ReplayWindow


def accepted(window: ReplayWindow, counter: int) -> bool:
    if not window.is_new(counter):
        return False
    window.accept(counter)
    return True


def test_counters_in_order_pass_once() -> None:
    window = ReplayWindow()
    assert all(accepted(window, counter) for counter in range(20_000))
    assert not any(accepted(window, counter) for counter in range(20_000))


def test_the_window_reaches_8128_back_and_no_further() -> None:
    for highest in (8128, 8129, 9000, 10_047, 10_048, 123_456):
        window = ReplayWindow()
        assert accepted(window, highest)
        assert not window.is_new(highest - REPLAY_WINDOW - 1)
        assert accepted(window, highest - REPLAY_WINDOW)
        assert not window.is_new(highest - REPLAY_WINDOW)


def test_a_jump_over_the_whole_ring_forgets_it() -> None:
    window = ReplayWindow()
    for counter in range(300):
        window.accept(counter)
    window.accept(10 * REPLAY_WINDOW)
    behind = range(9 * REPLAY_WINDOW, 10 * REPLAY_WINDOW)
    assert all(window.is_new(counter) for counter in behind)


def test_asking_changes_nothing() -> None:
    window = ReplayWindow()
    window.accept(5)
    assert window.is_new(1_000_000)
    assert window.highest == 5
    assert window.is_new(4)
    assert window.is_new(4)
