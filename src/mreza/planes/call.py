"""One call: what was asked, and who was asked."""

from __future__ import annotations

import msgspec

from mreza.balancing.lease import Lease
from mreza.config.load_balancer import Strategy
from mreza.errors import ConfigError, PayloadError
from mreza.ids import NodeId
from mreza.qos import Priority
from mreza.wire.packet import HEADERS_MAX, REQUEST_TARGET_MAX

HEADER_BYTES_MAX = 8 * 1024


class Attempt(msgspec.Struct, eq=False):
    """A call given to one node."""

    call: Call
    request_id: int
    node: NodeId
    lease: Lease | None
    sent_at: float
    idempotent: bool = False
    message: tuple[int, int, int, int] | None = None
    "None: nothing of it has left this node yet."

    @property
    def was_sent(self) -> bool:
        """It may have reached its node, or a part of it."""
        return self.message is not None

    @property
    def is_out(self) -> bool:
        """Its node has the call now; not only once, before it was believed lost."""
        return self is self.call.current or self is self.call.rival


class Call(msgspec.Struct, eq=False):
    """One call until it is resolved."""

    call_id: int
    process: str
    payload: msgspec.Raw
    node: NodeId | None = None
    deadline: float = 0.0
    timeout_s: float = 0.0
    priority: int = int(Priority.NORMAL)
    key: str | None = None
    headers: dict[str, str] | None = None
    strategy: Strategy | None = None
    "None: that of its process."
    hedge: bool | float = False
    "When to ask a second node: after so many seconds, or (True) when most would have answered."
    idempotent: bool = False
    idempotency_key: str = ""
    progress: bool = False
    "The caller wants to know how far the work is."
    to_handler: bool = False
    attempts: list[Attempt] = msgspec.field(default_factory=list)
    current: Attempt | None = None
    "None: it waits for somebody who could do it."
    rival: Attempt | None = None
    "The one before `current`, while both may answer."
    losses: int = 0
    "Workers that were lost and may have run it."
    may_have_run: bool = False
    lost: str = ""
    "How the last worker was lost, or that it is closing; empty: none was."
    refused: list[NodeId] = msgspec.field(default_factory=list)
    "Who would not do it; asked again when it restarts or offers anew."
    retry_after_s: float | None = None
    "The shortest that an overloaded one has named."

    def describe(self) -> str:
        return "the message" if self.to_handler else f"process {self.process!r}"


def check_call(
    process: str,
    node: NodeId | None,
    timeout_s: float,
    headers: dict[str, str] | None,
    *,
    hedge: bool | float = False,
    to_handler: bool,
) -> None:
    """Refuse at once what can never be done."""
    if to_handler and node is None:
        raise PayloadError("a DATA message needs destination=, a node's id or name")
    if not to_handler and not 0 < len(process.encode()) <= REQUEST_TARGET_MAX:
        raise ConfigError(f"process name {process!r}: must have 1 to {REQUEST_TARGET_MAX} bytes")
    if not timeout_s > 0:
        raise ConfigError(f"timeout_s is {timeout_s}: must be above 0")
    if hedge is not False and not hedge > 0:
        raise ConfigError(f"hedge is {hedge}: must be True, False or seconds above 0")
    if headers:
        size = sum(len(name.encode()) + len(value.encode()) for name, value in headers.items())
        if len(headers) > HEADERS_MAX or size > HEADER_BYTES_MAX:
            raise PayloadError(
                f"{len(headers)} headers of {size} bytes; allowed are {HEADERS_MAX} "
                f"of {HEADER_BYTES_MAX} bytes together"
            )
