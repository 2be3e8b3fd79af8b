"""How good a link is, once a second: round-trip time, share of loss, share of load.

Loss is what TCP had to send again, which the network lost, and what our own full send queue gave
up, which we declare. Load is a queue that never empties (CoDel's standing queue, RFC 8289), because
a burst is no load.
"""

from __future__ import annotations

from typing import NamedTuple

GAIN = 0.2
"Of a new sample: a share that holds for five seconds counts for two thirds."
FULL_S = 0.25
"A queue that stands for so long is full load: an urgent message waits for no more than this."
SENT_MIN = 5
"Fewer than these tell nothing of a share."


class Quality(NamedTuple):
    """What the cost of a link is made of."""

    rtt_s: float
    loss: float
    "Share of what is sent, 0 to 1."
    load: float
    "Share of the queue that may stand, 0 to 1."


class TcpCounters(NamedTuple):
    """What a kernel tells of a connection, since its beginning."""

    rtt_s: float
    sent: int
    "Segments with data, those sent again included."
    retransmitted: int


class QualityMeter:
    """Differences of counters, smoothed."""

    def __init__(self) -> None:
        self._loss = 0.0
        self._given_up = 0.0
        self._load = 0.0
        self._tcp: TcpCounters | None = None
        self._frames: tuple[int, int] = (0, 0)
        self._written: tuple[float, int] | None = None
        self._least_waiting: int | None = None

    def waiting(self, queued_bytes: int) -> None:
        """The send queue as it is now; the least of a second is what stands in it."""
        least = self._least_waiting
        self._least_waiting = queued_bytes if least is None else min(least, queued_bytes)

    def pause(self) -> None:
        """What is sent again while a link is cut says nothing of how good it is otherwise."""
        self._tcp = None
        self._written = None

    def sample(
        self,
        *,
        echo_rtt_s: float,
        tcp: TcpCounters | None,
        frames: int,
        given_up: int,
        written_bytes: int,
        now: float,
    ) -> Quality:
        """Counters since the connection began; the quality now."""
        self._count_segments(tcp)
        self._count_frames(frames, given_up)
        self._weigh(written_bytes, now)
        # A busy loop delays an echo, a delayed acknowledgement the kernel's figure.
        rtt_s = echo_rtt_s if tcp is None else min(echo_rtt_s, tcp.rtt_s)
        return Quality(rtt_s, max(self._loss, self._given_up), self._load)

    def _count_segments(self, tcp: TcpCounters | None) -> None:
        before, self._tcp = self._tcp, tcp
        if before is None or tcp is None:
            return
        sent = tcp.sent - before.sent
        if sent >= SENT_MIN:
            share = min(1.0, (tcp.retransmitted - before.retransmitted) / sent)
            self._loss += GAIN * (share - self._loss)

    def _count_frames(self, frames: int, given_up: int) -> None:
        sent, lost = frames - self._frames[0], given_up - self._frames[1]
        self._frames = (frames, given_up)
        share = min(1.0, lost / sent) if sent else 0.0
        self._given_up += GAIN * (share - self._given_up)

    def _weigh(self, written_bytes: int, now: float) -> None:
        before, self._written = self._written, (now, written_bytes)
        standing, self._least_waiting = self._least_waiting, None
        if before is None or standing is None or now <= before[0]:
            return
        rate = (written_bytes - before[1]) / (now - before[0])
        stands_s = standing / rate if rate > 0 else (FULL_S if standing else 0.0)
        self._load += GAIN * (min(1.0, stands_s / FULL_S) - self._load)
