"""The shared state as bytes: a signed statement of one origin, and the bodies of each kind.

A record's body is opaque bytes, kept and passed on as received; only who needs a kind decodes it.
"""

from __future__ import annotations

import enum
import hashlib

from mreza.ids import MeshId, NodeId
from mreza.wire.codec import ENCODER, U64_MAX, UPTIME_MAX_S, Codec, Wire, bounded, exactly, within

SIGNATURE_CONTEXT = b"mreza/record/1"
KEY_MAX = 64
"Bytes of a record's key."
BODY_MAX = 16 * 1024
"Bytes of a record's body; all small control facts of one origin together share this, too."
KEYS_PER_ORIGIN_MAX = 64
LINKS_MAX = 256
LOST_MAX = 32
NAME_MAX = 64
"UTF-8 bytes of a node's name."
ADDRESSES_MAX = 16
OFFERS_MAX = 128
PREKEYS_MAX = 4
CHAIN_MAX = 3
CERTIFICATE_MAX = 2048
RECORDS_FRAME_MAX = 60 * 1024
AGE_MAX_S = 1e9
"Thirty years."


class RecordKind(enum.IntEnum):
    """What a record states. Unknown kinds are carried and not understood."""

    INTRODUCTION = 1
    LINKS = 2
    FAREWELL = 3
    REVOCATION = 4
    EVIDENCE = 5
    CLAIM = 6
    VOTE = 7


class Record(Wire, frozen=True):
    """One signed, numbered statement of one node."""

    origin: NodeId
    kind: int
    key: bytes
    epoch: int
    sequence: int
    "Counts within (origin, epoch, kind, key)."
    body: bytes
    signature: bytes

    def check(self) -> None:
        bounded("record key", len(self.key), KEY_MAX)
        bounded("record body", len(self.body), BODY_MAX)
        bounded("record signature", len(self.signature), 64)
        within("record kind", self.kind, 0, 255)
        within("record epoch", self.epoch, 0, U64_MAX)
        within("record sequence", self.sequence, 0, U64_MAX)

    @property
    def slot(self) -> tuple[NodeId, int, bytes]:
        """What a newer record replaces: (origin, kind, key)."""
        return (self.origin, self.kind, self.key)

    @property
    def version(self) -> tuple[int, int]:
        """(epoch, sequence): the higher one is the newer record."""
        return (self.epoch, self.sequence)

    def signed_bytes(self, mesh: MeshId) -> bytes:
        """What the signature covers."""
        content = (self.origin, self.kind, self.key, self.epoch, self.sequence, self.body)
        return SIGNATURE_CONTEXT + mesh + ENCODER.encode(content)

    def digest(self) -> bytes:
        """SHA-256 of the whole record; of two records of equal version the larger digest wins."""
        return hashlib.sha256(ENCODER.encode(self)).digest()


class AgedRecord(Wire, frozen=True):
    """A record on its way, and how long others have held it: not signed; holders only add."""

    record: Record
    age_s: float

    def check(self) -> None:
        self.record.check()
        within("record age in seconds", self.age_s, 0, AGE_MAX_S)


class RecordsBody(Wire, frozen=True):
    """Body of a RECORDS frame."""

    records: tuple[AgedRecord, ...]

    def check(self) -> None:
        for aged in self.records:
            aged.check()


class DigestEntry(Wire, frozen=True):
    """The version of one record that the sender holds."""

    origin: NodeId
    kind: int
    key: bytes
    epoch: int
    sequence: int
    prefix: bytes
    "First 8 bytes of the record's digest: tells equal versions with different content apart."

    def check(self) -> None:
        bounded("digest key", len(self.key), KEY_MAX)
        bounded("digest prefix", len(self.prefix), 8)
        within("digest kind", self.kind, 0, 255)
        within("digest epoch", self.epoch, 0, U64_MAX)
        within("digest sequence", self.sequence, 0, U64_MAX)


class DigestBody(Wire, frozen=True):
    """Body of a DIGEST frame: a summary of all that is offered or, if they differ, one page."""

    summary: bytes
    "16 bytes: the sum of SHA-256 of all entries offered, modulo 2**128. Equal: nothing to send."
    low: bytes = b""
    "The page covers origins from `low` (included) to `high` (left out; empty: to the end)."
    high: bytes = b""
    entries: tuple[DigestEntry, ...] | None = None
    "None: only a summary; the receiver answers with pages if its own differs."

    def check(self) -> None:
        bounded("digest summary", len(self.summary), 16)
        bounded("digest bounds", max(len(self.low), len(self.high)), 16)
        for entry in self.entries or ():
            entry.check()


class Prekey(Wire, frozen=True):
    """An X25519 public key that others seal for; its private half lives in memory only."""

    id: int
    public: bytes

    def check(self) -> None:
        exactly("prekey", len(self.public), 32)
        within("prekey id", self.id, 0, U64_MAX)


class Introduction(Wire, frozen=True):
    """Body of INTRODUCTION: who a node is and what it offers."""

    certificates: tuple[bytes, ...]
    "DER; the node's own first, then the authority that signed it (every member knows the root)."
    name: str
    addresses: tuple[str, ...]
    prekeys: tuple[Prekey, ...]
    offers: tuple[str, ...]
    "Names of the processes that this node does work for."
    instance: int
    "64 random bits drawn when the process started: tells a raised epoch from a restart."
    uptime_s: float
    authorities: tuple[bytes, ...] = ()
    "Ids of the authorities whose key this node holds; joins are passed on to it."
    version: str = ""
    forwarding: bool = True

    def check(self) -> None:
        bounded("certificate chain", len(self.certificates), CHAIN_MAX)
        for certificate in self.certificates:
            bounded("certificate", len(certificate), CERTIFICATE_MAX)
        bounded("name", len(self.name.encode()), NAME_MAX)
        bounded("addresses", len(self.addresses), ADDRESSES_MAX)
        bounded("prekeys", len(self.prekeys), PREKEYS_MAX)
        bounded("offers", len(self.offers), OFFERS_MAX)
        within("instance", self.instance, 0, U64_MAX)
        within("uptime", self.uptime_s, 0, UPTIME_MAX_S)
        for prekey in self.prekeys:
            prekey.check()


class LostLink(Wire, frozen=True):
    """A neighbor that the origin lost, and why it thinks so."""

    peer: NodeId
    peer_epoch: int
    cause: str
    "`gone`: the connection was reset and a redial refused; `reset`; `silent`; `closed`."


class LinkEntry(Wire, frozen=True):
    """One link that the origin has now."""

    peer: NodeId
    cost: int
    "At least 1; 96 for a short wire, more with round-trip time (routing/metric.py)."


class LinksBody(Wire, frozen=True):
    """Body of LINKS: all links of the origin. An edge exists only when both ends list it."""

    links: tuple[LinkEntry, ...]
    lost: tuple[LostLink, ...] = ()

    def check(self) -> None:
        bounded("links", len(self.links), LINKS_MAX)
        bounded("lost links", len(self.lost), LOST_MAX)
        for link in self.links:
            within("link cost", link.cost, 1, (1 << 32) - 1)
        for lost in self.lost:
            bounded("cause of a lost link", len(lost.cause), 32)
            within("epoch of a lost link", lost.peer_epoch, 0, U64_MAX)


class FarewellBody(Wire, frozen=True):
    """Body of FAREWELL: the origin has left on purpose; a newer epoch takes it back."""

    reason: str

    def check(self) -> None:
        bounded("farewell reason", len(self.reason.encode()), 256)


INTRODUCTION = Codec(Introduction, limit=BODY_MAX, what="introduction")
LINKS = Codec(LinksBody, limit=BODY_MAX, what="links record")
FAREWELL = Codec(FarewellBody, limit=1024, what="farewell")
RECORDS = Codec(RecordsBody, limit=64 * 1024, what="records frame")
DIGEST = Codec(DigestBody, limit=64 * 1024, what="digest frame")
