"""The unit of a link: a length, a type, a body. Frames of one link arrive in order or not at all.

Layout: u32 big-endian length of the body, u8 type, body. See docs/reference/wire.md.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Iterator

from mreza.errors import DecodeError

HEADER = struct.Struct(">IB")
HEADER_BYTES = HEADER.size
BODY_MAX_BEFORE_HELLO = 4 * 1024
"A stranger with a certificate still gets only this much of our memory."
BODY_MAX = 64 * 1024 + 2 * 1024
"An envelope of 64 KiB and its header."
PART_MAX = 16 * 1024
"Bulk travels in pieces of this size: an urgent envelope waits for one piece, not for a queue."


class FrameType(enum.IntEnum):
    """What the body of a frame is."""

    HELLO = 1
    REFUSED = 2
    PROBE = 3
    ENVELOPE = 4
    ENVELOPE_PART = 5
    "u8 flags (1 first, 2 last) and a piece of a bulk envelope; pieces of one follow in order."
    RECORDS = 6
    DIGEST = 7
    JOIN = 8
    GOODBYE = 9


_KNOWN = frozenset(int(kind) for kind in FrameType)


def encode_frame(kind: int, body: bytes | bytearray | memoryview) -> bytes:
    """One frame as bytes."""
    return b"".join((HEADER.pack(len(body), kind), body))


class FrameReader:
    """Cuts a byte stream into frames. Holds at most one unfinished frame."""

    def __init__(self, *, limit: int = BODY_MAX_BEFORE_HELLO) -> None:
        self.limit = limit
        "Largest body accepted; raised to BODY_MAX when the peer's hello has been accepted."
        self._rest = b""

    @property
    def buffered(self) -> int:
        """Bytes of an unfinished frame."""
        return len(self._rest)

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield (type, body) for each whole frame; DecodeError: over the limit or of unknown type.

        Lazy on purpose: the limit may be raised by what an earlier frame of the same bytes said. A
        caller that stops early must not feed again.
        """
        buffer = self._rest + data if self._rest else data
        self._rest = b""
        at, end = 0, len(buffer)
        while end - at >= HEADER_BYTES:
            length, kind = HEADER.unpack_from(buffer, at)
            if length > self.limit:
                raise DecodeError(f"frame of {length} bytes, limit {self.limit}")
            if kind not in _KNOWN:
                raise DecodeError(f"frame type {kind} is unknown")
            stop = at + HEADER_BYTES + length
            if stop > end:
                break
            yield kind, buffer[at + HEADER_BYTES : stop]
            at = stop
        self._rest = buffer[at:] if at else buffer
