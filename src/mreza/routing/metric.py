"""What a link costs: its round-trip time in the shape of RFC 9616, what it loses, how full it is.

Up to 10 ms a link costs 96 (Babel's cost of a wire, RFC 8966), from there it rises linearly by 150
to 246 at 120 ms. A link that loses costs up to four hops more, so that a way around it is taken; a
full one less than one hop more, which chooses between ways of equal length and never sends one flow
around its own link. A rise is told at once; a fall when it has held for a while (the hysteresis of
RFC 8966, appendix A.3, which prefers what was good lately), and both only by more than a tenth,
because each change is a signed record that every node reads.
"""

from __future__ import annotations

from collections import deque

BASE_COST = 96
RTT_PENALTY_MAX = 150
RTT_MIN_S = 0.010
RTT_MAX_S = 0.120
HYSTERESIS = 0.1
"""A cost within a tenth of the published one is not published. Default: RFC 8966 asks for some,
this is ours."""
FALL_AFTER_S = 180.0
"""A lower cost must have held so long. Traffic follows a cost that falls and makes it rise again:
routes of two loaded ways then change less than once a minute (tests/simulation)."""
LEARN_S = 10.0
"A new link is measured better every moment: so long its cost falls at once."
LOSS_FREE = 0.02
"A share of loss that a wire may have: TCP hides it."
LOSS_MAX = 0.2
"From this share on a link costs the most: it is as good as unusable."
LOSS_PENALTY_MAX = 4 * BASE_COST
LOAD_PENALTY_MAX = 64
"Less than a hop."
FLAP_WITHIN_S = 60.0
"A link lost twice in this time is penalized."
FLAP_PENALTY = BASE_COST
"For the second loss; doubled by each one more."
FLAP_PENALTY_MAX = 4 * BASE_COST
FLAP_HALVES_IN_S = 30.0
FLAP_OVER = 4
"A penalty below this is none."


def link_cost(*, rtt_s: float, loss: float = 0.0, load: float = 0.0) -> int:
    """Cost of a link with this smoothed round-trip time and these shares; at least 1."""
    rtt = RTT_PENALTY_MAX * _between(rtt_s, RTT_MIN_S, RTT_MAX_S)
    lost = LOSS_PENALTY_MAX * _between(loss, LOSS_FREE, LOSS_MAX)
    return BASE_COST + round(rtt + lost + LOAD_PENALTY_MAX * _between(load, 0.0, 1.0))


def worth_publishing(*, published: int, measured: int) -> bool:
    """Whether a measured cost is far enough from the published one to tell the mesh."""
    return abs(measured - published) > HYSTERESIS * published


def _between(value: float, low: float, high: float) -> float:
    """0 up to `low`, 1 from `high` on, linear between."""
    return min(1.0, max(0.0, (value - low) / (high - low)))


class LinkCost:
    """What one link is said to cost, over all its lives."""

    def __init__(self) -> None:
        self.published = BASE_COST
        self._measured = BASE_COST
        self._learns_until: float | None = None
        "None: never up yet."
        self._loss = 0.0
        self._losses: deque[float] = deque(maxlen=5)
        self._penalty = 0.0
        self._penalty_at = 0.0
        self._falls_at: float | None = None
        "When the lower cost will have held for long enough."

    # Inputs

    def up(self, *, rtt_s: float, now: float) -> None:
        """The link is usable; what it lost before it ended is not forgotten at once."""
        self._measured = link_cost(rtt_s=rtt_s, loss=self._loss)
        if self._learns_until is None:
            self._learns_until = now + LEARN_S
        self._publish(now)

    def lost(self, *, now: float) -> None:
        """It ended without a word. The second time within a minute has a price, for a while."""
        self._losses.append(now)
        times = sum(at > now - FLAP_WITHIN_S for at in self._losses)
        if times > 1:
            price = min(FLAP_PENALTY_MAX, FLAP_PENALTY * 2.0 ** (times - 2))
            self._penalty, self._penalty_at = max(price, self._penalty_left(now)), now

    def measured(self, *, rtt_s: float, loss: float, load: float, now: float) -> bool:
        """How it is now; True if the published cost is another for it."""
        self._loss = loss
        self._measured = link_cost(rtt_s=rtt_s, loss=loss, load=load)
        return self.advance(now=now)

    def advance(self, *, now: float) -> bool:
        """What is due; True if the published cost is another for it."""
        cost = self._cost(now)
        if not worth_publishing(published=self.published, measured=cost):
            # A penalty that is left fades on.
            self._falls_at = now + FALL_AFTER_S if self._penalty_left(now) else None
            return False
        if cost < self.published and now >= (self._learns_until or 0.0):
            if self._falls_at is None:
                self._falls_at = now + FALL_AFTER_S
            if now < self._falls_at:
                return False
        self._publish(now)
        return True

    # Outputs

    def next_deadline(self) -> float | None:
        """When `advance` must be called."""
        return self._falls_at

    # Rules

    def _publish(self, now: float) -> None:
        self.published = self._cost(now)
        self._falls_at = now + FALL_AFTER_S if self._penalty_left(now) else None

    def _cost(self, now: float) -> int:
        return self._measured + round(self._penalty_left(now))

    def _penalty_left(self, now: float) -> float:
        left = self._penalty * 0.5 ** ((now - self._penalty_at) / FLAP_HALVES_IN_S)
        return left if left > FLAP_OVER else 0.0
