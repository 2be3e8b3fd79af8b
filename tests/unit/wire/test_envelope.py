"""Envelope headers: read by relays, so every part is bounded and every refusal says why."""

from __future__ import annotations

import struct

import pytest

from mreza.errors import DecodeError
from mreza.ids import NodeId
from mreza.wire.envelope import (
    DESTINATIONS_MAX,
    ENVELOPE_MAX,
    PATH_MAX,
    TRACE_BYTES,
    WRAP_MAX,
    Envelope,
    EnvelopeFlag,
    EnvelopeKind,
    decode_envelope,
    for_next_hop,
)

A, B, C = (NodeId(bytes((letter,)) * 16) for letter in b"abc")
KIND_AT, FLAGS_AT, PRIORITY_AT, COUNT_AT = 1, 2, 4, 7


def envelope(
    *,
    destinations: tuple[NodeId, ...] = (B,),
    path: tuple[NodeId, ...] = (),
    path_cursor: int = 0,
    trace: bytes = b"",
    wrap: bytes = b"",
    flags: int = 0,
    hop_limit: int = 32,
) -> Envelope:
    return Envelope(
        kind=EnvelopeKind.SEALED,
        priority=1,
        source=A,
        source_epoch=7,
        destinations=destinations,
        session_id=1,
        counter=2,
        path=path,
        path_cursor=path_cursor,
        trace=trace,
        wrap=wrap,
        flags=flags,
        hop_limit=hop_limit,
        sealed=b"sealed",
    )


FULL = envelope(path=(C, B), trace=bytes(TRACE_BYTES), wrap=bytes(10))


def changed(body: bytes, at: int, value: int) -> bytes:
    copy = bytearray(body)
    copy[at] = value
    return bytes(copy)


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"", "envelope of 0 bytes, header has 32"),
        (changed(envelope().encode(), 0, 2), "envelope version 2, this node speaks 1"),
        (changed(envelope().encode(), KIND_AT, 9), "envelope kind 9 is unknown"),
        (changed(envelope().encode(), FLAGS_AT + 1, 0x48), "unknown mandatory flags 0x48"),
        (changed(envelope().encode(), PRIORITY_AT, 4), "envelope priority 4, highest is 3"),
        (changed(envelope().encode(), COUNT_AT, 0), "envelope has 0 destinations"),
        (changed(envelope().encode(), COUNT_AT, DESTINATIONS_MAX + 1), "has 65 destinations"),
        (envelope(path=(A,) * (PATH_MAX + 1)).encode(), "path of 9 hops"),
        (envelope(path=(A,), path_cursor=2).encode(), "path of 1 hops at 2"),
        (changed(FULL.encode(), 48, 0), "path of 0 hops"),
        (envelope(wrap=bytes(WRAP_MAX + 1)).encode(), "key wrap of 513 bytes"),
        (envelope(wrap=bytes(9)).encode()[:70], "ends within its key wrap"),
        (envelope().encode() + bytes(ENVELOPE_MAX), "envelope of 66694 sealed bytes, limit 66688"),
        (
            changed(envelope().encode(), FLAGS_AT + 1, EnvelopeFlag.KEY_WRAP)[:64] + b"\x00\x00",
            "key wrap of 0 bytes",
        ),
    ],
)
def test_a_malformed_header_is_refused_with_the_reason(body: bytes, complaint: str) -> None:
    with pytest.raises(DecodeError, match=complaint):
        decode_envelope(body)


def test_a_header_cut_anywhere_is_refused() -> None:
    body = FULL.encode()
    for size in range(len(body) - len(FULL.sealed)):
        with pytest.raises(DecodeError):
            decode_envelope(body[:size])


def test_flags_that_may_be_ignored_are_kept_and_travel_on() -> None:
    decoded = decode_envelope(envelope(flags=0x8100).encode())
    assert decoded.flags == 0x8100
    assert decode_envelope(decoded.encode()).flags == 0x8100


def test_the_optional_parts_set_their_flags() -> None:
    flags = EnvelopeFlag.PATH | EnvelopeFlag.TRACE_CONTEXT | EnvelopeFlag.KEY_WRAP
    assert FULL.wire_flags == flags
    assert decode_envelope(FULL.encode()).flags == flags
    assert envelope().wire_flags == 0
    assert struct.unpack_from(">H", envelope(flags=0x0101).encode(), FLAGS_AT) == (0x0100,)


def test_the_seal_covers_what_must_not_change() -> None:
    def covered(changes: dict[str, object], opener: NodeId = B) -> bytes:
        candidate = envelope(trace=bytes(TRACE_BYTES))
        for name, value in changes.items():
            setattr(candidate, name, value)
        return candidate.associated_data(mesh_flags=candidate.wire_flags, opener=opener)

    original = covered({})
    for change in (
        {"kind": 2},
        {"priority": 2},
        {"lane": 1},
        {"source": C},
        {"source_epoch": 8},
        {"trace": b"\x01" * TRACE_BYTES},
        {"session_id": 9},
        {"counter": 9},
        {"flags": 0x0100},
    ):
        assert covered(dict(change)) != original, change
    assert covered({}, opener=C) != original


def test_a_relay_lowers_the_hop_limit_and_moves_the_cursor() -> None:
    body = FULL.encode()
    moved = decode_envelope(bytes(for_next_hop(body, decode_envelope(body), advance_path=True)))
    assert (moved.hop_limit, moved.path_cursor, moved.sealed) == (31, 1, b"sealed")
    kept = decode_envelope(bytes(for_next_hop(body, decode_envelope(body))))
    assert (kept.hop_limit, kept.path_cursor) == (31, 0)
