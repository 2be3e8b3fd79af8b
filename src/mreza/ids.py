"""Who and which: the identifiers that every layer speaks.

Ids are the bytes that travel, so that a dictionary look-up on the hot path needs no conversion;
their text form is lower-case base32 without padding (RFC 4648, section 6), as shown to people.
"""

from __future__ import annotations

import base64
from functools import lru_cache
from typing import NamedTuple, Self

from mreza.errors import InvalidId

ID_BYTES = 16
ID_LETTERS = 26
"16 bytes in base32 without padding."


class _Id(bytes):
    """Sixteen bytes with a readable text form; a plain ``bytes`` in every other respect."""

    __slots__ = ()

    def __new__(cls, raw: bytes) -> Self:
        if len(raw) != ID_BYTES:
            raise InvalidId(f"{cls.__name__} has {len(raw)} bytes, must have {ID_BYTES}")
        return super().__new__(cls, raw)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the 26-letter form."""
        if len(text) != ID_LETTERS:
            raise InvalidId(
                f"{text!r} has {len(text)} characters, a {cls.__name__} has {ID_LETTERS}"
            )
        try:
            raw = base64.b32decode(text.upper() + "======")
        except ValueError as error:
            raise InvalidId(f"{text!r} is not base32 (letters a-z and digits 2-7)") from error
        parsed = cls(raw)
        if str(parsed) != text.lower():  # 26 letters hold two bits more than 16 bytes
            raise InvalidId(f"{text!r} is not the form in which ids are written: {str(parsed)!r}")
        return parsed

    def __str__(self) -> str:
        return base64.b32encode(self).decode().rstrip("=").lower()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    @property
    def short(self) -> str:
        """The first eight letters: enough for a log line, never for a decision."""
        return str(self)[:8]


class NodeId(_Id):
    """The first 16 bytes of SHA-256 of a node's raw Ed25519 public key."""

    __slots__ = ()


@lru_cache(maxsize=8192)
def node_id(raw: bytes) -> NodeId:
    """The id of these bytes; for the few that every envelope names it is made once."""
    return NodeId(raw)


class MeshId(_Id):
    """16 random bytes, drawn once when the mesh is created."""

    __slots__ = ()


_RANDOM_BITS = 32


def make_epoch(*, boot: int, random_bits: int) -> int:
    """Join a boot counter and 32 random bits into an epoch; epochs compare as plain integers."""
    return (boot << _RANDOM_BITS) | (random_bits & ((1 << _RANDOM_BITS) - 1))


def boot_of(epoch: int) -> int:
    """The boot counter of an epoch."""
    return epoch >> _RANDOM_BITS


class MessageId(NamedTuple):
    """Names one message for ever: where it was first sent, and its place there."""

    source: NodeId
    epoch: int
    "In which the sender's process started; it does not change when the epoch is raised later."
    priority: int
    sequence: int
    "Number of the batch within (source, epoch, destination, priority)."
    place: int
    "Index within the batch."

    def __str__(self) -> str:
        return f"{self.source}-{self.epoch:x}-{self.priority}-{self.sequence}-{self.place}"
