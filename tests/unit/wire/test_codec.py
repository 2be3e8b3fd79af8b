"""Codecs: bounded before, checked after, and older readers ignore what newer writers append."""

from __future__ import annotations

import math

import msgspec
import pytest

from mreza.errors import DecodeError
from mreza.ids import MeshId, NodeId
from mreza.wire.codec import ENCODER, Codec, Wire, bounded, exactly, within


class Small(Wire, frozen=True):
    node: NodeId
    count: int = 0

    def check(self) -> None:
        within("count", self.count, 0, 9)


class Later(Wire, frozen=True):
    node: NodeId
    count: int = 0
    added: str = "new"


class Odd(Wire, frozen=True):
    value: complex


SMALL = Codec(Small, limit=32, what="small")
NODE = NodeId(bytes(range(16)))


def test_a_message_is_an_array_of_its_fields() -> None:
    data = SMALL.encode(Small(NODE, 3))
    assert msgspec.msgpack.decode(data) == [bytes(NODE), 3]
    decoded = SMALL.decode(data)
    assert decoded == Small(NODE, 3)
    assert type(decoded.node) is NodeId


def test_what_a_later_version_appends_is_ignored_and_what_it_lacks_has_a_default() -> None:
    assert SMALL.decode(ENCODER.encode(Later(NODE, 1))) == Small(NODE, 1)
    assert SMALL.decode(ENCODER.encode((NODE,))) == Small(NODE, 0)


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "small is malformed"),
        (b"\xc1", "small is malformed"),
        (b"\x90", "small is malformed"),
        (bytes(33), "small has 33 bytes, limit 32"),
        (ENCODER.encode((b"short", 1)), "NodeId has 5 bytes, must have 16"),
        (ENCODER.encode(("text", 1)), "NodeId must be bytes, got str"),
        (ENCODER.encode((NODE, "x")), "small is malformed"),
        (ENCODER.encode((NODE, 10)), "count is 10, allowed are 0 to 9"),
    ],
)
def test_what_is_not_a_message_is_refused_with_the_reason(data: bytes, complaint: str) -> None:
    with pytest.raises(DecodeError, match=complaint):
        SMALL.decode(data)


def test_nothing_is_sent_that_a_receiver_would_refuse_for_its_size() -> None:
    with pytest.raises(DecodeError, match="tiny has 20 bytes, limit 8"):
        Codec(Small, limit=8, what="tiny").encode(Small(NODE))


def test_deep_nesting_is_refused() -> None:
    nested = Codec(msgspec.Raw, limit=1 << 20, what="nested")
    with pytest.raises(DecodeError, match="nested is nested too deeply"):
        nested.decode(b"\x91" * 100_000)


def test_an_announced_size_allocates_nothing() -> None:
    everything = Codec(list[Small], limit=64, what="list")
    with pytest.raises(DecodeError, match="truncated"):
        everything.decode(b"\xdd\xff\xff\xff\xff")


def test_types_that_msgpack_lacks_are_refused_both_ways() -> None:
    codec = Codec(Odd, limit=64, what="odd")
    with pytest.raises(TypeError, match="cannot encode complex"):
        codec.encode(Odd(1j))
    with pytest.raises(DecodeError, match="unexpected type complex"):
        codec.decode(ENCODER.encode((1,)))


def test_ids_of_all_kinds_travel_as_their_bytes() -> None:
    mesh = MeshId(bytes(16))
    assert ENCODER.encode([NODE, mesh]) == ENCODER.encode([bytes(NODE), bytes(mesh)])
    assert Codec(MeshId, limit=64, what="mesh").decode(ENCODER.encode(mesh)) == mesh


def test_bounds_let_their_ends_pass_and_name_what_is_beyond() -> None:
    bounded("list", 3, 3)
    exactly("key", 32, 32)
    within("number", 0, 0, 9)
    within("number", 9, 0, 9)
    with pytest.raises(DecodeError, match="list has 4 entries or bytes, limit 3"):
        bounded("list", 4, 3)
    with pytest.raises(DecodeError, match="key has 31 bytes, must have 32"):
        exactly("key", 31, 32)
    for value in (-1, 10, math.nan, math.inf):
        with pytest.raises(DecodeError, match=r"number is .*, allowed are 0 to 9"):
            within("number", value, 0, 9)
