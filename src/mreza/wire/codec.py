"""One way in and out for every control message: msgpack arrays, bounded before, checked after.

Structs are `array_like`: a later version may append fields, and older nodes ignore what they do not
know. A message with a rule beyond its types has a `check` method, which `Codec.decode` calls.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import msgspec

from mreza.errors import DecodeError
from mreza.ids import MeshId, NodeId

T = TypeVar("T")

U64_MAX = (1 << 64) - 1
UPTIME_MAX_S = 1e10
"Three hundred years; what matters is that it is a finite number."


class Wire(msgspec.Struct, frozen=True, array_like=True):
    """Base of all control messages."""

    def check(self) -> None:
        """Raise DecodeError if a rule beyond the types is broken."""


def _enc_hook(value: Any) -> Any:
    if isinstance(value, bytes):
        return bytes(value)
    raise TypeError(f"cannot encode {type(value).__name__}")


def _dec_hook(kind: type, value: Any) -> Any:
    if kind in (NodeId, MeshId):
        if not isinstance(value, bytes):
            raise DecodeError(f"{kind.__name__} must be bytes, got {type(value).__name__}")
        return kind(value)
    raise DecodeError(f"unexpected type {kind.__name__}")


ENCODER = msgspec.msgpack.Encoder(enc_hook=_enc_hook)


class Codec(Generic[T]):
    """Encodes and decodes one message type, at most `limit` bytes."""

    def __init__(self, kind: type[T], *, limit: int, what: str) -> None:
        self._decoder = msgspec.msgpack.Decoder(kind, dec_hook=_dec_hook)
        self._has_rules = isinstance(kind, type) and issubclass(kind, Wire)
        self._limit = limit
        self._what = what

    def encode(self, message: T) -> bytes:
        """The message as bytes; DecodeError if it passes the limit that a receiver enforces."""
        data = ENCODER.encode(message)
        if len(data) > self._limit:
            raise DecodeError(f"{self._what} has {len(data)} bytes, limit {self._limit}")
        return data

    def decode(self, data: bytes | bytearray | memoryview) -> T:
        """Read and check one message; DecodeError says what came and what is allowed."""
        if len(data) > self._limit:
            raise DecodeError(f"{self._what} has {len(data)} bytes, limit {self._limit}")
        try:
            message = self._decoder.decode(data)
        except (msgspec.DecodeError, ValueError, TypeError) as error:
            raise DecodeError(f"{self._what} is malformed: {error}") from error
        except RecursionError as error:
            raise DecodeError(f"{self._what} is nested too deeply") from error
        if self._has_rules:
            message.check()  # type: ignore[attr-defined]  # a Wire
        return message


def bounded(what: str, size: int, limit: int) -> None:
    """Raise DecodeError if a list or text from outside passes its limit."""
    if size > limit:
        raise DecodeError(f"{what} has {size} entries or bytes, limit {limit}")


def exactly(what: str, size: int, wanted: int) -> None:
    """Raise DecodeError if a key, hash or signature from outside has another size than it must."""
    if size != wanted:
        raise DecodeError(f"{what} has {size} bytes, must have {wanted}")


def within(what: str, value: float, low: float, high: float) -> None:
    """Raise DecodeError if a number is not in `low`…`high`, both included; NaN never is."""
    if not low <= value <= high:
        raise DecodeError(f"{what} is {value}, allowed are {low} to {high}")
