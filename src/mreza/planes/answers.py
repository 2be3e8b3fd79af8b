"""What a requester hears: a result, a reason why there is none, or how far the work is."""

from __future__ import annotations

import msgspec

from mreza.errors import PayloadError
from mreza.ids import NodeId
from mreza.processes.failures import bounded
from mreza.wire.packet import FAILURE, Failure, Response, Status

NOTHING = b"\xc0"
"None as msgpack."


class SendResponse(msgspec.Struct, frozen=True):
    """Answer a request. `stream_epoch` is the requester's: a restarted one does not want it."""

    destination: NodeId
    response: Response
    priority: int
    stream_epoch: int


Outcome = tuple[int, msgspec.Raw]
"Status and payload of a response."


def done(result: bytes | None) -> Outcome:
    """The handler returned; `result` as msgpack."""
    return Status.OK, msgspec.Raw(NOTHING if result is None else result)


def failed(status: int, failure: Failure | None) -> Outcome:
    """There is no result."""
    told = bounded(failure or Failure(type_name="Error", message="no reason was given"))
    return status, msgspec.Raw(FAILURE.encode(told))


def refused(status: Status, text: str) -> Outcome:
    """The work did not run."""
    return failed(status, Failure(type_name=status.name.lower(), message=text))


def unsendable(answer: SendResponse, error: PayloadError) -> SendResponse:
    """What the requester hears when the data plane refuses a result for its size."""
    failure = Failure(type_name="PayloadError", message=f"the result cannot be sent: {error}")
    response = Response(answer.response.id, *failed(Status.BAD_PAYLOAD, failure))
    return msgspec.structs.replace(answer, response=response)
