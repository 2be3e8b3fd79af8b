"""What past answers say about how long the next will take."""

from __future__ import annotations

import math
from collections import deque

PEAK_DECAY_S = 10.0
"Time in which an old latency loses all but 1/e of its weight (finagle's default)."
WINDOW = 128
"Latencies remembered for quantiles: the 95th percentile of 128 rests on the 7 slowest."
REFRESH = 16
"Quantiles are worked out again after so many new latencies."


class PeakLatency:
    """A moving average that jumps to any latency above it and decays below (finagle's Peak EWMA).

    It decays to 0 while nothing is heard, so that a node that was slow is tried again.
    """

    __slots__ = ("_cost_s", "_stamp")

    def __init__(self) -> None:
        self._cost_s = 0.0
        self._stamp = 0.0

    def observe(self, latency_s: float, *, now: float) -> None:
        """A piece of work took this long."""
        cost_s = self.at(now)
        kept = math.exp(-max(0.0, now - self._stamp) / PEAK_DECAY_S)
        self._cost_s = latency_s if latency_s > cost_s else cost_s + latency_s * (1.0 - kept)
        self._stamp = now

    def at(self, now: float) -> float:
        """What to expect; 0 if nothing is known."""
        return self._cost_s * math.exp(-max(0.0, now - self._stamp) / PEAK_DECAY_S)


class LatencyWindow:
    """Quantiles of the last latencies of one process, whichever node they come from."""

    __slots__ = ("_news", "_recent", "_sorted")

    def __init__(self) -> None:
        self._recent: deque[float] = deque(maxlen=WINDOW)
        self._sorted: list[float] = []
        self._news = 0

    def __len__(self) -> int:
        return len(self._recent)

    def add(self, latency_s: float) -> None:
        """Another piece of work was done."""
        self._recent.append(latency_s)
        self._news += 1

    def quantile(self, share: float) -> float | None:
        """The latency that this share of the work did not exceed; None: nothing is known."""
        if self._news >= REFRESH or len(self._sorted) < min(len(self._recent), REFRESH):
            self._sorted = sorted(self._recent)
            self._news = 0
        if not self._sorted:
            return None
        return self._sorted[min(int(share * len(self._sorted)), len(self._sorted) - 1)]
