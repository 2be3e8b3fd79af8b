"""What a call may ask, and what a refusal means."""

from __future__ import annotations

import msgspec
import pytest

from mreza.errors import (
    ConfigError,
    DeadlineExceeded,
    MeshError,
    NoSuchProcess,
    Overloaded,
    PayloadError,
    RemoteError,
    WorkerLost,
)
from mreza.ids import NodeId
from mreza.planes.call import Call, check_call, failure_in, refusal_error
from mreza.wire.packet import FAILURE, Failure, Response, Status

NODE = NodeId(b"n" * 16)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (Status.OVERLOADED, Overloaded),
        (Status.NO_SUCH_PROCESS, NoSuchProcess),
        (Status.EXPIRED, DeadlineExceeded),
        (Status.BAD_PAYLOAD, PayloadError),
        (Status.CLOSING, WorkerLost),
        (Status.FAILED, RemoteError),
        (99, RemoteError),
    ],
)
def test_each_status_is_an_error_that_names_the_node(status: int, kind: type[MeshError]) -> None:
    call = Call(1, "p", msgspec.Raw(b"\xc0"))
    failure = Failure(type_name="T", message="because", retry_after_ms=1500)
    error = refusal_error(status, failure, NODE, call)
    assert type(error) is kind
    assert NODE.short in str(error)
    assert "because" in str(error)
    if isinstance(error, Overloaded):
        assert error.retry_after_s == 1.5
    if isinstance(error, WorkerLost):
        assert not error.may_have_run, "it was refused before it began"


def test_a_reason_is_read_if_it_can_be() -> None:
    told = Failure(type_name="T", message="m")
    assert failure_in(Response(1, 1, msgspec.Raw(FAILURE.encode(told)))) == told
    assert failure_in(Response(1, 1, msgspec.Raw(b"\xc1"))).type_name == "DecodeError"


def test_a_process_has_a_name_and_a_message_a_destination() -> None:
    check_call("p", None, 1.0, None, to_handler=False)
    check_call("", NODE, 1.0, {"h": "v"}, to_handler=True)
    with pytest.raises(ConfigError, match="process name"):
        check_call("", None, 1.0, None, to_handler=False)
    with pytest.raises(PayloadError, match="destination="):
        check_call("", None, 1.0, None, to_handler=True)


@pytest.mark.parametrize("timeout_s", [0.0, -1.0, float("nan")])
def test_a_timeout_is_a_positive_number(timeout_s: float) -> None:
    with pytest.raises(ConfigError, match="timeout_s"):
        check_call("p", None, timeout_s, None, to_handler=False)


def test_a_call_says_what_it_is() -> None:
    call = Call(1, "parse", msgspec.Raw(b"\xc0"))
    assert call.describe() == "process 'parse'"
    call.to_handler = True
    assert call.describe() == "the message"
