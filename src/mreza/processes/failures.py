"""An exception as the requester will see it: bounded text, whatever the exception does."""

from __future__ import annotations

import traceback
from types import TracebackType

from mreza.wire.packet import Failure

TYPE_NAME_MAX = 128
MESSAGE_MAX = 4 * 1024
TRACEBACK_MAX = 16 * 1024
"Bytes of a traceback that travel. Its end is kept: it names the error."
_OURS = ("/mreza/io/executors/", "/mreza/processes/handlers.py")
"Frames between the loop and the handler, which tell its author nothing."


def failure_of(error: BaseException, *, retry_after_s: float = 0.0) -> Failure:
    """Type, message and traceback of an error, cut to what fits."""
    return Failure(
        type_name=_cut(type(error).__name__, TYPE_NAME_MAX),
        message=_cut(_message(error), MESSAGE_MAX),
        traceback=_cut_front(_traceback(error), TRACEBACK_MAX),
        retry_after_ms=round(retry_after_s * 1000),
    )


def bounded(failure: Failure) -> Failure:
    """The same failure, cut to what fits."""
    return Failure(
        type_name=_cut(failure.type_name, TYPE_NAME_MAX),
        message=_cut(failure.message, MESSAGE_MAX),
        traceback=_cut_front(failure.traceback, TRACEBACK_MAX),
        retry_after_ms=failure.retry_after_ms,
    )


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - a broken __str__ must not hide the error
        return "(its text cannot be read)"


def _traceback(error: BaseException) -> str:
    frames: TracebackType | None = error.__traceback__
    while frames is not None and _is_ours(frames.tb_frame.f_code.co_filename):
        frames = frames.tb_next
    try:
        return "".join(traceback.format_exception(type(error), error, frames))
    except Exception:  # noqa: BLE001 - as above
        return ""


def _is_ours(filename: str) -> bool:
    path = filename.replace("\\", "/")
    return any(ours in path for ours in _OURS)


def _cut(text: str, size: int) -> str:
    """At most `size` bytes of UTF-8; what UTF-8 cannot say becomes a question mark."""
    return text.encode("utf-8", "replace")[:size].decode("utf-8", "ignore")


def _cut_front(text: str, size: int) -> str:
    return text.encode("utf-8", "replace")[-size:].decode("utf-8", "ignore")
