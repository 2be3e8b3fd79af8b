"""What an application hears: one struct an event, with a stable name and when it was noticed."""

from __future__ import annotations

import enum
from typing import Any

import msgspec

from mreza.ids import NodeId


class MemberState(enum.StrEnum):
    """How the mesh sees a node."""

    ALIVE = "alive"
    SUSPECT = "suspect"
    "Unreachable, for too short a time to draw conclusions."
    FAILED = "failed"
    LEFT = "left"
    "Said goodbye, signed."


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="event"):
    """Base of all events."""

    at: float
    "Wall clock, seconds since 1970; set by the node that noticed."

    @property
    def name(self) -> str:
        """The stable name, as in JSON and in the log."""
        return str(self.__struct_config__.tag)


class MemberChanged(Event, frozen=True, tag="member_changed"):
    """A member's state changed."""

    node: NodeId
    label: str
    "The member's name."
    old: MemberState | None
    "None: first heard of."
    new: MemberState
    cause: str


class Partitioned(Event, frozen=True, tag="partitioned"):
    """The mesh is in two parts: said once on each node of both sides, not once a member."""

    ours: tuple[NodeId, ...]
    "Members that this node reaches, itself included."
    theirs: tuple[NodeId, ...]
    "Members of the other side, as far as they were known."
    our_labels: tuple[str, ...]
    their_labels: tuple[str, ...]
    since_s: float
    "How long ago the first of them was lost, seconds."


class PartitionHealed(Event, frozen=True, tag="partition_healed"):
    """The other side of a partition can be reached again."""

    theirs: tuple[NodeId, ...]
    their_labels: tuple[str, ...]
    missing: tuple[NodeId, ...]
    "Those of the other side that have not come back with it: lost on their own."
    lasted_s: float
    "Seconds from the first loss to the first return."


class LinkUp(Event, frozen=True, tag="link_up"):
    """A link to a peer carries traffic."""

    peer: NodeId
    label: str
    address: str
    dialed: bool
    "True: this node dialed."


class LinkDown(Event, frozen=True, tag="link_down"):
    """A link ended."""

    peer: NodeId
    label: str
    cause: str
    "`reset`, `gone`, `silent`, `closed`, `replaced`, or a refusal code of docs/reference/wire.md."


class PeerRefused(Event, frozen=True, tag="peer_refused"):
    """A connection was refused, by us or by them, before a link was up."""

    address: str
    code: str
    text: str
    by_us: bool
    peer: NodeId | None = None


class EpochRaised(Event, frozen=True, tag="epoch_raised"):
    """This node met a newer epoch of itself (restored from a copy, or cloned) and passed it."""

    epoch: int


class DuplicateIdentityFound(Event, frozen=True, tag="duplicate_identity"):
    """Two processes run with one key. Heard by both and by their peers."""

    node: NodeId
    label: str
    stopped_here: bool
    "True in the process that stops, which is the one that started later."


class HandlerFailed(Event, frozen=True, tag="handler_failed"):
    """A message handler raised; the sender got it as RemoteError if it waits for a receipt."""

    source: NodeId
    target: str
    error: str


class WorkMoved(Event, frozen=True, tag="work_moved"):
    """A worker was lost that had calls of this node."""

    node: NodeId
    label: str
    "The worker's name."
    cause: str
    moved: int
    "Calls that go on: with another worker, or waiting for one."
    failed: int
    "Calls that ended with WorkerLost, because their work must not run twice."


class LoopHeld(Event, frozen=True, tag="loop_held"):
    """Something ran on this node's event loop for so long that nothing else could."""

    handler: str
    "Function, file and line of what held it."
    held_s: float


class EnvelopesDropped(Event, frozen=True, tag="envelopes_dropped"):
    """This node dropped envelopes; said at most once a second for each reason."""

    reason: str
    count: int


def to_json(event: Event) -> dict[str, Any]:
    """The event as plain JSON values."""
    return msgspec.to_builtins(event, enc_hook=str, builtin_types=())  # type: ignore[no-any-return]
