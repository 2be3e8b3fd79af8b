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

import msgspec

from mreza.errors import DecodeError, InvalidId
from mreza.ids import ID_BYTES, NodeId, node_id

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
_PLAIN = struct.Struct(">BBHBBBB16sQ16sQQ")
"The header of nearly every envelope: one destination, no path, no trace context."
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


# Numbers instead of flags, whose "and" and "or" are slow.
_PATH = int(EnvelopeFlag.PATH)
_TRACE_CONTEXT = int(EnvelopeFlag.TRACE_CONTEXT)
_KEY_WRAP = int(EnvelopeFlag.KEY_WRAP)
_KNOWN_MANDATORY = _PATH | _TRACE_CONTEXT | _KEY_WRAP
_KINDS = frozenset(int(kind) for kind in EnvelopeKind)


class Envelope(msgspec.Struct, kw_only=True, eq=False, gc=False):
    """One envelope. Not frozen, because sealing fills it in; built in C, in a tenth of the time."""

    kind: int
    priority: int
    source: NodeId
    source_epoch: int
    destinations: tuple[NodeId, ...]
    session_id: int = 0
    counter: int = 0
    flags: int = 0
    lane: int = 0
    hop_limit: int = HOP_LIMIT
    path: tuple[NodeId, ...] = ()
    path_cursor: int = 0
    path_at: int = 0
    "Where the path stands in the bytes that this was read from."
    trace: bytes = b""
    wrap: bytes = b""
    sealed: bytes = b""

    def encode(self) -> bytes:
        """The envelope as the body of an ENVELOPE frame; sets the flags of the optional parts."""
        if len(self.destinations) == 1 and not (self.path or self.trace):
            plain = _PLAIN.pack(
                VERSION,
                self.kind,
                self.wire_flags,
                self.priority,
                self.lane,
                self.hop_limit,
                1,
                self.source,
                self.source_epoch,
                self.destinations[0],
                self.session_id,
                self.counter,
            )
            if self.wrap:
                return b"".join((plain, _U16.pack(len(self.wrap)), self.wrap, self.sealed))
            return plain + self.sealed
        parts: list[bytes] = [b"", *self.destinations]
        if self.path:
            parts += (bytes((len(self.path), self.path_cursor)), *self.path)
        if self.trace:
            parts.append(self.trace)
        parts.append(_TAIL.pack(self.session_id, self.counter))
        if self.wrap:
            parts += (_U16.pack(len(self.wrap)), self.wrap)
        parts[0] = _HEAD.pack(
            VERSION,
            self.kind,
            self.wire_flags,
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
        if not self.trace:
            return _PLAIN.pack(
                VERSION,
                self.kind,
                mesh_flags,
                self.priority,
                self.lane,
                0,
                0,
                self.source,
                self.source_epoch,
                opener,
                self.session_id,
                self.counter,
            )
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
            flags |= _PATH
        if self.trace:
            flags |= _TRACE_CONTEXT
        if self.wrap:
            flags |= _KEY_WRAP
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
    envelope = Envelope(
        kind=kind,
        priority=priority,
        source=node_id(source),
        source_epoch=epoch,
        destinations=(),
        flags=flags,
        lane=lane,
        hop_limit=hop_limit,
    )
    if count == 1 and not flags & _KNOWN_MANDATORY and len(body) >= _PLAIN.size:
        envelope.destinations = (node_id(body[_HEAD.size : _HEAD.size + ID_BYTES]),)
        envelope.session_id, envelope.counter = _TAIL.unpack_from(body, _HEAD.size + ID_BYTES)
        at = _PLAIN.size
    else:
        at = _read_parts(envelope, body, destinations=count)
    if len(body) - at > ENVELOPE_MAX:
        raise DecodeError(f"envelope of {len(body) - at} sealed bytes, limit {ENVELOPE_MAX}")
    envelope.sealed = body[at:]
    return envelope


def _read_parts(envelope: Envelope, body: bytes, *, destinations: int) -> int:
    """What stands between the head and the sealed packet; where that begins."""
    try:
        at = _HEAD.size + destinations * ID_BYTES
        envelope.destinations = _ids(body, _HEAD.size, destinations)
        if envelope.flags & _PATH:
            hops, cursor = body[at], body[at + 1]
            if not 1 <= hops <= PATH_MAX or cursor > hops:
                raise DecodeError(f"path of {hops} hops at {cursor}, allowed are 1 to {PATH_MAX}")
            envelope.path_at, envelope.path_cursor = at, cursor
            envelope.path = _ids(body, at + 2, hops)
            at += 2 + hops * ID_BYTES
        if envelope.flags & _TRACE_CONTEXT:
            envelope.trace = body[at : at + TRACE_BYTES]
            at += TRACE_BYTES
        envelope.session_id, envelope.counter = _TAIL.unpack_from(body, at)
        at += _TAIL.size
        if envelope.flags & _KEY_WRAP:
            (length,) = _U16.unpack_from(body, at)
            if not 1 <= length <= WRAP_MAX:
                raise DecodeError(f"key wrap of {length} bytes, allowed are 1 to {WRAP_MAX}")
            at += 2
            envelope.wrap = body[at : at + length]
            if len(envelope.wrap) != length:
                raise DecodeError("envelope ends within its key wrap")
            at += length
    except (struct.error, IndexError, InvalidId) as error:
        raise DecodeError("envelope ends within its header") from error
    return at


def _ids(body: bytes, at: int, count: int) -> tuple[NodeId, ...]:
    return tuple(
        node_id(body[i : i + ID_BYTES]) for i in range(at, at + count * ID_BYTES, ID_BYTES)
    )


def for_next_hop(body: bytes, envelope: Envelope, *, advance_path: bool = False) -> bytearray:
    """The same sealed bytes, the hop limit lowered and, with `advance_path`, the cursor moved.

    The hop limit must be at least 1; only an envelope with an explicit path has a cursor.
    """
    copy = bytearray(body)
    copy[_HOP_LIMIT_AT] = envelope.hop_limit - 1
    if advance_path:
        copy[envelope.path_at + 1] = envelope.path_cursor + 1
    return copy
