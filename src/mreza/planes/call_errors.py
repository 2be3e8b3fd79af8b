"""What a refusal, or no answer at all, means to the caller."""

from __future__ import annotations

from collections.abc import Callable

from mreza.errors import (
    DeadlineExceeded,
    DecodeError,
    MeshError,
    NoRoute,
    NoSuchProcess,
    Overloaded,
    PayloadError,
    RemoteError,
    WorkerLost,
)
from mreza.ids import NodeId
from mreza.planes.call import Call
from mreza.wire.packet import FAILURE, Failure, Response, Status


def failure_in(response: Response) -> Failure:
    """The reason in a response that is not OK, also if it cannot be read."""
    try:
        return FAILURE.decode(response.payload)
    except DecodeError as error:
        return Failure(
            type_name="DecodeError", message=f"the worker's reason is unreadable: {error}"
        )


def refusal_error(status: int, failure: Failure, node: NodeId, call: Call) -> MeshError:
    """What a refusal means to the caller, if nobody else can be asked."""
    text = f"node {node.short}: {failure.message}"
    match status:
        case Status.OVERLOADED:
            return Overloaded(text, retry_after_s=failure.retry_after_ms / 1000)
        case Status.NO_SUCH_PROCESS:
            return NoSuchProcess(text)
        case Status.EXPIRED:
            return DeadlineExceeded(f"{text} ({call.describe()}, {call.timeout_s:g} s allowed)")
        case Status.BAD_PAYLOAD:
            return PayloadError(text)
        case Status.CLOSING:
            return WorkerLost(f"{text}; the work did not run", may_have_run=False)
    return RemoteError(failure.message, type_name=failure.type_name, node=node.short)


def lost_error(call: Call, *, since: str = "") -> WorkerLost:
    """Its last worker was lost; whether the work may have run there or at one before."""
    ran = "may have run" if call.may_have_run else "did not run"
    return WorkerLost(f"{call.lost}{since}; the work {ran}", may_have_run=call.may_have_run)


def too_late(call: Call, *, can_reach: Callable[[NodeId], bool]) -> MeshError:
    """Why there is no answer at the deadline."""
    after = f"in {call.timeout_s:g} s"
    attempt = call.current
    pinned = call.node
    if call.to_handler and pinned is not None and not can_reach(pinned):
        text = f"no path to node {pinned.short} was found {after}"
        return NoRoute(text + ("; the message may have arrived" if call.attempts else ""))
    if attempt is not None:
        return DeadlineExceeded(
            f"node {attempt.node.short} did not answer {call.describe()} {after}; it may have run"
        )
    if call.to_handler:
        return DeadlineExceeded(f"the message was not taken {after}")
    if call.lost:
        who = "nobody else offered" if pinned is None else "that node did not offer"
        return lost_error(call, since=f", and {who} {call.describe()} {after}")
    if pinned is None:
        return NoSuchProcess(f"no reachable node offered {call.describe()} {after}")
    if can_reach(pinned):
        return NoSuchProcess(f"node {pinned.short} did not offer {call.describe()} {after}")
    return NoRoute(f"no path to node {pinned.short} was found {after}")
