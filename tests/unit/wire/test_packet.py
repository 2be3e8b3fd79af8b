"""Packets: what is inside the seal is bounded all the same, for members may lie."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from mreza.errors import DecodeError
from mreza.wire import packet
from mreza.wire.codec import ENCODER
from mreza.wire.packet import Ack, Control, Fragment, Head, decode_packet, encode_packet


def head(**changes: Any) -> Head:
    return Head(**{"flags": 1, "kind": 1, "stream_epoch": 1, "sequence": 5} | changes)


def test_a_packet_is_a_length_a_head_and_the_rest() -> None:
    data = encode_packet(head(), b"body")
    found, rest = decode_packet(data)
    assert (found, bytes(rest)) == (head(), b"body")
    assert int.from_bytes(data[:2]) == len(data) - 2 - 4


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"flags": 0x84}, "unknown mandatory flags 0x84"),
        ({"flags": -256}, "the negative number -256"),
        ({"behind": 6}, "6 behind at sequence 5"),
        ({"behind": -1}, "-1 behind"),
        ({"stream_epoch": -1}, "negative number"),
        ({"position": -1}, "negative number"),
        ({"inbox": -1}, "negative number"),
        ({"raw_size": packet.BATCH_MAX + 1}, "raw size is"),
        ({"acks": (Ack(0, 0),) * 5}, "packet acks has 5"),
        ({"acks": (Ack(4, 0),)}, "ack priority is 4"),
        ({"acks": (Ack(0, -1),)}, "ack number is -1"),
        ({"acks": (Ack(0, 0, delay_us=-1),)}, "ack delay is -1"),
        ({"acks": (Ack(0, 0, tuple((n, n) for n in range(2, 68, 2))),)}, "ack ranges has 33"),
        ({"acks": (Ack(0, 5, ((5, 6),)),)}, "range 5 to 6 does not lie beyond 5"),
        ({"acks": (Ack(0, 5, ((9, 8),)),)}, "range 9 to 8 does not lie beyond 5"),
        ({"acks": (Ack(0, 5, ((7, 9), (9, 9))),)}, "range 9 to 9 does not lie beyond 9"),
        ({"acks": (Ack(0, 0, (), ((0, 1),) * 17),)}, "ack credits has 17"),
        ({"acks": (Ack(0, 0, (), ((0, -1),)),)}, "credit is -1"),
        ({"fragment": Fragment(1, 0, 0, 0)}, "fragmented body is 0"),
        ({"fragment": Fragment(1, 0, packet.BATCH_MAX + 1, 0)}, "fragmented body is"),
        ({"fragment": Fragment(1, 9, 9, 0)}, "fragment offset is 9, allowed are 0 to 8"),
        ({"fragment": Fragment(1, -1, 9, 0)}, "fragment offset is -1"),
        ({"fragment": Fragment(-1, 0, 9, 0)}, "fragment transfer is -1"),
        ({"fragment": Fragment(1, 0, 9, 1 << 32)}, "fragment checksum is"),
    ],
)
def test_a_head_beyond_its_bounds_is_refused(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(DecodeError, match=complaint):
        decode_packet(encode_packet(head(**changes), b""))


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "packet of 0 bytes"),
        (b"\x00", "packet of 1 bytes"),
        (b"\x00\x05abc", "packet head of 5 bytes, limit 3"),
        (b"\x08\x01" + bytes(2049), "packet head of 2049 bytes, limit 2048"),
        (b"\x00\x01\xc0", "packet head is malformed"),
    ],
)
def test_a_packet_that_is_cut_or_no_packet_is_refused(data: bytes, complaint: str) -> None:
    with pytest.raises(DecodeError, match=complaint):
        decode_packet(data)


REQUEST = (1, "measure", None, 1000, False, 1, "", None)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (0, -1),
        (1, "x" * 129),
        (3, -1),
        (5, -1),
        (6, "k" * 1025),
        (7, {str(n): "" for n in range(33)}),
    ],
)
def test_a_request_beyond_its_bounds_is_refused(place: int, value: object) -> None:
    changed = [*REQUEST[:place], value, *REQUEST[place + 1 :]]
    with pytest.raises(DecodeError, match="requests is malformed"):
        packet.REQUESTS.decode(ENCODER.encode([changed]))
    assert packet.REQUESTS.decode(ENCODER.encode([REQUEST]))[0].target == "measure"


def test_a_response_beyond_its_bounds_is_refused() -> None:
    with pytest.raises(DecodeError, match="responses is malformed"):
        packet.RESPONSES.decode(ENCODER.encode([(-1, 0, None)]))


def test_a_control_beyond_its_bounds_is_refused() -> None:
    with pytest.raises(DecodeError, match="control reason has 129"):
        packet.CONTROL.decode(packet.CONTROL.encode(Control(1, reason="x" * 129)))
    with pytest.raises(DecodeError, match="control number is -1"):
        packet.CONTROL.decode(packet.CONTROL.encode(Control(1, count=-1)))


def test_a_payload_is_msgpack_or_a_type_error() -> None:
    assert msgspec.msgpack.decode(packet.encode_payload({"a": [1, None]})) == {"a": [1, None]}
    with pytest.raises(TypeError, match="cannot encode object"):
        packet.encode_payload(object())
