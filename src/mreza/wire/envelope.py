"""The unit of the route: a header in clear, which relays read and lower, and a sealed packet.

Layout (big-endian; docs/reference/wire.md has the table and golden bytes):

    0  u8   version           8  16    source id
    1  u8   kind             24  u64   source epoch
    2  u16  flags            32  16×n  destination ids
    4  u8   priority             then, as flagged: path (u8 count, u8 cursor, 16×count),
    5  u8   lane                 trace context (25 bytes)
    6  u8   hop limit            u64 session id, u64 counter
    7  u8   destinations n       as flagged: u16 length and the key wrap; then the sealed packet
"""

from __future__ import annotations

import enum
import struct

from mreza.errors import DecodeError
from mreza.ids import ID_BYTES, NodeId

VERSION = 1
HOP_LIMIT = 32
"Where every envelope starts; at most this many relays see it."
ENVELOPE_MAX = 64 * 1024 + 1152
"Sealed part of an envelope, at most. With one destination it always fits a frame."
PATH_MAX = 8
DESTINATIONS_MAX = 64
WRAP_MAX = 512
TRACE_BYTES = 25
"16 bytes trace id, 8 bytes span id, 1 byte flags (W3C trace context without its version)."

_HEAD = struct.Struct(">BBHBBBB16sQ")
_TAIL = struct.Struct(">QQ")
_U16 = struct.Struct(">H")
_HOP_LIMIT_AT = 6


class EnvelopeKind(enum.IntEnum):
    """What relays and the opener must know before anything is opened."""

    SEALED = 1
    TRACE = 2
    "As SEALED, but the relay at which the hop limit ends answers with its own time."
    NO_SUCH_KEY = 3
    "Signed, not sealed: no key for this session. Carries ids, epochs and a session id."


class EnvelopeFlag(enum.IntFlag):
    """Low byte: must be understood, or the envelope is dropped. High byte: may be ignored."""

    PATH = 1
    TRACE_CONTEXT = 2
    KEY_WRAP = 4


_KNOWN_MANDATORY = int(EnvelopeFlag.PATH | EnvelopeFlag.TRACE_CONTEXT | EnvelopeFlag.KEY_WRAP)
_KINDS = frozenset(int(kind) for kind in EnvelopeKind)


class Envelope:
    """One envelope. Slotted and mutable because a frozen one costs three times as much to build."""

    __slots__ = (
        "counter",
        "destinations",
        "flags",
        "hop_limit",
        "kind",
        "lane",
        "path",
        "path_at",
        "path_cursor",
        "priority",
        "sealed",
        "session_id",
        "source",
        "source_epoch",
        "trace",
        "wrap",
    )

    def __init__(
        self,
        *,
        kind: int,
        priority: int,
        source: NodeId,
        source_epoch: int,
        destinations: tuple[NodeId, ...],
        session_id: int = 0,
        counter: int = 0,
        flags: int = 0,
        lane: int = 0,
        hop_limit: int = HOP_LIMIT,
        path: tuple[NodeId, ...] = (),
        path_cursor: int = 0,
        trace: bytes = b"",
        wrap: bytes = b"",
        sealed: bytes = b"",
    ) -> None:
        self.kind = kind
        self.priority = priority
        self.source = source
        self.source_epoch = source_epoch
        self.destinations = destinations
        self.session_id = session_id
        self.counter = counter
        self.flags = flags
        self.lane = lane
        self.hop_limit = hop_limit
        self.path = path
        self.path_cursor = path_cursor
        self.path_at = 0
        self.trace = trace
        self.wrap = wrap
        self.sealed = sealed

    def encode(self) -> bytes:
        """The envelope as the body of an ENVELOPE frame; sets the flags of the optional parts."""
        flags = self.flags & ~_KNOWN_MANDATORY
        parts: list[bytes] = [b"", *self.destinations]
        if self.path:
            flags |= EnvelopeFlag.PATH
            parts += (bytes((len(self.path), self.path_cursor)), *self.path)
        if self.trace:
            flags |= EnvelopeFlag.TRACE_CONTEXT
            parts.append(self.trace)
        parts.append(_TAIL.pack(self.session_id, self.counter))
        if self.wrap:
            flags |= EnvelopeFlag.KEY_WRAP
            parts += (_U16.pack(len(self.wrap)), self.wrap)
        parts[0] = _HEAD.pack(
            VERSION,
            self.kind,
            flags,
            self.priority,
            self.lane,
            self.hop_limit,
            len(self.destinations),
            self.source,
            self.source_epoch,
        )
        parts.append(self.sealed)
        return b"".join(parts)

    def associated_data(self, *, mesh_flags: int, opener: NodeId) -> bytes:
        """What the seal protects beside the packet: all in clear that must not change on the way.

        `mesh_flags` are the flags as sent. Relays change hop limit, path and destination
        list: those are left out.
        """
        return b"".join(
            (
                _HEAD.pack(
                    VERSION,
                    self.kind,
                    mesh_flags,
                    self.priority,
                    self.lane,
                    0,
                    0,
                    self.source,
                    self.source_epoch,
                ),
                opener,
                self.trace,
                _TAIL.pack(self.session_id, self.counter),
            )
        )

    @property
    def wire_flags(self) -> int:
        """The flags that `encode` writes."""
        flags = self.flags & ~_KNOWN_MANDATORY
        if self.path:
            flags |= EnvelopeFlag.PATH
        if self.trace:
            flags |= EnvelopeFlag.TRACE_CONTEXT
        if self.wrap:
            flags |= EnvelopeFlag.KEY_WRAP
        return flags


def decode_envelope(body: bytes) -> Envelope:
    """Read an envelope; DecodeError says what came and what is allowed."""
    if len(body) < _HEAD.size:
        raise DecodeError(f"envelope of {len(body)} bytes, header has {_HEAD.size}")
    version, kind, flags, priority, lane, hop_limit, count, source, epoch = _HEAD.unpack_from(body)
    if version != VERSION:
        raise DecodeError(f"envelope version {version}, this node speaks {VERSION}")
    if kind not in _KINDS:
        raise DecodeError(f"envelope kind {kind} is unknown")
    if flags & 0xFF & ~_KNOWN_MANDATORY:
        raise DecodeError(
            f"envelope has unknown mandatory flags {flags & 0xFF & ~_KNOWN_MANDATORY:#x}"
        )
    if priority > 3:
        raise DecodeError(f"envelope priority {priority}, highest is 3")
    if not 1 <= count <= DESTINATIONS_MAX:
        raise DecodeError(f"envelope has {count} destinations, allowed are 1 to {DESTINATIONS_MAX}")
    at = _HEAD.size + count * ID_BYTES
    try:
        destinations = tuple(
            NodeId(body[i : i + ID_BYTES]) for i in range(_HEAD.size, at, ID_BYTES)
        )
        path: tuple[NodeId, ...] = ()
        path_cursor = path_at = 0
        trace = wrap = b""
        if flags & 1:
            path_at = at
            hops, path_cursor = body[at], body[at + 1]
            if not 1 <= hops <= PATH_MAX or path_cursor > hops:
                raise DecodeError(
                    f"path of {hops} hops at {path_cursor}, allowed are 1 to {PATH_MAX}"
                )
            at += 2
            path = tuple(
                NodeId(body[i : i + ID_BYTES]) for i in range(at, at + hops * ID_BYTES, ID_BYTES)
            )
            at += hops * ID_BYTES
        if flags & 2:
            trace = body[at : at + TRACE_BYTES]
            at += TRACE_BYTES
        session_id, counter = _TAIL.unpack_from(body, at)
        at += _TAIL.size
        if flags & 4:
            (length,) = _U16.unpack_from(body, at)
            if not 1 <= length <= WRAP_MAX:
                raise DecodeError(f"key wrap of {length} bytes, allowed are 1 to {WRAP_MAX}")
            at += 2
            wrap = body[at : at + length]
            if len(wrap) != length:
                raise DecodeError("envelope ends within its key wrap")
            at += length
    except (struct.error, IndexError, ValueError) as error:
        if isinstance(error, DecodeError):
            raise
        raise DecodeError("envelope ends within its header") from error
    if len(body) - at > ENVELOPE_MAX:
        raise DecodeError(f"envelope of {len(body) - at} sealed bytes, limit {ENVELOPE_MAX}")
    envelope = Envelope(
        kind=kind,
        priority=priority,
        source=NodeId(source),
        source_epoch=epoch,
        destinations=destinations,
        session_id=session_id,
        counter=counter,
        flags=flags,
        lane=lane,
        hop_limit=hop_limit,
        path=path,
        path_cursor=path_cursor,
        trace=trace,
        wrap=wrap,
        sealed=body[at:],
    )
    envelope.path_at = path_at
    return envelope


def for_next_hop(body: bytes, envelope: Envelope, *, advance_path: bool = False) -> bytearray:
    """The same sealed bytes, the hop limit lowered and, with `advance_path`, the cursor moved.

    The hop limit must be at least 1; only an envelope with an explicit path has a cursor.
    """
    copy = bytearray(body)
    copy[_HOP_LIMIT_AT] = envelope.hop_limit - 1
    if advance_path:
        copy[envelope.path_at + 1] = envelope.path_cursor + 1
    return copy
