"""Turns: whatever happened in one loop iteration is settled, sealed and written once, at its end.

A turn is one callback. It never awaits, so nothing can come between what it reads and what it does.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from typing import Any

from mreza.clock import Clock
from mreza.node.logs import Log
from mreza.planes.core import NodeCore

WATCH_CLOCKS_S = 5.0
"How often the two clocks are compared: a jump found later than this has already done its harm."
MEASURE_S = 1.0
"How often the load is measured, at most."
TIMER_SLACK_S = 0.0005
AFTER_FAILURE_S = 0.1
"A turn that raised is tried again no sooner by itself: a loop of failures would stop all else."

log = Log("mreza")


class Driver:
    """Runs one NodeCore on the event loop. Owns one timer and at most one scheduled turn."""

    def __init__(
        self,
        core: NodeCore,
        *,
        clock: Clock,
        carry_out: Callable[[Any], None],
        flush_links: Callable[[], None],
        measure: Callable[[float], None] | None = None,
    ) -> None:
        """`measure` is told how late the loop was at worst since it was called last."""
        self._core = core
        self._clock = clock
        self._carry_out = carry_out
        self._flush_links = flush_links
        self._measure = measure
        self._loop = asyncio.get_running_loop()
        # Turns run in the node's context. In that of whoever woke the node, handlers would inherit
        # the variables of some caller that they have nothing to do with.
        self._context = contextvars.copy_context()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._scheduled = False
        self._closed = False
        self._clocks_due = 0.0
        self._measure_due = 0.0
        self._wanted_at = 0.0
        "When the scheduled turn should have been: what it is late by, the loop is."
        self._lag_s = 0.0
        self.turns = 0

    def wake(self) -> None:
        """Something happened: have a turn at the end of this loop iteration."""
        if not self._scheduled and not self._closed:
            self._scheduled = True
            self._wanted_at = self._clock.monotonic()
            self._loop.call_soon(self._turn, context=self._context)

    def turn_now(self) -> None:
        """Have the turn at once, for the last words before closing."""
        self._wanted_at = self._clock.monotonic()
        self._context.copy().run(self._turn)

    def close(self) -> None:
        """No more turns."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _turn(self) -> None:
        self._scheduled = False
        if self._closed:
            return
        self.turns += 1
        core, now = self._core, self._clock.monotonic()
        not_before = 0.0
        self._lag_s = max(self._lag_s, now - self._wanted_at)
        try:
            if now >= self._measure_due and self._measure is not None:
                self._measure_due = now + MEASURE_S
                self._measure(self._lag_s)
                self._lag_s = 0.0
            if now >= self._clocks_due:
                self._clocks_due = now + WATCH_CLOCKS_S
                core.clocks(now=now, wall=self._clock.wall())
            core.advance(now=now)
            core.flush(now=now)
        except Exception as error:
            # A defect of ours. What is settled already is carried out: others wait for it.
            log.error("turn_failed", exc_info=error)
            not_before = now + AFTER_FAILURE_S
        for effect in core.drain():
            try:
                self._carry_out(effect)
            except Exception as error:
                log.error("effect_failed", effect=type(effect).__name__, exc_info=error)
        self._flush_links()
        self._arm(not_before)

    def _arm(self, not_before: float = 0.0) -> None:
        deadline = self._core.next_deadline()
        until = self._clocks_due if deadline is None else min(deadline, self._clocks_due)
        until = max(until, not_before)
        if self._timer is not None:
            if self._timer_at <= until:
                # It fires early and finds nothing due: cheaper than a new timer for every turn.
                return
            self._timer.cancel()
        self._timer_at = until
        delay_s = max(0.0, until - self._clock.monotonic()) + TIMER_SLACK_S
        self._timer = self._loop.call_later(delay_s, self._timer_fired, context=self._context)

    def _timer_fired(self) -> None:
        self._timer = None
        self.wake()
        # A turn that somebody asked for before is not later for this.
        self._wanted_at = min(self._wanted_at, self._timer_at + TIMER_SLACK_S)
