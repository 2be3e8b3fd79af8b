from __future__ import annotations

import msgspec
import pytest

from mreza.messaging.fragments import PIECE_MAX, Piece, ReassemblyBudget, Transfer, cut, piece_bytes
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
        transfer = Transfer(first)
        assert transfer.add(first, view) is Piece.STORED
        assert transfer.add(fragment, piece) is Piece.BAD


def test_a_piece_that_waits_ahead_is_not_taken_twice() -> None:
    pieces = list(cut(BODY, transfer=1))
    transfer = Transfer(pieces[0][0])
    assert transfer.add(*pieces[2]) is Piece.STORED
    assert transfer.add(*pieces[2]) is Piece.BAD


def test_pieces_that_overlap_never_make_a_whole() -> None:
    (first, view), (second, other), *rest = cut(BODY, transfer=1)
    transfer = Transfer(first)
    transfer.add(first, view)
    moved = msgspec.structs.replace(second, offset=second.offset + 1)
    assert transfer.add(moved, other) is Piece.STORED
    results = [transfer.add(fragment, piece) for fragment, piece in rest]
    assert results[-1] is Piece.BAD


def test_a_wrong_checksum_spoils_the_whole() -> None:
    pieces = [
        (msgspec.structs.replace(fragment, checksum=1), piece)
        for fragment, piece in cut(BODY, transfer=1)
    ]
    transfer = Transfer(pieces[0][0])
    assert [transfer.add(*piece) for piece in pieces][-1] is Piece.BAD


def test_memory_is_reserved_whole_for_all_and_for_each() -> None:
    budget = ReassemblyBudget(total=100, per_source=60)
    assert budget.reserve(b"a", 50)
    assert not budget.reserve(b"a", 11)
    assert not budget.reserve(b"b", 51)
    assert budget.reserve(b"b", 50)
    assert budget.used == 100
    budget.release(b"a", 50)
    assert budget.reserve(b"a", 30)
    assert budget.reserve(b"a", 20)
    budget.release(b"a", 30)
    assert budget.used == 70
