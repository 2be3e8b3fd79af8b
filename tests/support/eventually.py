"""Wait for a condition, never for a time: poll it, with a deadline that slow machines meet."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

GENEROUS_S = 20.0
"Ends a test that would hang; never how long something is expected to take."
_POLL_S = 0.01


def eventually(condition: Callable[[], T], what: str = "", *, timeout_s: float = GENEROUS_S) -> T:
    """Call `condition` until it returns something true, and return that."""
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(_complaint(condition, found, what, timeout_s))
        time.sleep(_POLL_S)
    return found


async def eventually_async(
    condition: Callable[[], T], what: str = "", *, timeout_s: float = GENEROUS_S
) -> T:
    """As `eventually`, leaving the loop free between the calls; `condition` is a plain function."""
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(_complaint(condition, found, what, timeout_s))
        await asyncio.sleep(_POLL_S)
    return found


def _complaint(condition: object, found: object, what: str, timeout_s: float) -> str:
    name = what or getattr(condition, "__qualname__", repr(condition))
    return f"{name}: still {found!r} after {timeout_s:g} s"
