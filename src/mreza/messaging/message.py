"""Messages as a program sees them: what it sends, what it gets back, what its handler is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from mreza.errors import PayloadError
from mreza.ids import MessageId, NodeId
from mreza.qos import Delivery, MessageType, Priority
from mreza.wire.packet import HEADERS_MAX, REQUEST_TARGET_MAX

T = TypeVar("T")

_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Message:
    """Something to be handled somewhere, for `MeshNetwork.send_message`."""

    type: MessageType
    payload: Any = None
    "bytes, str, numbers, None, lists, dicts, dataclasses, msgspec structs; at most 64 MiB."
    _: KW_ONLY
    priority: Priority = Priority.NORMAL
    process: str = "default"
    "PROCESS: the name under which nodes offer the work."
    destination: NodeId | str | None = None
    "DATA: a node's id or name. PROCESS: None leaves the choice to the balancer."
    key: str | None = None
    "Messages of one key belong together; strategies that hash look at it."
    idempotency_key: str = ""
    """PROCESS: a worker that has done work under this key answers again without doing it again.
    It remembers for ten minutes (`ProcessesConfig.remember_s`); others know nothing of it, so give
    `destination` or, with a strategy that hashes, leave `key` out: this one is taken for it."""
    delivery: Delivery = Delivery.AT_LEAST_ONCE
    "A message with a receipt is sent until it is acknowledged; the others are for `send`."
    timeout_s: float | None = None
    "None: `MessagingConfig.timeout_s`."
    headers: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.type, MessageType):
            raise PayloadError(
                f"type must be MessageType.PROCESS or MessageType.DATA, not {self.type!r}"
            )
        if self.type is MessageType.DATA and self.destination is None:
            raise PayloadError("a DATA message needs destination=, a node's id or name")
        if self.delivery is not Delivery.AT_LEAST_ONCE:
            raise PayloadError(
                f"delivery {self.delivery} is not allowed here: a message with a receipt is sent "
                "AT_LEAST_ONCE; use `mesh.send(..., delivery=)` for AT_MOST_ONCE and ORDERED"
            )
        if self.timeout_s is not None and not self.timeout_s > 0:
            raise PayloadError(f"timeout_s must be positive, not {self.timeout_s}")
        if len(self.process.encode()) > REQUEST_TARGET_MAX:
            raise PayloadError(f"process name is longer than {REQUEST_TARGET_MAX} bytes")
        if len(self.headers) > HEADERS_MAX:
            raise PayloadError(f"{len(self.headers)} headers, limit {HEADERS_MAX}")


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof that a handler returned."""

    message_id: MessageId
    node: NodeId
    "Who handled it."
    path: tuple[NodeId, ...]
    "The route the sender had computed, both ends included."
    attempts: int
    latency_s: float
    "From `send_message` to this receipt."
    result: Any = None
    "What the handler returned."


class ReceivedMessage(Generic[T]):
    """One message as its handler gets it. Not frozen: one is built for each message."""

    __slots__ = ("_batch", "_place", "headers", "payload", "priority", "source")

    def __init__(  # noqa: PLR0917 - built once a message: keywords would cost as much as the rest
        self,
        source: NodeId,
        payload: T,
        priority: Priority,
        batch: tuple[int, int, int],
        place: int,
        headers: Mapping[str, str] = _NO_HEADERS,
    ) -> None:
        """`batch` is (stream epoch, priority, sequence); `place` counts within it."""
        self.source = source
        self.payload = payload
        self.priority = priority
        self.headers = headers
        self._batch = batch
        self._place = place

    @property
    def id(self) -> MessageId:
        """The message's name, the same on every node and in every retransmission."""
        return MessageId(self.source, *self._batch, self._place)

    def __repr__(self) -> str:
        return f"ReceivedMessage(id={self.id}, payload={self.payload!r:.80})"
