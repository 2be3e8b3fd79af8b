"""What the seal hides: a head, and one batch, fragment or control item behind it.

Layout: u16 big-endian length of the head, the head (msgpack array), the body.
"""

from __future__ import annotations

import enum
import struct
from typing import Annotated, Any

import msgspec

from mreza.errors import DecodeError
from mreza.wire.codec import ENCODER, U64_MAX, Codec, Wire, bounded, within

HEAD_MAX = 2048
ACKS_MAX = 4
RANGES_MAX = 32
CREDITS_MAX = 16
REQUEST_TARGET_MAX = 128
HEADERS_MAX = 32
KEY_MAX = 1024
"Characters of the key that keeps related work on one node."
IDEMPOTENCY_KEY_MAX = 256
"Characters of the key by which a worker knows that it has done this work before."
PAYLOAD_MAX = 64 * 1024 * 1024
BATCH_MAX = PAYLOAD_MAX + 64 * 1024
"A batch with one payload of the largest size, and what the batch says about it."
_U16 = struct.Struct(">H")


class PacketKind(enum.IntEnum):
    """What the body is."""

    DATA = 1
    "msgpack array of payloads for one inbox."
    REQUEST = 2
    "msgpack array of `Request`."
    RESPONSE = 3
    "msgpack array of `Response`."
    ACK = 4
    "Empty; the head's acknowledgements are the message. Has no sequence number."
    CONTROL = 5
    "One `Control`. Has no sequence number, is not sent again."


class PacketFlag(enum.IntFlag):
    """Low byte: must be understood, or the packet is refused."""

    RELIABLE = 1
    "Sent again until acknowledged."
    ORDERED = 2
    "Handed over only after every reliable batch before it."
    KNOWN = RELIABLE | ORDERED


_KNOWN_MANDATORY = int(PacketFlag.KNOWN)


class Ack(Wire, frozen=True):
    """What has been admitted of one (source, priority)."""

    priority: int
    cumulative: int
    "Every batch up to this one is admitted or given up by its sender."
    ranges: tuple[tuple[int, int], ...] = ()
    "Batches admitted beyond: first and last of each run, rising."
    credits: tuple[tuple[int, int], ...] = ()
    "(inbox, position): the sender may start messages for that inbox below this byte position."
    delay_us: int = 0
    "How long the newest acknowledged batch waited for this."

    def check(self) -> None:
        if self.priority > 3 or self.priority < 0 or self.cumulative < 0 or self.delay_us < 0:
            within("ack priority", self.priority, 0, 3)
            within("ack number", self.cumulative, 0, U64_MAX)
            within("ack delay", self.delay_us, 0, U64_MAX)
        if self.ranges:
            self._check_ranges()
        if self.credits:
            bounded("ack credits", len(self.credits), CREDITS_MAX)
            for inbox, position in self.credits:
                within("credit", min(inbox, position), 0, U64_MAX)

    def _check_ranges(self) -> None:
        bounded("ack ranges", len(self.ranges), RANGES_MAX)
        before = self.cumulative
        for first, last in self.ranges:
            if not before < first <= last:
                raise DecodeError(f"ack range {first} to {last} does not lie beyond {before}")
            before = last


class Fragment(Wire, frozen=True):
    """The body is bytes `offset`… of a body of `total` bytes that did not fit one envelope."""

    transfer: int
    "Sequence number of the first fragment."
    offset: int
    total: int
    checksum: int
    "CRC-32 of the whole body."

    def check(self) -> None:
        within("fragmented body", self.total, 1, BATCH_MAX)
        within("fragment offset", self.offset, 0, self.total - 1)
        within("fragment transfer", self.transfer, 0, U64_MAX)
        within("fragment checksum", self.checksum, 0, (1 << 32) - 1)


class Head(Wire, frozen=True):
    """Head of a packet."""

    flags: int
    kind: int
    stream_epoch: int
    "Epoch in which the sender's process started: sequence numbers count from there."
    sequence: int = 0
    "Number of this batch within (stream epoch, destination, priority), from 1; 0: not numbered."
    behind: int = 0
    "The sender will never again send a batch before `sequence - behind`."
    acks: tuple[Ack, ...] = ()
    session_seen: int = 0
    "Id of the newest session received from the destination: it may stop sending its key wrap."
    compression: int = 0
    "0 none, 1 zstd."
    raw_size: int = 0
    "Size of the body before compression."
    fragment: Fragment | None = None
    deadline_ms: int = 0
    "Time left when sealed; 0: none. Work that arrives later is not worth doing."
    stream: int = 0
    inbox: int = 0
    "DATA: 0 is the destination's `on_message` handler."
    position: int = 0
    "DATA: bytes put into this inbox before this batch, lost ones included."

    def check(self) -> None:
        unknown = self.flags & 0xFF & ~_KNOWN_MANDATORY
        if unknown:
            raise DecodeError(f"packet has unknown mandatory flags {unknown:#x}")
        if self.acks:
            bounded("packet acks", len(self.acks), ACKS_MAX)
            for ack in self.acks:
                ack.check()
        if self.fragment is not None:
            self.fragment.check()
        if not 0 <= self.behind <= self.sequence:
            raise DecodeError(f"packet is {self.behind} behind at sequence {self.sequence}")
        if self.raw_size:
            within("raw size", self.raw_size, 0, BATCH_MAX)
        lowest = min(
            self.flags,
            self.stream_epoch,
            self.session_seen,
            self.deadline_ms,
            self.stream,
            self.inbox,
            self.position,
        )
        if lowest < 0:
            raise DecodeError(f"packet head has the negative number {lowest}")


Number = Annotated[int, msgspec.Meta(ge=0)]
"An unsigned number; `Request` and `Response` come by the thousand, so msgspec checks their bounds."


class Request(msgspec.Struct, frozen=True, array_like=True):
    """Do something with a payload and answer."""

    id: Number
    "Counts within the requester's stream epoch."
    target: Annotated[str, msgspec.Meta(max_length=REQUEST_TARGET_MAX)]
    "Name of a process; empty: the `on_message` handler."
    payload: msgspec.Raw
    timeout_ms: Number
    "Time left when the batch was encoded."
    idempotent: bool = False
    attempt: Number = 1
    key: Annotated[str, msgspec.Meta(max_length=KEY_MAX)] = ""
    headers: Annotated[dict[str, str], msgspec.Meta(max_length=HEADERS_MAX)] | None = None
    idempotency_key: Annotated[str, msgspec.Meta(max_length=IDEMPOTENCY_KEY_MAX)] = ""
    "Work of one requester and process with equal keys is done once; empty: it has no key."
    progress: bool = False
    "Responses with status PROGRESS are welcome."


PerMille = Annotated[int, msgspec.Meta(ge=0, le=1000)]


class Load(msgspec.Struct, frozen=True, array_like=True):
    """How busy the node was that answered."""

    in_flight: Number
    "Requests that run or wait there, of all requesters."
    capacity: Annotated[int, msgspec.Meta(ge=1)]
    "Requests it can hold without letting one wait for long."
    cpu: PerMille | None = None
    "Share of all its cores in use."
    memory: PerMille | None = None
    loop_lag_us: Number | None = None
    "How late its event loop was lately."


class Response(msgspec.Struct, frozen=True, array_like=True):
    """What became of a request."""

    id: Number
    status: Number
    payload: msgspec.Raw
    "Status OK: the result. PROGRESS: what the handler reports. Otherwise: a `Failure`."
    load: Load | None = None


class Status(enum.IntEnum):
    """Outcome of a request."""

    OK = 0
    FAILED = 1
    "The handler raised."
    OVERLOADED = 2
    NO_SUCH_PROCESS = 3
    EXPIRED = 4
    "The deadline had passed before the work began: it did not run."
    BAD_PAYLOAD = 5
    "The payload does not fit the handler's annotation, or its result cannot be encoded."
    CLOSING = 6
    LOST = 7
    "The pool process that did the work died; it may have run."
    PROGRESS = 8
    "Not an outcome: the handler reports how far it is. Only if the request wants it."


class Failure(Wire, frozen=True):
    """Why a request has no result."""

    type_name: str
    message: str
    traceback: str = ""
    retry_after_ms: int = 0


class ControlKind(enum.IntEnum):
    """What a `Control` says."""

    PING = 1
    PONG = 2
    EXPIRED_HERE = 3
    "Answer where a hop limit ended: `number` is the envelope's counter, `stamp_us` our time."
    DROPPED = 4
    "This relay dropped `count` envelopes of ours; `reason` says why."
    CANCEL = 5
    """Nobody waits for the answer to request `number` any more; `session_id` is the stream epoch
    that it was sent in."""


class Control(Wire, frozen=True):
    """A small fact from node to node that is not sent again."""

    kind: int
    number: int = 0
    stamp_us: int = 0
    session_id: int = 0
    count: int = 0
    reason: str = ""

    def check(self) -> None:
        bounded("control reason", len(self.reason), 128)
        lowest = min(self.kind, self.number, self.stamp_us, self.session_id, self.count)
        within("control number", lowest, 0, U64_MAX)


HEAD = Codec(Head, limit=HEAD_MAX, what="packet head")
CONTROL = Codec(Control, limit=512, what="control packet")
FAILURE = Codec(Failure, limit=64 * 1024, what="failure")
REQUESTS = Codec(list[Request], limit=BATCH_MAX, what="requests")
RESPONSES = Codec(list[Response], limit=BATCH_MAX, what="responses")


def encode_packet(head: Head, body: bytes | bytearray | memoryview) -> bytes:
    """The plaintext to seal."""
    encoded = ENCODER.encode(head)
    return b"".join((_U16.pack(len(encoded)), encoded, body))


def decode_packet(plaintext: bytes) -> tuple[Head, memoryview]:
    """Head and body of an opened packet."""
    if len(plaintext) < 2:
        raise DecodeError(f"packet of {len(plaintext)} bytes")
    (length,) = _U16.unpack_from(plaintext)
    if length > HEAD_MAX or 2 + length > len(plaintext):
        raise DecodeError(
            f"packet head of {length} bytes, limit {min(HEAD_MAX, len(plaintext) - 2)}"
        )
    view = memoryview(plaintext)
    return HEAD.decode(view[2 : 2 + length]), view[2 + length :]


def encode_payload(value: Any) -> bytes:
    """A payload as msgpack; TypeError for what msgpack cannot say."""
    return ENCODER.encode(value)
