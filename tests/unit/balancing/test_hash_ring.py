"""Equal keys together, as far as fairness allows."""

from __future__ import annotations

import math

import pytest

from mreza.balancing.hash_ring import STRANGERS_MAX, ConsistentHash, Ring
from mreza.ids import NodeId
from tests.support.balancing import endpoint, endpoints, give

KEYS = [f"key-{number}" for number in range(400)]


def test_a_key_stays_with_its_node() -> None:
    nodes, picker = endpoints(*"abcdefgh"), ConsistentHash()
    first = [picker.pick(nodes, key=key, now=0.0).node for key in KEYS]
    assert [ConsistentHash().pick(nodes, key=key, now=0.0).node for key in KEYS[:20]] == first[:20]
    assert len(set(first)) == 8


def test_only_the_keys_of_a_node_that_goes_move_and_come_back_with_it() -> None:
    nodes, picker = endpoints(*"abcdefgh"), ConsistentHash()
    before = [picker.pick(nodes, key=key, now=0.0).node for key in KEYS]
    without = [picker.pick(nodes[1:], key=key, now=0.0).node for key in KEYS]
    assert [old for old, new in zip(before, without, strict=True) if old != new] == [
        node for node in before if node == "a"
    ]
    assert [picker.pick(nodes, key=key, now=0.0).node for key in KEYS] == before


def test_a_node_takes_at_most_its_share_and_a_quarter() -> None:
    nodes, picker = endpoints(*"abcd"), ConsistentHash()
    for count in range(1, 100):
        give(picker.pick(nodes, key="hot", now=0.0))
        assert max(node.pending for node in nodes) <= math.ceil(1.25 * count / 4)


def test_when_no_jump_finds_room_the_emptiest_takes_it() -> None:
    nodes = endpoints("a", "b", "c")
    for _ in range(9):
        give(nodes[0])
        give(nodes[2])
    picker = ConsistentHash(epsilon=-1.0)
    assert picker.pick(nodes, key="k", now=0.0).node == "b"


def test_work_without_a_key_goes_to_the_least_loaded() -> None:
    nodes = endpoints("a", "b")
    give(nodes[0])
    assert ConsistentHash().pick(nodes, key=None, now=0.0).node == "b"


def test_ids_names_and_any_text_can_be_hashed() -> None:
    nodes = [endpoint(NodeId(b"x" * 16)), endpoint("named")]
    picker = ConsistentHash()
    picked = {picker.pick(nodes, key=f"{number}\udc80", now=0.0).node for number in range(50)}
    assert len(picked) == 2


def test_nodes_long_gone_leave_the_ring() -> None:
    picker = ConsistentHash()
    for number in range(STRANGERS_MAX + 10):
        picker.pick(endpoints(f"n{number}"), key="k", now=0.0)
    assert len(picker._ring) <= STRANGERS_MAX + 1
    assert f"n{STRANGERS_MAX + 9}" in picker._ring


def test_a_ring_without_them_owns_nothing() -> None:
    with pytest.raises(LookupError):
        Ring().owner(1, {})
