from __future__ import annotations

from pathlib import Path

import pytest

from mreza.ids import NodeId
from mreza.node import address_book
from mreza.node.address_book import AddressBook

A, B, C = (NodeId(bytes([n]) * 16) for n in range(3))


def test_addresses_survive_a_restart_newest_first(tmp_path: Path) -> None:
    book = AddressBook(tmp_path / "book")
    book.learn(A, ("a:1", "a:2"), wall=1)
    book.learn(B, ("b:1",), wall=2)
    book.learn(A, ("a:3",), wall=3)
    assert book.save()
    assert AddressBook(tmp_path / "book").addresses() == {A: ("a:3",), B: ("b:1",)}
    assert list(AddressBook(tmp_path / "book").addresses()) == [A, B]


def test_it_is_written_only_when_addresses_change(tmp_path: Path) -> None:
    book = AddressBook(tmp_path / "book")
    assert not book.save()
    book.learn(A, ("a:1",), wall=1)
    assert book.save()
    book.learn(A, ("a:1",), wall=2)
    assert not book.save()
    book.forget(B)
    assert not book.save()
    book.forget(A)
    assert book.save()
    assert AddressBook(tmp_path / "book").addresses() == {}


def test_it_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(address_book, "BOOK_NODES_MAX", 2)
    book = AddressBook(tmp_path / "book")
    for node in (A, B, C):
        book.learn(node, ("x:1",) * 40 + ("y" * 200,), wall=1)
    assert book.addresses() == {C: ("x:1",) * 16, B: ("x:1",) * 16}
    book.learn(A, ("", "y" * 200), wall=2)
    assert A not in book.addresses()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"x": {"addresses": [], "seen": 1}}'])
def test_a_damaged_book_is_an_empty_one(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "book").write_bytes(content)
    assert AddressBook(tmp_path / "book").addresses() == {}
