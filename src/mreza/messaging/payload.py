"""What may be sent, and how it becomes bytes: msgpack both ways, never pickle.

A payload of a plain immutable type may wait as it is and is encoded together with its batch, which
costs a third of encoding it alone; anything else is encoded at once, because the caller may change
it after `send` returned.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec

from mreza.errors import PayloadError
from mreza.ids import MeshId, NodeId
from mreza.wire.codec import ENCODER

HEADER_BYTES = 5
"What msgpack puts before bytes, text or a list, at most."
_NUMBER_BYTES = 9
_INT_LOW = -(1 << 63)
_INT_HIGH = 1 << 64
_ALLOWED = (
    "allowed are bytes, str, numbers, None, lists, dicts, dataclasses and msgspec structs of these"
)


def encode_payload(value: Any, *, limit: int | None = None) -> msgspec.Raw:
    """A payload as msgpack; PayloadError names what cannot be sent."""
    try:
        encoded = ENCODER.encode(value)
    except RecursionError as error:
        raise PayloadError(f"a {type(value).__name__} is nested too deeply to be sent") from error
    except (TypeError, ValueError, OverflowError, msgspec.MsgspecError) as error:
        raise PayloadError(
            f"a {type(value).__name__} cannot be sent: {error}; {_ALLOWED}"
        ) from error
    # The limit is what a caller can count: bytes as they are, anything else as it is encoded.
    size = len(value) if isinstance(value, bytes | bytearray | memoryview) else len(encoded)
    if limit is not None and size > limit:
        raise _too_large(size, limit)
    return msgspec.Raw(encoded)


def waiting_form(payload: Any, *, limit: int) -> tuple[Any, int]:
    """The payload as it may wait in an outbox, and its bytes there and on the wire."""
    kind = type(payload)
    if kind is bytes or (kind is str and payload.isascii()):
        if len(payload) > limit:
            raise _too_large(len(payload), limit)
        return payload, len(payload) + HEADER_BYTES
    if payload is None or kind is bool or kind is float:
        return payload, _NUMBER_BYTES
    if kind is int and _INT_LOW <= payload < _INT_HIGH:
        return payload, _NUMBER_BYTES
    raw = encode_payload(payload, limit=limit)
    return raw, len(raw)


def decode_payload(data: bytes | bytearray | memoryview | msgspec.Raw, kind: Any = Any) -> Any:
    """Read one payload as `kind`, a handler's annotation; PayloadError says what does not fit."""
    try:
        return _decoder(kind).decode(data)
    except (msgspec.MsgspecError, ValueError, TypeError) as error:
        raise PayloadError(f"the payload does not fit {kind!r}: {error}") from error
    except RecursionError as error:
        raise PayloadError("the payload is nested too deeply") from error


@lru_cache(maxsize=256)
def _decoder(kind: Any) -> msgspec.msgpack.Decoder[Any]:
    return msgspec.msgpack.Decoder(kind, dec_hook=_dec_hook)


def _dec_hook(kind: type, value: Any) -> Any:
    if kind in (NodeId, MeshId) and isinstance(value, bytes):
        return kind(value)
    raise PayloadError(f"cannot make a {kind.__name__} of {type(value).__name__}")


def _too_large(size: int, limit: int) -> PayloadError:
    return PayloadError(f"payload of {size} bytes, limit {limit}; send larger things in pieces")
