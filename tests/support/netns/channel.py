"""One direction of a wire: delays, drops, holes and counts frames. Time is an argument."""

from __future__ import annotations

from collections import deque
from random import Random

import msgspec

FRAMES_MAX = 4096
"Under way at a time; more are lost, as in a full queue of a router."


class Counted(msgspec.Struct, frozen=True):
    """What went through one direction since it was made."""

    frames: int
    "Given to us."
    bytes: int
    lost: int
    "By chance, by a cut, or because too much was under way."


class Channel:
    """First in, first out; each frame comes out `delay_s` later or never."""

    def __init__(self, *, delay_s: float = 0.0, loss: float = 0.0, seed: int = 0) -> None:
        self.delay_s = delay_s
        self.loss = loss
        "Share of frames that are lost."
        self.open = True
        self._random = Random(seed)  # noqa: S311
        self._under_way: deque[tuple[float, bytes]] = deque()
        self._frames = self._bytes = self._lost = 0

    def offer(self, frame: bytes, *, now: float) -> None:
        """A frame goes in."""
        self._frames += 1
        self._bytes += len(frame)
        chance = self.loss > 0.0 and self._random.random() < self.loss
        if not self.open or chance or len(self._under_way) >= FRAMES_MAX:
            self._lost += 1
            return
        due = now + self.delay_s
        if self._under_way:
            due = max(due, self._under_way[-1][0])
        self._under_way.append((due, frame))

    def cut(self) -> None:
        """From now on everything is lost, what is under way included."""
        self.open = False
        self._lost += len(self._under_way)
        self._under_way.clear()

    def mend(self) -> None:
        self.open = True

    def due(self, *, now: float) -> list[bytes]:
        """The frames that come out now."""
        out = []
        while self._under_way and self._under_way[0][0] <= now:
            out.append(self._under_way.popleft()[1])
        return out

    def next_deadline(self) -> float | None:
        return self._under_way[0][0] if self._under_way else None

    @property
    def counted(self) -> Counted:
        return Counted(self._frames, self._bytes, self._lost)
