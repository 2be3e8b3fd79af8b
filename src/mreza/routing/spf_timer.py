"""Shortest-path scheduling: when to recompute routes after a change (RFC 8405).

Differs from the RFC: the first change is computed at once, because an overlay has no hardware to
program; the 50 ms of INITIAL_SPF_DELAY then separate it from the second. And `hasten`: a lost edge,
after which old routes are dead, or a node's first route does not wait out a storm. It is computed
at most every 50 ms; all other changes keep the RFC's delays, which spare CPU and avoid micro-loops.
"""

from __future__ import annotations

import enum
import math

from mreza.config.routing import RoutingConfig


class SpfState(enum.Enum):
    """How much is going on."""

    QUIET = "quiet"
    SHORT_WAIT = "short_wait"
    "A change was computed; more are likely to belong to the same failure."
    LONG_WAIT = "long_wait"
    "Changes go on for longer than one failure explains."


class SpfTimer:
    """Told of changes, says when to compute. `change` and `hasten` return True for 'now'."""

    def __init__(self, *, config: RoutingConfig) -> None:
        self._config = config
        self._state = SpfState.QUIET
        self._first_wait = False
        "The next wait is the first since QUIET."
        self._learn_until = 0.0
        self._quiet_at = 0.0
        self._due: float | None = None
        self._last = -math.inf
        "When routes were computed last."

    # Inputs

    def change(self, *, now: float) -> bool:
        """The graph changed. True: compute now; else `next_deadline` says when."""
        state = self.state(now=now)
        self._quiet_at = now + self._config.spf_hold_down_s
        if state is SpfState.QUIET:
            self._state = SpfState.SHORT_WAIT
            self._first_wait = True
            self._learn_until = now + self._config.spf_learn_s
            self._computed(now)
            return True
        if self._due is None:
            self._due = now + self._delay_s(state)
            self._first_wait = False
        return self.advance(now=now)

    def hasten(self, *, now: float) -> bool:
        """The change just told cannot wait: at most `spf_initial_s` since the last computation."""
        if self._due is None:
            return False
        self._due = min(self._due, max(now, self._last + self._config.spf_initial_s))
        return self.advance(now=now)

    def advance(self, *, now: float) -> bool:
        """True: compute now."""
        if self._due is None or now < self._due:
            return False
        self._computed(now)
        return True

    # Outputs

    def next_deadline(self) -> float | None:
        return self._due

    def state(self, *, now: float) -> SpfState:
        """The state of the RFC's machine at that time."""
        if self._state is not SpfState.QUIET and now >= self._quiet_at:
            self._state = SpfState.QUIET
        elif self._state is SpfState.SHORT_WAIT and now >= self._learn_until:
            self._state = SpfState.LONG_WAIT
        return self._state

    # Rules

    def _delay_s(self, state: SpfState) -> float:
        if state is SpfState.LONG_WAIT:
            return self._config.spf_long_s
        return self._config.spf_initial_s if self._first_wait else self._config.spf_short_s

    def _computed(self, now: float) -> None:
        self._due = None
        self._last = now
