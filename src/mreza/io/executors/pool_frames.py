"""What a node and its pool processes say to each other: jobs down, outcomes up, over two pipes.

Payloads and results are msgpack; nothing is pickled. u32 length (big-endian), u8 kind, body.
"""

from __future__ import annotations

import enum
import struct
from typing import BinaryIO

import msgspec

from mreza.ids import MessageId, NodeId
from mreza.processes.handlers import CallContext
from mreza.wire.packet import BATCH_MAX, Failure

_HEADER = struct.Struct(">IB")
BODY_MAX = BATCH_MAX + 1024 * 1024


class Kind(enum.IntEnum):
    """What a frame says."""

    JOB = 1
    "Head and payload of one piece of work: two frames in one."
    PAYLOAD = 2
    RESULT = 3
    FAILURE = 4
    "`TellFailure`."
    PROGRESS = 5


class JobHead(msgspec.Struct, frozen=True, array_like=True):
    """Which function is to be called, and what it may know."""

    module: str
    function: str
    process: str
    source: bytes
    deadline: float
    attempt: int
    message: tuple[int, int, int, int]
    headers: dict[str, str]
    key: str
    idempotency_key: str
    progress: bool
    main_name: str = ""
    "How the program's own module is found, if the function is there."
    main_path: str = ""

    def context(self) -> CallContext:
        """The handler's second argument, without a way to report progress."""
        source = NodeId(self.source)
        return CallContext(
            source=source,
            deadline=self.deadline,
            attempt=self.attempt,
            message_id=MessageId(source, *self.message),
            headers=self.headers,
            key=self.key,
            idempotency_key=self.idempotency_key,
        )


class TellFailure(msgspec.Struct, frozen=True, array_like=True):
    """The handler ended without a result."""

    status: int
    failure: Failure


JOB_HEAD = msgspec.msgpack.Decoder(JobHead)
TELL_FAILURE = msgspec.msgpack.Decoder(TellFailure)


def write_frame(pipe: BinaryIO, kind: Kind, body: bytes | memoryview | msgspec.Raw) -> None:
    """Put one frame into a pipe's buffer."""
    pipe.write(_HEADER.pack(len(body), kind))
    pipe.write(body)


def read_frame(pipe: BinaryIO) -> tuple[int, bytes]:
    """The next frame; EOFError if there is none any more."""
    header = pipe.read(_HEADER.size)
    if len(header) < _HEADER.size:
        raise EOFError("the other end of the pipe is closed")
    size, kind = _HEADER.unpack(header)
    if size > BODY_MAX:
        raise EOFError(f"a frame of {size} bytes in a pipe, limit {BODY_MAX}")
    body = pipe.read(size)
    if len(body) < size:
        raise EOFError("the other end of the pipe was closed within a frame")
    return kind, body
