"""Resets that real systems believe: addresses and numbers as RFC 9293 wants them."""

from __future__ import annotations

import struct

from tests.support.netns.refusals import flow_of, refusal

HERE, THERE = bytes((2, 0, 0, 0, 0, 1)), bytes((2, 0, 0, 0, 0, 2))
OURS, THEIRS = bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2))
FIN, SYN, RST, ACK = 1, 2, 4, 16


def segment(flags: int, *, sequence: int = 1000, acknowledged: int = 0, protocol: int = 6) -> bytes:
    tcp = struct.pack("!HHIIBBHHH", 4000, 7467, sequence, acknowledged, 5 << 4, flags, 0, 0, 0)
    header = struct.pack("!BBHHHBBH", 0x45, 0, 40, 0, 0, 64, protocol, 0) + OURS + THEIRS
    return THERE + HERE + b"\x08\x00" + header + tcp


def fields(frame: bytes) -> tuple[int, int, int, int, int]:
    """Source port, target port, sequence, acknowledged, flags."""
    source, target, sequence, acknowledged, _, flags, *_ = struct.unpack("!HHIIBBHHH", frame[34:])
    return source, target, sequence, acknowledged, flags


def folds_to_ones(data: bytes) -> bool:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return bool(total == 0xFFFF)


def test_a_segment_is_answered_by_the_reset_that_its_sender_waits_for() -> None:
    answer = refusal(segment(ACK, acknowledged=77))
    assert answer is not None
    assert (answer[:6], answer[6:12]) == (HERE, THERE)
    assert (answer[26:30], answer[30:34]) == (THEIRS, OURS)
    assert fields(answer) == (7467, 4000, 77, 0, RST)
    assert folds_to_ones(answer[14:34])
    assert folds_to_ones(answer[26:34] + struct.pack("!HH", 6, 20) + answer[34:])


def test_a_connection_attempt_is_refused() -> None:
    answer = refusal(segment(SYN, sequence=0xFFFFFFFF))
    assert answer is not None
    assert fields(answer) == (7467, 4000, 0, 0, RST | ACK)


def test_resets_and_everything_else_get_no_answer() -> None:
    assert refusal(segment(RST | ACK)) is None
    assert refusal(segment(FIN)) is None
    assert refusal(segment(ACK, protocol=17)) is None
    assert refusal(b"\xff" * 60) is None


def test_a_flow_is_one_direction_of_one_connection() -> None:
    answer = refusal(segment(ACK))
    assert answer is not None
    assert flow_of(segment(ACK)) == flow_of(segment(SYN))
    assert flow_of(answer) != flow_of(segment(ACK))
    assert flow_of(segment(ACK, protocol=17)) is None
