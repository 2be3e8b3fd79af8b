"""From payload to result, both as msgpack: the same on the loop, in a thread, in a pool process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from mreza.errors import MeshError, PayloadError
from mreza.messaging.payload import encode_payload
from mreza.processes.handlers import CallContext, ProcessSpec
from mreza.wire.packet import PAYLOAD_MAX, Failure, Status

PROGRESS_MAX = 16 * 1024
"Bytes of one report of progress: it is a figure or a word, not a result."


class Unfit(PayloadError):
    """The payload or the result does not fit; not an error of the handler's own."""


class Told(Exception):
    """A handler's failure as another process told it."""

    def __init__(self, status: Status, failure: Failure) -> None:
        super().__init__(f"{failure.type_name}: {failure.message}")
        self.status = status
        self.failure = failure


def decoded(spec: ProcessSpec, payload: msgspec.Raw | bytes) -> Any:
    """The payload as the handler wants it, or Unfit."""
    try:
        return spec.decode(payload)
    except PayloadError as error:
        raise Unfit(str(error)) from None


def encoded(result: Any) -> bytes:
    """The result as it is sent, or Unfit."""
    try:
        return bytes(encode_payload(result, limit=PAYLOAD_MAX))
    except MeshError as error:
        raise Unfit(f"the result cannot be sent: {error}") from None


def called(spec: ProcessSpec, payload: msgspec.Raw | bytes, context: CallContext) -> bytes:
    """Run a plain handler."""
    # All of it where the handler runs: decoding a large payload holds up the loop as much as work.
    return encoded(spec.invoke(decoded(spec, payload), context))


def reporter(report: Callable[[bytes], None]) -> Callable[[Any], None]:
    """What a handler calls with values, as something that takes msgpack."""
    return lambda value: report(bytes(encode_payload(value, limit=PROGRESS_MAX)))
