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


class ReassemblyBudget:
    """Bytes that unfinished bodies may take, in total and for one source.

    Reserved whole at the first piece, so that two bodies never wait for each other's memory.
    """

    def __init__(self, *, total: int, per_source: int) -> None:
        self._total = total
        self._per_source = min(total, per_source)
        self._used = 0
        self._by_source: dict[bytes, int] = {}

    @property
    def used(self) -> int:
        return self._used

    def reserve(self, source: bytes, size: int) -> bool:
        """True if there was room."""
        mine = self._by_source.get(source, 0)
        if self._used + size > self._total or mine + size > self._per_source:
            return False
        self._used += size
        self._by_source[source] = mine + size
        return True

    def release(self, source: bytes, size: int) -> None:
        self._used -= size
        left = self._by_source[source] - size
        if left:
            self._by_source[source] = left
        else:
            del self._by_source[source]


class Piece(enum.Enum):
    """What became of one piece."""

    STORED = "stored"
    COMPLETE = "complete"
    "Together with this one the body is whole; `Transfer.body` has it."
    BAD = "bad_fragment"
    "Contradicts the others, or the checksum of the whole is wrong."


class Transfer:
    """One body on its way."""

    __slots__ = ("_ahead", "_checksum", "_crc", "_held", "body", "ends_before", "total")

    def __init__(self, fragment: Fragment) -> None:
        self.total = fragment.total
        self.body = bytearray()
        self.ends_before: int | None = None
        "All its pieces have numbers below this one, since the sender went on to something else."
        self._checksum = fragment.checksum
        self._crc = 0
        self._held = 0
        self._ahead: dict[int, memoryview | bytes] = {}

    def add(self, fragment: Fragment, piece: memoryview | bytes) -> Piece:
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
