"""What a running node and the command line say to each other: JSON objects, one a line.

A request names a command and its arguments; its answer is `{"result": …}` or `{"error": {…}}`.
Before its result, `events` answers with one `{"event": {…}}` after the other; with `follow` until
either side closes. Requests of one connection are answered in order. Whoever may open the socket
may command the node: the file is its user's alone.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from mreza.errors import DecodeError, MeshError, RemoteError, WorkerLost

LINE_BYTES_MAX = 96 * 1024 * 1024
"The largest payload (64 MiB) in base64, and some room for what stands around it."

PriorityName = Literal["low", "normal", "high", "critical"]


class Request(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="command", forbid_unknown_fields=True
):
    """Base of all requests."""


class Status(Request, frozen=True, tag="status"):
    """What the node says of itself: the JSON of `mreza status`."""


class Nodes(Request, frozen=True, tag="nodes"):
    """The members it knows."""


class Links(Request, frozen=True, tag="links"):
    """Its links."""


class Routes(Request, frozen=True, tag="routes"):
    """Its routes."""


class Snapshot(Request, frozen=True, tag="snapshot"):
    """Its counters."""


class Events(Request, frozen=True, tag="events"):
    """What happened lately; with `follow` also what happens from now on."""

    follow: bool = False
    last: int | None = None
    "At most so many of the past ones. None: all that the node remembers."


class Ping(Request, frozen=True, tag="ping"):
    """One round trip. The result is in seconds, or null when no answer came in time."""

    node: str
    timeout_s: float = 5.0


class Trace(Request, frozen=True, tag="trace"):
    """The path to a node, hop by hop."""

    node: str
    timeout_s: float = 5.0


class Send(Request, frozen=True, tag="send"):
    """A message for the `on_message` handler of a node."""

    node: str
    payload: Any = None
    data: bytes | None = None
    "In place of `payload`: bytes, in base64."
    priority: PriorityName = "normal"
    timeout_s: float | None = None
    wait: bool = True
    "False: answer when the outbox took it, not when the handler returned."


class Call(Request, frozen=True, tag="call"):
    """Work for a process, done on `node` or on whichever node the balancer picks."""

    process: str
    payload: Any = None
    data: bytes | None = None
    "In place of `payload`: bytes, in base64."
    node: str | None = None
    key: str | None = None
    priority: PriorityName = "normal"
    timeout_s: float | None = None


class Leave(Request, frozen=True, tag="leave"):
    """Say farewell to the mesh, signed, and stop."""

    reason: str = ""


class Drain(Request, frozen=True, tag="drain"):
    """Take no more work and finish what runs; then leave.

    Answers with `{"event": {"running": N}}` at once and whenever a handler has ended. The result is
    `{"running": N, "left": bool}`: who has not finished in time stays, without new work.
    """

    timeout_s: float = 30.0
    stay: bool = False
    "Do not leave."
    reason: str = "drained"


AnyRequest = (
    Status | Nodes | Links | Routes | Snapshot | Events | Ping | Trace | Send | Call | Leave | Drain
)


class Trouble(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a request was not done."""

    text: str
    type: str
    "Name of the error class, of the remote one where a handler raised."
    may_have_run: bool | None = None
    "Whether the work may have run all the same; None where the question makes no sense."
    traceback: str | None = None
    "The remote traceback, where there is one."


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a node's answer. Exactly one field is set."""

    result: Any = msgspec.UNSET
    event: Any = msgspec.UNSET
    error: Trouble | msgspec.UnsetType = msgspec.UNSET


_requests: msgspec.json.Decoder[AnyRequest] = msgspec.json.Decoder(AnyRequest)
_answers = msgspec.json.Decoder(Answer)
_encoder = msgspec.json.Encoder(enc_hook=str)


def encode_line(value: Request | Answer) -> bytes:
    """One line, its end included. What JSON does not know is written as its text.

    Raises:
        DecodeError: it has no text either: half a character, or lists nested too deeply.
    """
    try:
        return _encoder.encode(value) + b"\n"
    except (TypeError, ValueError, RecursionError) as error:
        raise DecodeError(f"this cannot be written as JSON: {error}") from error


def decode_request(line: bytes) -> AnyRequest:
    """Read one request.

    Raises:
        DecodeError: it is none; the text says what came and what is allowed.
    """
    try:
        return _requests.decode(line)
    except (msgspec.MsgspecError, RecursionError) as error:
        known = ", ".join(str(kind.__struct_config__.tag) for kind in AnyRequest.__args__)
        raise DecodeError(f"not a request: {error}; commands are {known}") from error


def decode_answer(line: bytes) -> Answer:
    """Read one line of an answer.

    Raises:
        DecodeError: it is none.
    """
    try:
        return _answers.decode(line)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise DecodeError(f"the node's answer is not understood: {error}") from error


def trouble(error: Exception) -> Trouble:
    """What the other side needs to know of an error."""
    if isinstance(error, RemoteError):
        return Trouble(
            text=str(error),
            type=error.type_name or "RemoteError",
            may_have_run=True,
            traceback=error.traceback_text or None,
        )
    if isinstance(error, WorkerLost):
        return Trouble(text=str(error), type="WorkerLost", may_have_run=error.may_have_run)
    if isinstance(error, MeshError | OSError):
        return Trouble(text=str(error), type=type(error).__name__)
    return Trouble(text=f"{type(error).__name__}: {error}", type=type(error).__name__)
