"""What waits for one link, in the order of service.

Control frames go first, then CRITICAL envelopes; HIGH, NORMAL and LOW share the rest by weight
(start-time fair queueing, Goyal et al. 1996), so that none starves.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from mreza.qos import Priority
from mreza.wire.frame import HEADER, HEADER_BYTES, PART_MAX, FrameType

Body = bytes | bytearray
BATCH_BYTES = 68 * 1024
"""Frames joined for one TLS write: an envelope of 64 KiB with headers, or many small ones. Larger
ones measured slower."""
WEIGHTS = {Priority.LOW: 1, Priority.NORMAL: 4, Priority.HIGH: 16}
"Shares of a busy link: each step is worth four of the next, so LOW still gets a twentieth."
_WEIGHTS = tuple(WEIGHTS[Priority(lane)] for lane in range(len(WEIGHTS)))
_LOWEST, _SHARED, _CRITICAL, _CONTROL = 0, 3, 3, 4
_FIRST, _LAST = 1, 2
_ENVELOPES = (int(FrameType.ENVELOPE), int(FrameType.ENVELOPE_PART))


class Waiting(NamedTuple):
    """One frame that has not been written."""

    kind: int
    body: Body
    priority: int


class SendQueue:
    """Frames waiting for one link.

    When full, the oldest of the lowest priority gives way, and is reported.
    """

    def __init__(self, *, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._lanes: tuple[deque[tuple[int, Body]], ...] = tuple(deque() for _ in range(5))
        self._lane_bytes = [0] * 5
        self._served = [0.0] * _SHARED
        "Bytes served by weight, of each lane that shares; the smallest is next."
        self._clock = 0.0
        """What the lane served last had: a lane that wakes up starts here, with no credit from idle
        time."""
        self._cut: tuple[Body, int, int] | None = None
        "(body, next offset, lane) of the bulk envelope whose pieces are under way."
        self.size = 0
        "Bytes waiting, frame headers included."

    def __bool__(self) -> bool:
        return self.size > 0

    def push(self, kind: int, body: Body, priority: int) -> list[Waiting]:
        """Append a frame; returns what had to give way, the frame itself if nothing lower could."""
        cost = len(body) + HEADER_BYTES
        lane = priority if kind in _ENVELOPES else _CONTROL
        dropped: list[Waiting] = []
        if self.size + cost > self._limit:
            missing = self.size + cost - self._limit
            if sum(self._lane_bytes[:lane]) < missing:
                return [Waiting(kind, body, priority)]
            dropped = self._give_way(missing)
        if lane < _SHARED and not self._lanes[lane]:
            self._served[lane] = max(self._served[lane], self._clock)
        self._lanes[lane].append((kind, body))
        self._lane_bytes[lane] += cost
        self.size += cost
        return dropped

    def take(self, room: int) -> list[bytes]:
        """Frames for about `room` bytes, joined into batches; at least one frame if any waits.

        An envelope of NORMAL or LOW priority that does not fit into what is left is cut, so that
        what comes later and is more urgent waits for a piece of it only.
        """
        batches: list[bytes] = []
        parts: list[Body | memoryview] = []
        size = 0
        while self.size and (room > 0 or not (parts or batches)):
            lane = self._next_lane()
            frame = self._next_frame(lane, room)
            if frame is None:
                if parts or batches:
                    break
                frame = self._whole(lane)
            kind, pieces, length = frame
            if parts and size + length + HEADER_BYTES > BATCH_BYTES:
                batches.append(b"".join(parts))
                parts, size = [], 0
            parts.append(HEADER.pack(length, kind))
            parts += pieces
            size += length + HEADER_BYTES
            room -= length + HEADER_BYTES
        if parts:
            batches.append(b"".join(parts))
        return batches

    def take_all(self) -> list[Waiting]:
        """Empty the queue: what waits, most urgent first; a cut envelope comes whole."""
        waiting: list[Waiting] = []
        for lane in range(_CONTROL, -1, -1):
            if self._cut is not None and self._cut[2] == lane:
                waiting.append(Waiting(FrameType.ENVELOPE, self._cut[0], lane))
            priority = min(lane, int(Priority.CRITICAL))
            waiting += (Waiting(kind, body, priority) for kind, body in self._lanes[lane])
            self._lanes[lane].clear()
            self._lane_bytes[lane] = 0
        self._cut = None
        self.size = 0
        return waiting

    def take_most(self) -> list[Waiting]:
        """As `take_all`, of a connection that is kept.

        What the peer needs to understand what comes later stays: probes, and the rest of an
        envelope of which it has a piece.
        """
        cut, self._cut = self._cut, None
        waiting = self.take_all()
        if cut is not None:
            self._cut = cut
            self.size = len(cut[0]) - cut[1] + HEADER_BYTES
        for frame in waiting:
            if frame.kind == FrameType.PROBE:
                self.push(*frame)
        return [frame for frame in waiting if frame.kind != FrameType.PROBE]

    def _give_way(self, missing: int) -> list[Waiting]:
        dropped: list[Waiting] = []
        for lane in range(_CONTROL):
            while missing > 0 and self._lanes[lane]:
                kind, body = self._lanes[lane].popleft()
                cost = len(body) + HEADER_BYTES
                self._lane_bytes[lane] -= cost
                self.size -= cost
                missing -= cost
                dropped.append(Waiting(kind, body, lane))
        return dropped

    def _next_lane(self) -> int:
        lanes = self._lanes
        if lanes[_CONTROL]:
            return _CONTROL
        if lanes[_CRITICAL]:
            return _CRITICAL
        cut_lane = self._cut[2] if self._cut is not None else -1
        best, least = -1, 0.0
        for lane in range(_SHARED - 1, -1, -1):
            if (lanes[lane] or lane == cut_lane) and (best < 0 or self._served[lane] < least):
                best, least = lane, self._served[lane]
        return best

    def _next_frame(
        self, lane: int, room: int
    ) -> tuple[int, tuple[Body | memoryview, ...], int] | None:
        """(kind, pieces of the body, length); None if it neither fits nor may be cut."""
        if self._cut is not None and self._cut[2] == lane:
            return self._next_piece()
        body = self._lanes[lane][0][1]
        if len(body) + HEADER_BYTES <= room:
            return self._whole(lane)
        if lane > Priority.NORMAL or len(body) <= PART_MAX or self._cut is not None:
            return None
        self._lanes[lane].popleft()
        cost = len(body) + HEADER_BYTES
        self._lane_bytes[lane] -= cost
        self._cut = (body, 0, lane)
        return self._next_piece()

    def _whole(self, lane: int) -> tuple[int, tuple[Body | memoryview, ...], int]:
        kind, body = self._lanes[lane].popleft()
        cost = len(body) + HEADER_BYTES
        self._lane_bytes[lane] -= cost
        self.size -= cost
        self._charge(lane, cost)
        return kind, (body,), len(body)

    def _next_piece(self) -> tuple[int, tuple[Body | memoryview, ...], int]:
        assert self._cut is not None  # noqa: S101 - the caller looked
        body, offset, lane = self._cut
        end = min(offset + PART_MAX - 1, len(body))
        flags = (_FIRST if offset == 0 else 0) | (_LAST if end == len(body) else 0)
        self._cut = None if flags & _LAST else (body, end, lane)
        self.size -= end - offset + (HEADER_BYTES if flags & _LAST else 0)
        self._charge(lane, end - offset)
        return (
            FrameType.ENVELOPE_PART,
            (bytes((flags,)), memoryview(body)[offset:end]),
            end - offset + 1,
        )

    def _charge(self, lane: int, cost: int) -> None:
        if lane < _SHARED:
            self._clock = self._served[lane]
            self._served[lane] += cost / _WEIGHTS[lane]
