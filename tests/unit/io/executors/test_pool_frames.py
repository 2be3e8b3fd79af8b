"""Frames between a node and its pool processes: whole, or the end."""

from __future__ import annotations

import io

import pytest

from mreza.ids import NodeId
from mreza.io.executors.pool_frames import BODY_MAX, JobHead, Kind, read_frame, write_frame


def test_what_is_written_is_read() -> None:
    pipe = io.BytesIO()
    write_frame(pipe, Kind.RESULT, b"result")
    write_frame(pipe, Kind.PROGRESS, b"")
    pipe.seek(0)
    assert [read_frame(pipe), read_frame(pipe)] == [(Kind.RESULT, b"result"), (Kind.PROGRESS, b"")]
    with pytest.raises(EOFError):
        read_frame(pipe)


@pytest.mark.parametrize("data", [b"\x00\x00", b"\x00\x00\x00\x05\x03abc"])
def test_a_frame_that_ends_early_is_the_end(data: bytes) -> None:
    with pytest.raises(EOFError):
        read_frame(io.BytesIO(data))


def test_a_frame_that_is_too_long_is_not_read() -> None:
    with pytest.raises(EOFError, match="limit"):
        read_frame(io.BytesIO((BODY_MAX + 1).to_bytes(4) + b"\x03"))


def test_a_job_brings_its_context() -> None:
    node = b"n" * 16
    head = JobHead("m", "f", "p", node, 9.0, 2, (1, 2, 3, 4), {"h": "v"}, "k", "i", progress=True)
    context = head.context()
    assert context.source == NodeId(node)
    assert context.message_id[1:] == (1, 2, 3, 4)
    assert (context.deadline, context.attempt, context.key) == (9.0, 2, "k")
    assert (context.idempotency_key, context.headers, context.report) == ("i", {"h": "v"}, None)
