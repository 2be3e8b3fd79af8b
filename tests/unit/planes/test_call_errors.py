"""What a caller hears when there is no result."""

from __future__ import annotations

import msgspec
import pytest

from mreza.errors import (
    DeadlineExceeded,
    MeshError,
    NoRoute,
    NoSuchProcess,
    Overloaded,
    PayloadError,
    RemoteError,
    WorkerLost,
)
from mreza.ids import NodeId
from mreza.planes.call import Attempt, Call
from mreza.planes.call_errors import failure_in, refusal_error, too_late
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


@pytest.mark.parametrize(
    ("out", "to_handler", "pinned", "reachable", "kind"),
    [
        (True, False, None, True, DeadlineExceeded),
        (True, True, NODE, True, DeadlineExceeded),
        (False, True, NODE, True, DeadlineExceeded),
        (False, True, NODE, False, NoRoute),
        (False, False, None, True, NoSuchProcess),
        (False, False, NODE, True, NoSuchProcess),
        (False, False, NODE, False, NoRoute),
    ],
)
def test_at_the_deadline_the_caller_hears_what_was_missing(
    *, out: bool, to_handler: bool, pinned: NodeId | None, reachable: bool, kind: type[MeshError]
) -> None:
    call = Call(1, "p", msgspec.Raw(b"\xc0"))
    call.timeout_s, call.node, call.to_handler = 2.5, pinned, to_handler
    if out:
        call.current = Attempt(call, 1, NODE, None, 0.0)
    error = too_late(call, can_reach=lambda _: reachable)
    assert type(error) is kind
    assert "2.5 s" in str(error)


@pytest.mark.parametrize("may_have_run", [True, False])
def test_a_call_whose_worker_was_lost_before_says_so_and_whether_it_may_have_run(
    *, may_have_run: bool
) -> None:
    call = Call(1, "p", msgspec.Raw(b"\xc0"))
    call.timeout_s, call.lost, call.may_have_run = 2.5, "node x is lost", may_have_run
    error = too_late(call, can_reach=lambda _: True)
    assert isinstance(error, WorkerLost)
    assert error.may_have_run is may_have_run
    ran = "may have run" if may_have_run else "did not run"
    assert str(error) == (
        f"node x is lost, and nobody else offered process 'p' in 2.5 s; the work {ran}"
    )
