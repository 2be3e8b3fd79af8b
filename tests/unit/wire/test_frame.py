"""Frames: cut from a stream as they come, refused as soon as their header says too much."""

from __future__ import annotations

import pytest

from mreza.errors import DecodeError
from mreza.wire.frame import (
    BODY_MAX,
    BODY_MAX_BEFORE_HELLO,
    HEADER_BYTES,
    FrameReader,
    FrameType,
    encode_frame,
)


def test_a_frame_is_length_type_and_body() -> None:
    assert encode_frame(FrameType.PROBE, b"abc") == b"\x00\x00\x00\x03\x03abc"
    assert encode_frame(FrameType.GOODBYE, memoryview(b"")) == b"\x00\x00\x00\x00\x09"


def test_frames_come_out_whole_and_the_rest_is_kept() -> None:
    reader = FrameReader()
    stream = encode_frame(3, b"one") + encode_frame(9, b"") + encode_frame(4, b"two")
    assert list(reader.feed(stream[:-1])) == [(3, b"one"), (9, b"")]
    assert reader.buffered == HEADER_BYTES + 2
    assert list(reader.feed(stream[-1:])) == [(4, b"two")]
    assert reader.buffered == 0


def test_a_stranger_may_send_four_kilobytes_at_once() -> None:
    reader = FrameReader()
    body = bytes(BODY_MAX_BEFORE_HELLO)
    assert list(reader.feed(encode_frame(1, body))) == [(1, body)]
    with pytest.raises(DecodeError, match="frame of 4097 bytes, limit 4096"):
        list(FrameReader().feed(b"\x00\x00\x10\x01\x01"))


def test_the_limit_may_be_raised_by_an_earlier_frame_of_the_same_bytes() -> None:
    reader = FrameReader()
    large = bytes(BODY_MAX)
    received = []
    for kind, body in reader.feed(encode_frame(1, b"hello") + encode_frame(4, large)):
        received.append((kind, body))
        reader.limit = BODY_MAX
    assert received == [(1, b"hello"), (4, large)]


@pytest.mark.parametrize("kind", [0, 10, 255])
def test_an_unknown_type_is_refused_at_its_header(kind: int) -> None:
    with pytest.raises(DecodeError, match=f"frame type {kind} is unknown"):
        list(FrameReader().feed(b"\x00\x00\x00\x09" + bytes((kind,))))
