"""Round-trip time of a link, smoothed (RFC 6298, section 2), from probes that carry an echo."""

from __future__ import annotations

GAIN = 1 / 8
"Weight of a new sample. Source: RFC 6298."
VARIANCE_GAIN = 1 / 4
SAMPLE_MAX_S = 60.0
"A longer one is a broken clock or a liar, not a network."


def stamp_us(now: float) -> int:
    """A time stamp for a probe; never 0, which means 'nothing received yet'."""
    return int(now * 1e6) + 1


class RoundTripTime:
    """Smoothed round-trip time and its mean deviation; None before the first sample."""

    __slots__ = ("smoothed_s", "variation_s")

    def __init__(self) -> None:
        self.smoothed_s: float | None = None
        self.variation_s = 0.0

    def echoed(self, *, echo_us: int, held_us: int, now: float) -> bool:
        """Take the echo of our stamp, held by the peer for `held_us`; False if it is absurd."""
        if not echo_us:
            return False
        return self.sample((stamp_us(now) - echo_us - held_us) / 1e6)

    def sample(self, rtt_s: float) -> bool:
        """Take one measurement; False if it is absurd and was ignored."""
        if not 0 <= rtt_s <= SAMPLE_MAX_S:
            return False
        if self.smoothed_s is None:
            self.smoothed_s, self.variation_s = rtt_s, rtt_s / 2
        else:
            self.variation_s += VARIANCE_GAIN * (abs(self.smoothed_s - rtt_s) - self.variation_s)
            self.smoothed_s += GAIN * (rtt_s - self.smoothed_s)
        return True
