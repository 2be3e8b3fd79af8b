"""One link of the modelled network: what TCP and TLS give between two nodes, a way each way.

Frames of a way arrive in order after a delay, or the link ends. What a cut swallows TCP sends
again: it arrives when the way is free again, if the link lived that long. Envelopes may be given
up, doubled or overtaken besides: that is what relays, dying links and second links can do to them.
"""

from __future__ import annotations

from collections import deque
from operator import attrgetter
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from mreza.link.rtt import RoundTripTime
from mreza.sim.agenda import Agenda, tick
from mreza.sim.latency import Draw
from mreza.wire.frame import HEADER_BYTES, FrameType

if TYPE_CHECKING:
    from mreza.sim.node import SimNode
    from mreza.sim.probing import Probing

RESUMES_WITHIN_S = 0.2
"A way that is free again carries frames after its sender's retransmission timer (RFC 6298)."
_ENVELOPE = int(FrameType.ENVELOPE)


class _Frame(NamedTuple):
    """One frame on its way."""

    number: int
    kind: int
    body: bytes


_number = attrgetter("number")
UNORDERED = -1
"The number of a frame that came by another way: it waits for nothing."


class Way:
    """One direction of a link, from `source` to `target`."""

    __slots__ = (
        "_early",
        "_last_at",
        "_next_in",
        "_next_out",
        "_queue",
        "_queue_bytes",
        "_rate",
        "_sending",
        "_waiting",
        "_waiting_bytes",
        "agenda",
        "back",
        "blocks",
        "bytes_carried",
        "clogs",
        "draw",
        "duplicate",
        "extra_s",
        "frames_carried",
        "is_open",
        "link",
        "loss",
        "probing",
        "queue_bytes",
        "quiet",
        "reorder",
        "rng",
        "rtt",
        "source",
        "target",
    )

    def __init__(
        self, link: SimLink, source: SimNode, target: SimNode, *, agenda: Agenda, rng: Random
    ) -> None:
        self.link = link
        self.source = source
        self.target = target
        self.agenda = agenda
        self.rng = rng
        self.back: Way
        self.is_open = False
        "The source has this link and may send."
        self.draw: Draw
        self.loss = 0.0
        "Share of envelopes that vanish."
        self.duplicate = 0.0
        "Share of envelopes that arrive twice."
        self.reorder = 0.0
        "Share of envelopes that arrive later than those sent after them."
        self.extra_s = 0.0
        self.queue_bytes = 8 << 20
        "What may wait for this way; a frame more is given up, and its node told so."
        self.blocks: dict[object, None] = {}
        "Why nothing passes; nothing is heard of the source then."
        self.clogs: dict[object, None] = {}
        "Why frames wait, although the link looks alive."
        self.quiet: object | None = None
        "Set while nothing is heard over this way."
        self.probing: Probing | None = None
        "The liveness machine of the source's end, in worlds that run it."
        self.rtt = RoundTripTime()
        "As the source measures it."
        self.frames_carried = 0
        self.bytes_carried = 0
        self._rate = 0.0
        self._queue: deque[_Frame] = deque()
        "What waits for its turn on a slow way; the first is being sent."
        self._queue_bytes = 0
        self._sending: object | None = None
        self._last_at = 0.0
        self._waiting: list[_Frame] = []
        "What the sender holds, and what a cut has swallowed."
        self._waiting_bytes = 0
        self._next_out = self._next_in = 0
        self._early: dict[int, _Frame] = {}
        "What arrived before something that has to be sent again."

    @property
    def passes(self) -> bool:
        """Whether signs of life come through."""
        return not self.blocks and self.source.alive and not self.source.frozen

    @property
    def backlog_s(self) -> float:
        """How long a byte sent now waits for its turn."""
        return self._queue_bytes / self._rate if self._rate else 0.0

    @property
    def bytes_per_s(self) -> float:
        """How much it carries; 0: no limit."""
        return self._rate

    @bytes_per_s.setter
    def bytes_per_s(self, rate: float) -> None:
        self._rate = rate
        if self._queue:
            # What waits goes on at the new rate.
            self._send_first()

    def transmit(self, kind: int, body: bytes, priority: int) -> None:
        """Put a frame on its way. It may be given up here, and arrives in order or not at all."""
        size = len(body) + HEADER_BYTES
        if kind == _ENVELOPE and self.loss and self.rng.random() < self.loss:
            return
        self.frames_carried += 1
        self.bytes_carried += size
        waits = self.blocks or self.clogs
        if self._waiting_bytes + self._queue_bytes + size > self.queue_bytes:
            self.source.frame_gave_way(self, kind, body, priority)
            return
        frame = _Frame(self._next_out, kind, body)
        self._next_out += 1
        if waits:
            self._wait(frame)
        else:
            self._launch(frame, 0.0)

    def clear(self) -> None:
        """The connection ended: what was under way is lost."""
        self._waiting.clear()
        self._early.clear()
        self._queue.clear()
        self._sending = None
        self._queue_bytes = self._waiting_bytes = self._next_out = self._next_in = 0
        self._last_at = 0.0

    def resume(self) -> None:
        """The way is free again: what waited goes on, in order."""
        if self.blocks or self.clogs or not self._waiting:
            return
        after_s = tick(self.rng.random() * RESUMES_WITHIN_S)
        waiting, self._waiting = self._waiting, []
        self._waiting_bytes = 0
        for frame in sorted(waiting, key=_number):
            self._launch(frame, after_s)

    # Rules.

    def _wait(self, frame: _Frame) -> None:
        self._waiting.append(frame)
        self._waiting_bytes += len(frame.body) + HEADER_BYTES

    def _launch(self, frame: _Frame, after_s: float) -> None:
        if not self._rate and not self._queue:
            self._depart(frame, after_s)
            return
        self._queue.append(frame)
        self._queue_bytes += len(frame.body) + HEADER_BYTES
        if len(self._queue) == 1:
            self._send_first()

    def _send_first(self) -> None:
        """The first of the queue takes its time, at the rate of now."""
        size = len(self._queue[0].body) + HEADER_BYTES
        self._sending = sending = object()
        self.agenda.after(tick(size / self._rate) if self._rate else 0.0, self._sent, sending)

    def _sent(self, sending: object) -> None:
        if sending is not self._sending:
            return
        frame = self._queue.popleft()
        self._queue_bytes -= len(frame.body) + HEADER_BYTES
        self._depart(frame, 0.0)
        if self._queue:
            self._send_first()

    def _depart(self, frame: _Frame, after_s: float) -> None:
        now = self.agenda.now
        at = max(now + after_s + self.draw() + self.extra_s, self._last_at)
        generation = self.link.generation
        if frame.kind == _ENVELOPE:
            again = frame._replace(number=UNORDERED)
            if self.duplicate and self.rng.random() < self.duplicate:
                self.agenda.at(at + self.draw(), self._arrive, generation, again)
            if self.reorder and self.rng.random() < self.reorder:
                # Its place is taken by nothing, and it comes by another way.
                self.agenda.at(at + tick(4 * self.draw()), self._arrive, generation, again)
                frame = frame._replace(body=b"")
        self._last_at = at
        self.agenda.at(at, self._arrive, generation, frame)

    def _arrive(self, generation: int, frame: _Frame) -> None:
        link = self.link
        if link.generation != generation:
            return
        if self.blocks or self.clogs or (link.kept_until > 0 and not self.back.is_open):
            self._wait(frame)
        elif frame.number == UNORDERED:
            self._hand_over(frame)
        elif frame.number != self._next_in:
            self._early[frame.number] = frame
        else:
            following: _Frame | None = frame
            while following is not None:
                self._next_in += 1
                self._hand_over(following)
                following = self._early.pop(self._next_in, None)

    def _hand_over(self, frame: _Frame) -> None:
        if self.target.frozen:
            self.target.when_thawed(self._thawed, self.link.generation, frame)
            return
        probing = self.back.probing
        if probing is not None and frame.body:
            probing.heard(frame.kind, frame.body)
            if frame.kind == FrameType.PROBE:
                return
            if not self.back.is_open and self.back.probing is not None:
                self._wait(frame._replace(number=UNORDERED))
                return
        if frame.body and (self.back.is_open or probing is not None):
            self.target.frame_arrived(self, frame.kind, frame.body)

    def _thawed(self, generation: int, frame: _Frame) -> None:
        if self.link.generation == generation and self.target.alive:
            self._hand_over(frame)


class SimLink:
    """A link of two nodes, or the wish to have one."""

    __slots__ = ("delay_s", "dialing", "ends", "generation", "kept_until", "watched", "ways")

    def __init__(
        self, a: SimNode, b: SimNode, *, delay_s: float, agenda: Agenda, rng: Random
    ) -> None:
        self.ends = (a.name, b.name)
        self.delay_s = delay_s
        "Median delay of a frame, one way."
        self.generation = 0
        "Counts connections: frames of an earlier one are lost with it."
        self.dialing = False
        self.watched = False
        "Its round-trip time is measured."
        self.kept_until = 0.0
        "If it is silent: until then its connection may be heard again."
        self.ways = (
            Way(self, a, b, agenda=agenda, rng=rng),
            Way(self, b, a, agenda=agenda, rng=rng),
        )
        self.ways[0].back, self.ways[1].back = self.ways[1], self.ways[0]

    @property
    def up(self) -> bool:
        """Both ends have it."""
        return self.ways[0].is_open and self.ways[1].is_open

    @property
    def free(self) -> bool:
        """A connection could be made, as far as the network goes."""
        one, other = self.ways
        return not (one.blocks or other.blocks or one.clogs or other.clogs)

    @property
    def loss(self) -> float:
        """Share of envelopes that vanish, each way."""
        return self.ways[0].loss

    @loss.setter
    def loss(self, share: float) -> None:
        for way in self.ways:
            way.loss = share

    def other(self, name: str) -> str:
        """The other end's name."""
        return self.ends[1] if name == self.ends[0] else self.ends[0]

    def way_from(self, name: str) -> Way:
        """The way that starts at this end."""
        return self.ways[0] if name == self.ends[0] else self.ways[1]
