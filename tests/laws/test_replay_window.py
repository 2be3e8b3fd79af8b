"""Counters in any order, with gaps and repetitions, against a set of all seen (E9.1)."""

from __future__ import annotations

from hypothesis import given, settings, strategies as st

from mreza.security.replay import REPLAY_WINDOW, ReplayWindow

GAP_MAX = 10_000
steps = st.lists(
    st.one_of(
        st.integers(-GAP_MAX, GAP_MAX),
        st.integers(-3, 3),
        st.sampled_from((0, 1, 63, 64, -63, -64, -8127, -8128, -8129, 8128, 8129, 8191, 8192)),
    ),
    max_size=200,
)


def walk(moves: list[int]) -> list[int]:
    """Each counter is so far from the one before."""
    counters, at = [], 0
    for move in moves:
        at = max(0, at + move)
        counters.append(at)
    return counters


@settings(max_examples=300, deadline=None)
@given(steps)
def test_each_counter_passes_once_and_exactly_within_the_window(moves: list[int]) -> None:
    window, seen, highest = ReplayWindow(), set(), -1
    for counter in walk(moves):
        expected = counter not in seen and highest - counter <= REPLAY_WINDOW
        assert window.is_new(counter) == expected
        if expected:
            window.accept(counter)
            seen.add(counter)
            highest = max(highest, counter)
        assert window.highest == highest


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**23), st.integers(0, GAP_MAX), st.randoms(use_true_random=False))
def test_everything_in_the_window_is_accepted_in_any_order_and_nothing_behind_it(
    start: int, gap: int, rng: object
) -> None:
    window = ReplayWindow()
    window.accept(start)
    highest = start + gap
    counters = list(range(max(0, highest - REPLAY_WINDOW - 50), highest + 1, 7)) * 2
    rng.shuffle(counters)  # type: ignore[attr-defined]
    window = ReplayWindow()
    window.accept(highest)
    passed = []
    for counter in counters:
        if window.is_new(counter):
            window.accept(counter)
            passed.append(counter)
    inside = {c for c in counters if highest - c <= REPLAY_WINDOW and c != highest}
    assert len(passed) == len(set(passed))
    assert set(passed) == inside
