"""When everybody is busy: whose work is still taken, and when to ask again."""

from __future__ import annotations

from mreza.qos import Priority

RETRY_AFTER_MIN_S = 0.05
RETRY_AFTER_MAX_S = 10.0


def fill_limit(priority: int, *, threshold: float) -> float:
    """Share of its room a node may have taken and still get work of this priority.

    Four steps from the threshold (LOW) to full (CRITICAL): 80, 87, 93, 100 %.
    """
    step = min(max(priority, Priority.LOW), Priority.CRITICAL) / Priority.CRITICAL
    return threshold + (1.0 - threshold) * step


def retry_after_s(*, in_flight: float, room: float, latency_s: float | None) -> float:
    """Until the work in flight is down to `room`, at the pace at which it ends (Little's law)."""
    if latency_s is None or in_flight <= room:
        return RETRY_AFTER_MIN_S
    wait_s = (in_flight - room) / in_flight * latency_s
    return min(max(wait_s, RETRY_AFTER_MIN_S), RETRY_AFTER_MAX_S)
