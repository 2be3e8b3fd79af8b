"""What planes ask their driver to do. Plain values; the driver carries them out in order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from mreza.events import Event
from mreza.ids import NodeId
from mreza.wire.packet import Failure, Request, Response
from mreza.wire.records import AgedRecord


class SendFrame(msgspec.Struct, eq=False, gc=False):
    """Put a frame into the send queue of the link to `peer`.

    Not frozen: it is built once per envelope.
    """

    peer: NodeId
    kind: int
    body: bytes | bytearray
    priority: int


class CloseLink(msgspec.Struct, frozen=True):
    """End the link to `peer`; a REFUSED frame with this code and text goes first."""

    peer: NodeId
    code: str
    text: str
    introduction: AgedRecord | None = None


class Announce(msgspec.Struct, frozen=True):
    """Tell the application, the log and the control socket."""

    event: Event


class RaiseEpoch(msgspec.Struct, frozen=True):
    """Write a boot counter of at least this to disk (fsync), then call `epoch_raised`."""

    boot: int


class Stop(msgspec.Struct, frozen=True):
    """This process must not go on as this node."""

    error: Exception


class RoutesChanged(msgspec.Struct, frozen=True):
    """Next hops or reachability changed: unacknowledged batches may need another way."""


class RoutesLead(msgspec.Struct, frozen=True):
    """Routes were computed: these neighbors are next hops; links to others are spare."""

    next_hops: tuple[NodeId, ...]


class PeerRestarted(msgspec.Struct, frozen=True):
    """A known node has another epoch.

    `same_process`: it only raised it; else it lost its memory.
    """

    node: NodeId
    epoch: int
    same_process: bool


class NodeDoubted(msgspec.Struct, frozen=True):
    """A member cannot be reached, or can be again: give it no new work, or give it work again."""

    node: NodeId
    reason: str
    "Empty: the doubt is over."


class NodeLost(msgspec.Struct, frozen=True):
    """A member became FAILED, LEFT or REVOKED: whoever waits for it should not."""

    node: NodeId
    cause: str


class AddressesLearned(msgspec.Struct, frozen=True):
    """A record told where a member can be dialed."""

    node: NodeId
    addresses: tuple[str, ...]


class Offence(msgspec.Struct, frozen=True):
    """A neighbor sent what no honest node sends. Costs it the link; counted by name."""

    peer: NodeId
    code: str
    text: str


class Dropped(msgspec.Struct, frozen=True):
    """Something was dropped and counted; `reason` is a stable word."""

    reason: str
    count: int = 1


class InboundData(msgspec.Struct):
    """A batch of payloads for one inbox. `body` is their msgpack array."""

    source: NodeId
    stream_epoch: int
    priority: int
    sequence: int
    inbox: int
    body: bytes | bytearray | memoryview
    credit_bytes: int
    "Give back with `consumed` when the handler is done with the batch."


class InboundRequests(msgspec.Struct):
    """A batch of requests."""

    source: NodeId
    stream_epoch: int
    priority: int
    sequence: int
    requests: list[Request]


class InboundResponses(msgspec.Struct):
    """A batch of answers to our requests."""

    source: NodeId
    responses: list[Response]


class InboundControl(msgspec.Struct):
    """A PONG, EXPIRED_HERE, DROPPED or CANCEL of another node (the data plane answers pings)."""

    source: NodeId
    control: Any
    "A `mreza.wire.packet.Control`."


class RequestsReturned(msgspec.Struct):
    """Not known to be admitted when their destination restarted; they are no longer sent."""

    destination: NodeId
    request_ids: list[int]


class RequestsNumbered(msgspec.Struct):
    """A batch of our requests was sent first; its number is part of the message ids."""

    request_ids: tuple[int, ...]
    stream_epoch: int
    priority: int
    sequence: int

    def messages(self) -> Iterator[tuple[int, tuple[int, int, int, int]]]:
        """Request id and (stream epoch, priority, sequence, place) of each."""
        for place, request_id in enumerate(self.request_ids):
            yield request_id, (self.stream_epoch, self.priority, self.sequence, place)


class RunHandler(msgspec.Struct):
    """Run a registered handler; answer with `ServicePlane.finished`."""

    run_id: int
    request: Request
    source: NodeId
    message: tuple[int, int, int, int]
    "(stream epoch, priority, sequence, index): the rest of the message id."
    deadline: float


class CancelRequest(msgspec.Struct, frozen=True):
    """Tell the node that has this request of ours that nobody waits for its answer."""

    destination: NodeId
    request_id: int
    priority: int


class CancelHandler(msgspec.Struct):
    """The requester no longer waits."""

    run_id: int


class CallProgress(msgspec.Struct, frozen=True):
    """The worker tells how far a call of ours is."""

    call_id: int
    node: NodeId
    value: Any
    "msgspec.Raw of what its handler reported."


class WorkLost(msgspec.Struct, frozen=True):
    """A node will not answer the calls that it had."""

    node: NodeId
    cause: str
    moved: int
    "Calls that go on: with another worker, or waiting for one."
    failed: int
    "Calls that ended with WorkerLost, because their work must not run twice."


class Resolve(msgspec.Struct):
    """The outcome of a call of ours: a result as msgpack, or why there is none."""

    call_id: int
    node: NodeId | None
    attempts: int
    result: Any = None
    "msgspec.Raw of the result, when `error` and `failure` are None."
    failure: Failure | None = None
    error: Exception | None = None
    message: tuple[int, int, int, int] | None = None
    path: tuple[NodeId, ...] = ()
