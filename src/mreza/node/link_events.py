"""What a node hears of its links, and what it can ask about them."""

from __future__ import annotations

import enum
from typing import NamedTuple, Protocol

import msgspec

from mreza.address import Address
from mreza.ids import NodeId
from mreza.link.quality import Quality
from mreza.link.send_queue import Body
from mreza.node.link_connection import LinkConnection
from mreza.wire.link import Hello
from mreza.wire.records import AgedRecord


class PeerRefusal(msgspec.Struct, frozen=True):
    """A connection ended for a reason that has a name."""

    address: Address
    peer: NodeId | None
    "None: it never showed who it is."
    code: str
    "A RefusalCode, or whatever a newer peer says."
    text: str
    by_us: bool
    dialed: bool
    introduction: AgedRecord | None = None
    "The peer's proof that we have an old epoch."


class LinkEvents(Protocol):
    """What a node hears of its links. Called between two awaits; must not block."""

    def link_up(
        self, peer: NodeId, hello: Hello, address: Address, *, dialed: bool, rtt_s: float
    ) -> None:
        """A link to a peer that had none, or whose link is usable again."""
        ...

    def link_down(self, peer: NodeId, cause: str) -> None:
        """The link to a peer ended: `reset`, `closed`, `silent`, `replaced` or a refusal code.

        After `silent` the same link may come up again.
        """
        ...

    def link_measured(self, peer: NodeId, quality: Quality) -> None:
        """How the link is; told once a second at most."""
        ...

    def link_reset(self, peer: NodeId) -> None:
        """A link that was `silent` ended without a word: its cause is `reset` after all."""
        ...

    def peer_gone(self, peer: NodeId) -> None:
        """Its link was reset and a redial refused: no process listens there any more."""
        ...

    def frame(self, peer: NodeId, kind: int, body: bytes) -> None:
        """An ENVELOPE, RECORDS or DIGEST frame."""
        ...

    def frame_dropped(self, peer: NodeId, kind: int, body: Body) -> None:
        """What was given to `send` is not sent: the queue is full, or an envelope's link ended."""
        ...

    def refused(self, refusal: PeerRefusal) -> None:
        """A connection was refused, by us or by them."""
        ...

    def identity_conflict(
        self,
        address: Address,
        epoch: int,
        introduction: AgedRecord | None,
        *,
        uptime_s: float | None = None,
    ) -> None:
        """Somebody else runs with our key; `epoch` is theirs, 0 if they did not say.

        `uptime_s` is that of their hello, None if they refused ours.
        """
        ...


class DialOutcome(enum.Enum):
    """What came of a dial."""

    UP = "up"
    ALREADY = "already"
    "That node is linked, or another dial to it is further."
    NOBODY = "nobody"
    "Nobody listens there: the connection was refused by the machine."
    UNREACHABLE = "unreachable"
    REFUSED = "refused"
    "By TLS or a REFUSED frame, by us or by them."
    OURSELF = "ourself"


class DialResult(NamedTuple):
    """What came of a dial, and which node is there if that is known."""

    outcome: DialOutcome
    peer: NodeId | None = None
    cause: str = ""


class LinkView(NamedTuple):
    """A link as it is now."""

    peer: NodeId
    name: str
    epoch: int
    address: Address
    "As dialed, or where the peer called from."
    dialed: bool
    rtt_s: float | None
    up_since: float
    "Monotonic."
    bytes_in: int
    bytes_out: int
    queued_bytes: int
    tls: str
    "Protocol version in use."


def view_of(peer: NodeId, link: LinkConnection) -> LinkView:
    """A link that is up, as it is now."""
    session = link.session
    assert session is not None  # noqa: S101 - the link is up
    hello = session.peer_hello
    assert hello is not None  # noqa: S101
    return LinkView(
        peer=peer,
        name=hello.name,
        epoch=hello.epoch,
        address=link.address,
        dialed=link.dialed,
        rtt_s=session.rtt_s,
        up_since=link.up_at,
        bytes_in=link.bytes_in,
        bytes_out=link.bytes_out,
        queued_bytes=session.queued_bytes,
        tls=link.tls_version,
    )
