"""What a link costs: its smoothed round-trip time in the shape of RFC 9616, and a hysteresis.

Up to 10 ms a link costs 96 (Babel's cost of a wire, RFC 8966), from there it rises linearly by 150
to 246 at 120 ms. Differs from the RFC: the time is smoothed by the link that measures it, and a
published cost changes only by a tenth, because each change is a signed record that every node
reads.
"""

from __future__ import annotations

BASE_COST = 96
RTT_PENALTY_MAX = 150
RTT_MIN_S = 0.010
RTT_MAX_S = 0.120
HYSTERESIS = 0.1
"""A cost within a tenth of the published one is not published. Default: RFC 8966 asks for some,
this is ours."""


def link_cost(*, rtt_s: float) -> int:
    """Cost of a link with this smoothed round-trip time; at least 1."""
    share = (rtt_s - RTT_MIN_S) / (RTT_MAX_S - RTT_MIN_S)
    return BASE_COST + round(RTT_PENALTY_MAX * min(1.0, max(0.0, share)))


def worth_publishing(*, published: int, measured: int) -> bool:
    """Whether a measured cost is far enough from the published one to tell the mesh."""
    return abs(measured - published) > HYSTERESIS * published
