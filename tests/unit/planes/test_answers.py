"""Every answer can be sent: what is too large becomes a short reason."""

from __future__ import annotations

import msgspec

from mreza.errors import PayloadError
from mreza.ids import NodeId
from mreza.planes.answers import SendResponse, done, failed, refused, unsendable
from mreza.wire.packet import FAILURE, Failure, Response, Status

NODE = NodeId(b"n" * 16)


def test_no_result_is_none() -> None:
    status, payload = done(None)
    assert (status, msgspec.msgpack.decode(payload)) == (Status.OK, None)


def test_a_failure_without_a_reason_says_so() -> None:
    status, payload = failed(Status.FAILED, None)
    assert status == Status.FAILED
    assert FAILURE.decode(payload).message == "no reason was given"


def test_a_refusal_is_named_after_its_status() -> None:
    failure = FAILURE.decode(refused(Status.CLOSING, "bye")[1])
    assert failure == Failure(type_name="closing", message="bye")


def test_what_cannot_be_sent_becomes_a_reason_for_the_same_requester() -> None:
    answer = SendResponse(NODE, Response(7, Status.OK, msgspec.Raw(b"\x01")), 2, 5)
    told = unsendable(answer, PayloadError("too large"))
    assert (told.destination, told.priority, told.stream_epoch) == (NODE, 2, 5)
    assert (told.response.id, told.response.status) == (7, Status.BAD_PAYLOAD)
    assert "too large" in FAILURE.decode(told.response.payload).message
