"""What two neighbors say to each other: hello, refusal, probe, goodbye."""

from __future__ import annotations

import enum

from mreza.ids import MeshId, NodeId
from mreza.wire.codec import U64_MAX, UPTIME_MAX_S, Codec, Wire, bounded, exactly, within
from mreza.wire.records import ADDRESSES_MAX, NAME_MAX, AgedRecord

PROTOCOL_VERSION = 1
OLDEST_VERSION = 1
"A node talks to its own version and the one before."
FEATURES_MAX = 32
ALPN_MEMBER = "mreza/1"
ALPN_JOIN = "mreza-join/1"


class RefusalCode(enum.StrEnum):
    """Why a link ended before or after its hello; stable, shown in both logs."""

    NO_CERTIFICATE = "no_certificate"
    WRONG_ALPN = "wrong_alpn"
    BAD_CERTIFICATE = "bad_certificate"
    REVOKED = "revoked"
    OTHER_MESH = "other_mesh"
    OTHER_NODE = "other_node"
    "Dialed one node and reached another."
    VERSION = "version"
    OLD_EPOCH = "old_epoch"
    MALFORMED = "malformed"
    TOO_LARGE = "too_large"
    TIMEOUT = "timeout"
    DUPLICATE_LINK = "duplicate_link"
    SELF = "self"
    DUPLICATE_IDENTITY = "duplicate_identity"
    TOO_MANY = "too_many"
    SHUTDOWN = "shutdown"
    SILENT = "silent"
    JOIN_REFUSED = "join_refused"


class Hello(Wire, frozen=True):
    """First frame in each direction; the link is up when the peer's has been accepted."""

    version: int
    features: tuple[str, ...]
    epoch: int
    uptime_s: float
    name: str
    addresses: tuple[str, ...]
    mesh: MeshId

    def check(self) -> None:
        within("version", self.version, 0, 1 << 16)
        bounded("features", len(self.features), FEATURES_MAX)
        bounded("name", len(self.name.encode()), NAME_MAX)
        bounded("addresses", len(self.addresses), ADDRESSES_MAX)
        for text in self.features + self.addresses:
            bounded("feature or address", len(text), 128)
        within("epoch", self.epoch, 0, U64_MAX)
        within("uptime", self.uptime_s, 0, UPTIME_MAX_S)


class Refused(Wire, frozen=True):
    """Last frame of a refused link; `introduction` answers a hello with an older epoch."""

    code: str
    text: str = ""
    introduction: AgedRecord | None = None

    def check(self) -> None:
        bounded("refusal code", len(self.code), 64)
        bounded("refusal text", len(self.text), 512)
        if self.introduction is not None:
            self.introduction.check()


class Probe(Wire, frozen=True):
    """Sign of life and round-trip time. Not answered: each end sends its own."""

    stamp_us: int
    echo_us: int = 0
    "0: nothing received yet."
    held_us: int = 0
    next_us: int = 0
    "The sender's next probe leaves within this time; 0: not said."
    hears: bool = True
    "False: the sender has heard nothing for too long. That is news to whoever hears this."

    def check(self) -> None:
        for stamp in (self.stamp_us, self.echo_us, self.held_us, self.next_us):
            within("probe time", stamp, 0, U64_MAX)


class Goodbye(Wire, frozen=True):
    """The peer closes on purpose: a lost link that is no failure."""

    reason: str

    def check(self) -> None:
        bounded("goodbye reason", len(self.reason), 256)


class Beacon(Wire, frozen=True):
    """LAN presence, multicast over UDP. A hint for dialing; TLS then proves membership."""

    mesh: MeshId
    node: NodeId
    public_key: bytes
    "Raw Ed25519; its hash is `node`, so a beacon can be checked without knowing the node."
    epoch: int
    port: int
    addresses: tuple[str, ...]
    stamp_ms: int
    "Wall clock of the sender in ms; a receiver takes only rising stamps of one (node, epoch)."
    signature: bytes

    def check(self) -> None:
        exactly("beacon key", len(self.public_key), 32)
        exactly("beacon signature", len(self.signature), 64)
        bounded("addresses", len(self.addresses), ADDRESSES_MAX)
        within("beacon port", self.port, 1, 65535)
        within("epoch", self.epoch, 0, U64_MAX)
        within("beacon stamp", self.stamp_ms, 0, U64_MAX)


HELLO = Codec(Hello, limit=4 * 1024, what="hello")
REFUSED = Codec(Refused, limit=20 * 1024, what="refusal")
PROBE = Codec(Probe, limit=64, what="probe")
GOODBYE = Codec(Goodbye, limit=512, what="goodbye")
BEACON = Codec(Beacon, limit=1200, what="beacon")
