"""When to probe a link, and when it is unusable: BFD (RFC 5880) in its asynchronous mode, on TCP.

Each end sends probes and answers none; silence is the problem. Anything received is a sign of life.
An end that hears nothing says so in its probes: a link that is cut one way is unusable at both
ends. Differs from BFD: each probe says when the next one leaves, so that the rate may change at any
time; the patience grows by how late probes were lately; and a node whose own loop was late doubts
itself: the time in which it did not listen is not held against the peer.
"""

from __future__ import annotations

from mreza.config.link import LinkConfig

MARGIN = 1 / 4
"""Of an interval: how late the last missed probe may always be. Timers and schedulers of an idle
machine are late by a few ms."""
LATE_FACTOR = 1.5
"Patience beyond the latest arrival seen lately: the next one may be later still."
LATE_HALVES_IN_S = 10.0
"The latest arrival counts half after this time: a busy minute is not forgotten at once."
DOUBT = 1 / 4
"""Of an interval: a loop that is later than this did not listen. What came meanwhile waits to be
read, so a verdict that is due then is put off for as long again, once."""


FOLLOW_S = 0.03
"""After the peer's probe: sooner than Linux acknowledges a segment on its own (40 ms), so that the
acknowledgement rides on our probe, and costs no frame."""
FOLLOW_FROM, FOLLOW_TO, FOLLOW_STEP = 0.5, 1.2, 0.8
"Parts of an interval from one of our probes to the next while we fall into step."


class Liveness:
    """What one end knows of a link: whether it hears the peer, and whether the peer hears it."""

    __slots__ = (
        "_busy_s",
        "_heard_at",
        "_idle_s",
        "_interval_s",
        "_late_at",
        "_late_s",
        "_missed",
        "_peer_hears",
        "_peer_interval_s",
        "_probe_at",
        "_probe_heard_at",
        "_probed_at",
        "_put_off_until",
        "_silent_after_s",
        "_wake_at",
        "hears",
        "usable",
    )

    def __init__(self, *, config: LinkConfig, now: float) -> None:
        self.hears = True
        "False: nothing was heard for too long."
        self.usable = True
        "Both ends hear each other."
        self._busy_s = config.probe_interval_s
        self._idle_s = max(config.idle_probe_interval_s, config.probe_interval_s)
        self._missed = config.missed_probes
        self._silent_after_s = config.silent_after_s
        self._interval_s = self._busy_s
        "Ours, if the link is usable."
        self._peer_interval_s = self._busy_s
        "As it said; until then: as ours."
        self._peer_hears = True
        self._heard_at = now
        "Moved on by the time in which we did not listen."
        self._probe_heard_at: float | None = None
        self._put_off_until = 0.0
        "A verdict was due when we had not listened: it is passed then."
        self._late_s = 0.0
        "The latest arrival of a probe, as of `_late_at`."
        self._late_at = now
        self._probe_at = now
        self._probed_at = now
        "When ours left last."
        self._wake_at = now
        "When `advance` should have been called."

    # Inputs

    def heard(self, *, now: float) -> None:
        """Something came from the peer."""
        self._heard_at = now
        self._put_off_until = 0.0
        if not self.hears:
            self.hears = True
            self._tell(now)
            self._settle(now)

    def probe_heard(self, *, next_s: float, hears: bool, now: float) -> None:
        """What came was a probe; the next one leaves within `next_s` (0: not said)."""
        if self._probe_heard_at is not None and self.usable:
            self._arrived_late(now - self._probe_heard_at - self._peer_interval_s, now)
        self._probe_heard_at = now
        longest_s = self._silent_after_s / self._missed
        self._peer_interval_s = min(next_s, longest_s) if next_s else self._busy_s
        self._peer_hears = hears
        self._settle(now)

    def carry(self, *, routes: bool, now: float) -> None:
        """Whether routes lead over this link: one that is spare is probed less often."""
        interval_s = self._busy_s if routes else self._idle_s
        if interval_s < self._interval_s and self.usable:
            self._tell(now)
        self._interval_s = interval_s

    def follow(self, *, now: float) -> None:
        """A probe came: send ours soon after the peer's. One end of a link does so."""
        if self.interval_s != self._peer_interval_s:
            return
        at = now + min(FOLLOW_S, self.interval_s / 2)
        in_step = FOLLOW_FROM <= (at - self._probed_at) / self.interval_s <= FOLLOW_TO
        self._probe_at = at if in_step else self._probed_at + FOLLOW_STEP * self.interval_s
        self._plan()

    def advance(self, *, now: float) -> None:
        """Pass a verdict. Call it at every deadline: what it is late by is our own lateness."""
        late_s, tolerated_s = now - self._wake_at, DOUBT * self._busy_s
        if late_s > tolerated_s:
            self._heard_at = min(now, self._heard_at + late_s)
            if self._probe_heard_at is not None:
                self._probe_heard_at = min(now, self._probe_heard_at + late_s)
        if self.hears and now >= self._unusable_at():
            if late_s > tolerated_s and not self._put_off_until:
                self._put_off_until = now + tolerated_s
            else:
                self.hears = False
                self._probe_heard_at = None
                self._settle(now)
        self._plan()

    def probe_due(self, *, now: float) -> bool:
        """True once per interval; the caller sends the probe."""
        if now < self._probe_at:
            return False
        # From now, not from when it was due: a late loop does not send a volley.
        self._probe_at = now + self.interval_s
        self._probed_at = now
        self._plan()
        return True

    # Outputs

    @property
    def interval_s(self) -> float:
        """The time from one of our probes to the next."""
        return self._interval_s if self.usable else self._idle_s

    @property
    def patience_s(self) -> float:
        """How long the peer may be silent now, from the moment at which a probe came or was due."""
        missed_s = self._missed * self._peer_interval_s
        margin_s = max(MARGIN * self._peer_interval_s, LATE_FACTOR * self._late_s)
        return missed_s + min(margin_s, missed_s)

    def silence_s(self, *, now: float) -> float:
        """How long nothing came while we listened."""
        return now - self._heard_at

    def is_over(self, *, now: float) -> bool:
        """Nothing came for so long that the connection is not worth keeping."""
        return not self.hears and now >= self._heard_at + self._silent_after_s

    def next_deadline(self) -> float:
        """When `advance` must be called at the latest."""
        return self._wake_at

    # Rules

    def _arrived_late(self, late_s: float, now: float) -> None:
        faded_s = self._late_s * 0.5 ** ((now - self._late_at) / LATE_HALVES_IN_S)
        self._late_s = max(faded_s, late_s)
        self._late_at = now

    def _unusable_at(self) -> float:
        since = self._heard_at
        if self._probe_heard_at is not None:
            # Other frames came later than the last probe: the probes that were due before them are
            # not missed, those that are due from then on are.
            late_s = since - self._probe_heard_at
            since -= late_s % self._peer_interval_s
        return max(since + self.patience_s, self._put_off_until)

    def _settle(self, now: float) -> None:
        """Draw the conclusion."""
        usable = self.hears and self._peer_hears
        if usable != self.usable:
            self.usable = usable
            self._tell(now)

    def _tell(self, now: float) -> None:
        """The peer should know at once."""
        self._probe_at = self._wake_at = now

    def _plan(self) -> None:
        over_at = self._heard_at + self._silent_after_s
        verdict_at = self._unusable_at() if self.hears else over_at
        self._wake_at = min(self._probe_at, verdict_at)
