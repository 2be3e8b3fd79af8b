"""Bodies larger than one envelope: cut into pieces, put together from any order, within bounds.

Every piece is a numbered packet of its own and is acknowledged as soon as it is stored here, so a
body is never held twice on either side: the sender's pieces are views of it, and the receiver
appends them to one buffer.
"""

from __future__ import annotations

import enum
import zlib
from collections.abc import Iterator

from mreza.wire.packet import Fragment

BODY_MAX = 65_640
"""Bytes of a body in one packet: a payload of 64 KiB and what is said about it. With the longest
head that we write (1 KiB) and the seal's tag it fits an envelope."""
PIECE_MAX = 64_000
"Bytes of a piece of a larger body: two of them fit a window of 128 KiB, four one of 256 KiB."

STALL_S = 30.0
"""A body of which nothing came for so long gives way when its memory is needed. Default: as long as
a call takes at most, if nobody says."""
RATE_MIN_PER_S = 16 * 1024
"And so does one that, after that time, has come more slowly than this on the whole: a slow modem."
PIECE_MIN = 16 * 1024
"""All pieces but the last are at least so large (ours are twice that): each costs us more than its
bytes, and a body of a million tiny ones would cost any memory."""


def is_plausible(fragment: Fragment, size: int) -> bool:
    """False for a piece into which nobody cuts a body."""
    if fragment.total <= PIECE_MIN:
        return False
    return size >= PIECE_MIN or fragment.offset + size == fragment.total


def piece_bytes(total: int) -> int:
    """Size of all pieces but the last, so that they are about equal."""
    count = -(-total // PIECE_MAX)
    return -(-total // count)


def cut(body: bytes, *, transfer: int) -> Iterator[tuple[Fragment, memoryview]]:
    """The pieces of a body, in order, as views."""
    view, checksum, size = memoryview(body), zlib.crc32(body), piece_bytes(len(body))
    for offset in range(0, len(body), size):
        yield (
            Fragment(transfer=transfer, offset=offset, total=len(body), checksum=checksum),
            view[offset : offset + size],
        )


class Piece(enum.Enum):
    """What became of one piece."""

    STORED = "stored"
    COMPLETE = "complete"
    "Together with this one the body is whole; `Transfer.body` has it."
    BAD = "bad_fragment"
    "Contradicts the others, or the checksum of the whole is wrong."
    LAST = "last"
    "The last one of a body that was given up: there is nothing to hand over."


class Transfer:
    """One body on its way."""

    __slots__ = (
        "_ahead",
        "_began_at",
        "_checksum",
        "_crc",
        "_held",
        "_newest_at",
        "body",
        "ends_before",
        "is_given_up",
        "total",
    )

    def __init__(self, fragment: Fragment, *, now: float) -> None:
        self.total = fragment.total
        self.is_given_up = False
        "Its memory is gone: what else comes of it is acknowledged and not kept."
        self._began_at = self._newest_at = now
        self.body = bytearray()
        self.ends_before: int | None = None
        "All its pieces have numbers below this one, since the sender went on to something else."
        self._checksum = fragment.checksum
        self._crc = 0
        self._held = 0
        self._ahead: dict[int, memoryview | bytes] = {}

    def is_stalled(self, now: float) -> bool:
        """Nothing of it came for long, or too little for the time it has taken."""
        due = (now - self._began_at - STALL_S) * RATE_MIN_PER_S
        return now - self._newest_at > STALL_S or self._held < due

    def give_up(self) -> None:
        """Its memory is needed for others."""
        self.is_given_up = True
        self.body = bytearray()
        self._ahead.clear()

    def add(self, fragment: Fragment, piece: memoryview | bytes, *, now: float) -> Piece:
        """Store one piece; each must come only once (their sequence numbers see to that)."""
        if (
            fragment.total != self.total
            or fragment.checksum != self._checksum
            or not piece
            or fragment.offset < len(self.body)
            or fragment.offset in self._ahead
            or self._held + len(piece) > self.total
        ):
            return Piece.BAD
        self._held += len(piece)
        self._newest_at = now
        if self.is_given_up:
            return Piece.LAST if self._held == self.total else Piece.STORED
        if fragment.offset > len(self.body):
            self._ahead[fragment.offset] = piece
            # All bytes are here and a gap is left: pieces overlap.
            return Piece.BAD if self._held == self.total else Piece.STORED
        self._append(piece)
        while (following := self._ahead.pop(len(self.body), None)) is not None:
            self._append(following)
        if self._held < self.total:
            return Piece.STORED
        return Piece.COMPLETE if self._whole() else Piece.BAD

    def _append(self, piece: memoryview | bytes) -> None:
        self._crc = zlib.crc32(piece, self._crc)
        self.body += piece

    def _whole(self) -> bool:
        return len(self.body) == self.total and self._crc == self._checksum
