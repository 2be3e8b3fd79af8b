from __future__ import annotations

import msgspec
import pytest

from mreza.messaging.fragments import (
    PIECE_MAX,
    RATE_MIN_PER_S,
    STALL_S,
    Piece,
    Transfer,
    cut,
    piece_bytes,
)
from mreza.wire.packet import Fragment

BODY = bytes(range(256)) * 1000


@pytest.mark.parametrize("total", [1, PIECE_MAX, PIECE_MAX + 1, 3 * PIECE_MAX, 64 * 1024 * 1024])
def test_pieces_fit_and_are_about_equal(total: int) -> None:
    size = piece_bytes(total)
    count = -(-total // size)
    assert size <= PIECE_MAX
    assert (count - 1) * size < total <= count * size
    assert count == -(-total // PIECE_MAX)


def test_a_piece_that_contradicts_the_others_spoils_the_whole() -> None:
    pieces = list(cut(BODY, transfer=1))
    (first, view), (second, _), *_ = pieces
    changed: list[tuple[Fragment, memoryview | bytes]] = [
        (msgspec.structs.replace(second, total=5), view),
        (msgspec.structs.replace(second, checksum=5), view),
        (second, b""),
        (first, view),
        (second, bytes(len(BODY))),
    ]
    for fragment, piece in changed:
        transfer = Transfer(first, now=0.0)
        assert transfer.add(first, view, now=0.0) is Piece.STORED
        assert transfer.add(fragment, piece, now=0.0) is Piece.BAD


def test_a_piece_that_waits_ahead_is_not_taken_twice() -> None:
    pieces = list(cut(BODY, transfer=1))
    transfer = Transfer(pieces[0][0], now=0.0)
    assert transfer.add(*pieces[2], now=0.0) is Piece.STORED
    assert transfer.add(*pieces[2], now=0.0) is Piece.BAD


def test_pieces_that_overlap_never_make_a_whole() -> None:
    (first, view), (second, other), *rest = cut(BODY, transfer=1)
    transfer = Transfer(first, now=0.0)
    transfer.add(first, view, now=0.0)
    moved = msgspec.structs.replace(second, offset=second.offset + 1)
    assert transfer.add(moved, other, now=0.0) is Piece.STORED
    results = [transfer.add(fragment, piece, now=0.0) for fragment, piece in rest]
    assert results[-1] is Piece.BAD


def test_a_wrong_checksum_spoils_the_whole() -> None:
    pieces = [
        (msgspec.structs.replace(fragment, checksum=1), piece)
        for fragment, piece in cut(BODY, transfer=1)
    ]
    transfer = Transfer(pieces[0][0], now=0.0)
    assert [transfer.add(*piece, now=0.0) for piece in pieces][-1] is Piece.BAD


def test_a_body_has_stalled_when_nothing_more_of_it_came_for_long() -> None:
    pieces = list(cut(BODY, transfer=1))
    transfer = Transfer(pieces[0][0], now=0.0)
    for at, piece in zip((0.0, 20.0), pieces, strict=False):
        transfer.add(*piece, now=at)
    assert not transfer.is_stalled(20.0 + STALL_S / 2)
    assert transfer.is_stalled(20.1 + STALL_S)


def test_a_body_that_drips_has_stalled() -> None:
    """So that nobody keeps 64 MiB of ours for an hour with a piece now and then."""
    total = 64 * 1024 * 1024
    whole = Fragment(transfer=1, offset=0, total=total, checksum=0)
    transfer, size, now = Transfer(whole, now=0.0), 16 * 1024, 0.0
    for offset in range(0, total, size):
        if transfer.is_stalled(now):
            break
        piece = msgspec.structs.replace(whole, offset=offset)
        transfer.add(piece, bytes(size), now=now)
        now += 2 * size / RATE_MIN_PER_S
    assert now < 3 * STALL_S


def test_a_body_that_was_given_up_keeps_no_bytes_and_ends_with_its_last_piece() -> None:
    pieces = list(cut(BODY, transfer=1))
    transfer = Transfer(pieces[0][0], now=0.0)
    transfer.add(*pieces[0], now=0.0)
    transfer.add(*pieces[2], now=0.0)
    transfer.give_up()
    rest = [pieces[1], *pieces[3:]]
    assert [transfer.add(*piece, now=1.0) for piece in rest] == [
        *[Piece.STORED] * (len(rest) - 1),
        Piece.LAST,
    ]
    assert len(transfer.body) == 0
