"""Ids: sixteen bytes, twenty-six letters, one spelling."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given, strategies as st

from mreza.errors import InvalidId
from mreza.ids import MeshId, MessageId, NodeId, boot_of, make_epoch, node_id

ids = st.binary(min_size=16, max_size=16).map(NodeId)


@given(ids)
def test_the_text_of_an_id_reads_back(node: NodeId) -> None:
    assert NodeId.parse(str(node)) == node
    assert NodeId.parse(str(node).upper()) == node
    assert len(str(node)) == 26
    assert str(node).startswith(node.short)


def test_an_id_is_its_bytes() -> None:
    node = NodeId(bytes(range(16)))
    assert node == bytes(range(16))
    assert {node: 1}[NodeId(bytes(range(16)))] == 1
    assert repr(MeshId(bytes(16))) == "MeshId('aaaaaaaaaaaaaaaaaaaaaaaaaa')"
    assert pickle.loads(pickle.dumps(node)) == node  # noqa: S301


def test_an_id_that_comes_again_is_made_once() -> None:
    raw = bytes(range(16))
    assert node_id(raw) == NodeId(raw)
    assert type(node_id(raw)) is NodeId
    assert node_id(raw) is node_id(bytes(bytearray(raw)))
    with pytest.raises(InvalidId):
        node_id(raw[:15])


@pytest.mark.parametrize("size", [0, 15, 17])
def test_bytes_of_another_length_are_no_id(size: int) -> None:
    with pytest.raises(InvalidId, match=f"NodeId has {size} bytes, must have 16"):
        NodeId(bytes(size))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "has 0 characters"),
        ("a" * 27, "has 27 characters"),
        ("1" * 26, "is not base32"),
        ("é" * 26, "is not base32"),
        ("a" * 25 + "b", "not the form in which ids are written"),
        ("ı" * 26, "not the form in which ids are written"),
    ],
)
def test_text_that_is_no_id_is_refused_with_the_reason(text: str, complaint: str) -> None:
    with pytest.raises(InvalidId, match=complaint):
        NodeId.parse(text)


def test_a_later_boot_is_a_higher_epoch_whatever_the_random_bits() -> None:
    assert make_epoch(boot=2, random_bits=0) > make_epoch(boot=1, random_bits=0xFFFFFFFF)
    assert boot_of(make_epoch(boot=9, random_bits=123)) == 9
    assert make_epoch(boot=1, random_bits=1 << 40) == make_epoch(boot=1, random_bits=0)


def test_a_message_id_prints_all_its_parts() -> None:
    message = MessageId(NodeId(bytes(16)), 0xAB, 3, 17, 4)
    assert str(message) == "aaaaaaaaaaaaaaaaaaaaaaaaaa-ab-3-17-4"
