"""Payloads in, results out; what does not fit is told apart from what a handler raises."""

from __future__ import annotations

import msgspec
import pytest

from mreza.errors import PayloadError
from mreza.ids import MessageId, NodeId
from mreza.io.executors.invoke import PROGRESS_MAX, Told, Unfit, called, encoded, reporter
from mreza.processes.handlers import CallContext, ProcessSpec
from mreza.wire.packet import Failure, Status

NODE = NodeId(b"n" * 16)
CONTEXT = CallContext(
    source=NODE, deadline=9.0, attempt=2, message_id=MessageId(NODE, 1, 1, 1, 0), headers={}
)


def double(payload: int) -> int:
    return 2 * payload


def test_a_plain_handler_is_called_with_what_it_wants() -> None:
    assert called(ProcessSpec("p", double), msgspec.Raw(b"\x02"), CONTEXT) == b"\x04"


def test_what_does_not_fit_is_told_apart() -> None:
    with pytest.raises(Unfit, match="does not fit"):
        called(ProcessSpec("p", double), msgspec.msgpack.encode("x"), CONTEXT)
    with pytest.raises(Unfit, match="cannot be sent"):
        encoded(object())


def test_reports_are_small() -> None:
    told: list[bytes] = []
    report = reporter(told.append)
    report({"done": 3})
    assert msgspec.msgpack.decode(told[0]) == {"done": 3}
    with pytest.raises(PayloadError):
        report(bytes(PROGRESS_MAX + 1))


def test_a_failure_from_elsewhere_reads_like_one() -> None:
    assert str(Told(Status.FAILED, Failure("KeyError", "'k'"))) == "KeyError: 'k'"
