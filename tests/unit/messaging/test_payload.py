from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from mreza.errors import PayloadError
from mreza.ids import NodeId
from mreza.messaging.payload import decode_payload, encode_payload, waiting_form


@dataclass
class Point:
    x: int
    y: float


class Owner(msgspec.Struct):
    node: NodeId


@pytest.mark.parametrize(
    "value",
    [b"bytes", "grüße", 0, -(1 << 63), (1 << 64) - 1, 1.5, True, None, [1, [2]], {"k": b"v"}],
)
def test_plain_values_come_back_as_they_were(value: Any) -> None:
    assert decode_payload(encode_payload(value)) == value


def test_an_annotation_chooses_the_type() -> None:
    assert decode_payload(encode_payload(Point(1, 2.0)), Point) == Point(1, 2.0)
    owner = Owner(NodeId(b"n" * 16))
    assert decode_payload(encode_payload(owner), Owner) == owner
    assert decode_payload(encode_payload([Point(1, 2.0)]), list[Point]) == [Point(1, 2.0)]


@pytest.mark.parametrize(
    ("value", "kind"),
    [({"x": "one"}, Point), (["a"], int), ({"node": b"short"}, Owner), (7, Owner)],
)
def test_what_does_not_fit_the_annotation_says_so(value: Any, kind: Any) -> None:
    with pytest.raises(PayloadError, match="does not fit"):
        decode_payload(encode_payload(value), kind)


def test_a_text_where_an_id_is_wanted_is_refused() -> None:
    with pytest.raises(PayloadError, match="NodeId"):
        decode_payload(encode_payload({"node": "n" * 16}), Owner)


def test_bytes_nested_too_deeply_are_refused() -> None:
    with pytest.raises(PayloadError, match="deep"):
        decode_payload(b"\x91" * 100_000 + b"\xc0")


@pytest.mark.parametrize("value", [object(), {1, object()}, 1 << 64, "\ud800", lambda: None])
def test_what_cannot_be_said_in_msgpack_is_named(value: Any) -> None:
    with pytest.raises(PayloadError, match=f"a {type(value).__name__} cannot be sent"):
        encode_payload(value)


def test_a_list_in_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(PayloadError, match="deeply"):
        encode_payload(endless)


def test_immutable_plain_payloads_wait_as_they_are_and_others_encoded() -> None:
    for plain in (b"x", "text", 5, 1.5, True, None):
        form, size = waiting_form(plain, limit=100)
        assert form is plain
        assert size >= len(encode_payload(plain))
    for other in (["x"], bytearray(b"x"), "grüße", NodeId(b"n" * 16)):
        form, size = waiting_form(other, limit=100)
        assert isinstance(form, msgspec.Raw)
        assert size == len(form)


@pytest.mark.parametrize("payload", [b"x" * 11, "x" * 11, ["x" * 17]])
def test_too_large_a_payload_is_refused_with_both_sizes(payload: Any) -> None:
    with pytest.raises(PayloadError, match=r"payload of 1\d bytes, limit 10"):
        waiting_form(payload, limit=10)
