"""Which keys move, and which stay."""

from __future__ import annotations

import math

import pytest

from mreza.balancing.endpoint import NodeKey, NodeLoad
from mreza.balancing.rebalance import COST_DECAY_S, KEYS_MAX, REST_S, Keys, Move, plan


def keys_on(**costs: dict[str, float]) -> Keys:
    """Keys with so much work in flight, by node."""
    keys = Keys()
    for node, of in costs.items():
        for key, cost in of.items():
            keys.placed(key, node)
            keys.worked(key, cost * COST_DECAY_S, now=0.0)
    return keys


def planned(keys: Keys, *loads: NodeLoad, threshold: float = 0.8, now: float = 0.0) -> list[Move]:
    known: dict[NodeKey, NodeLoad] = {load.node: load for load in loads}
    sources = [load.node for load in loads if load.load > threshold]
    return plan({"p": keys}, known, sources, {"p": list(known)}, threshold=threshold, now=now)


def test_the_cost_of_a_key_is_its_work_in_flight_and_fades() -> None:
    keys = keys_on(a={"k": 2.0})
    [(cost, key, may_move)] = keys.on("a", now=0.0)
    assert (cost, key, may_move) == (2.0, "k", True)
    assert keys.on("a", now=COST_DECAY_S)[0][0] == pytest.approx(2.0 / math.e)
    assert keys.on("b", now=0.0) == []


def test_the_heaviest_keys_move_until_the_node_is_a_tenth_below_the_threshold() -> None:
    keys = keys_on(a={"one": 4.0, "two": 3.0, "three": 2.0}, b={"other": 1.0})
    moves = planned(keys, NodeLoad("a", in_flight=9, capacity=10), NodeLoad("b", capacity=10))
    assert [(move.key, move.source, move.target) for move in moves] == [("one", "a", "b")]
    assert str(moves[0]) == "key 'one' of 'p' from a to b: a is at 90%, above 80%"


def test_a_target_never_gets_too_much() -> None:
    keys = keys_on(a={"big": 6.0, "small": 3.0})
    moves = planned(
        keys,
        NodeLoad("a", in_flight=9, capacity=10),
        NodeLoad("b", in_flight=4, capacity=10),
    )
    assert [move.key for move in moves] == ["small"]


def test_one_hot_key_is_not_thrown_from_node_to_node() -> None:
    keys = keys_on(a={"hot": 9.0})
    assert planned(keys, NodeLoad("a", in_flight=9, capacity=10), NodeLoad("b", capacity=10)) == []


def test_a_bigger_node_takes_more() -> None:
    keys = keys_on(a={"hot": 9.0})
    moves = planned(keys, NodeLoad("a", in_flight=9, capacity=10), NodeLoad("b", capacity=100))
    assert [move.target for move in moves] == ["b"]


def test_below_the_threshold_nothing_moves() -> None:
    keys = keys_on(a={"one": 4.0, "two": 4.0})
    assert planned(keys, NodeLoad("a", in_flight=8, capacity=10), NodeLoad("b")) == []


def test_a_key_that_was_moved_rests() -> None:
    keys = keys_on(a={"one": 4.0}, b={"two": 5.0})
    move = Move("p", "one", "a", "b", 4.0, "")
    keys.moved(move, now=0.0)
    keys.moved(Move("p", "unknown", "a", "b", 1.0, ""), now=0.0)
    assert keys.target_of("one") == "b"
    loads = NodeLoad("b", in_flight=9, capacity=10), NodeLoad("a", capacity=10)
    assert [move.key for move in planned(keys, *loads)] == ["two"]
    assert [move.key for move in planned(keys, *loads, now=REST_S)] == ["two"]
    keys.placed("two", "elsewhere")
    assert planned(keys, *loads) == []


def test_without_a_target_nothing_moves() -> None:
    assert planned(keys_on(a={"one": 4.0}), NodeLoad("a", cpu=0.9)) == []


def test_keys_of_a_node_that_is_gone_go_where_the_ring_puts_them() -> None:
    keys = keys_on(a={"one": 4.0})
    keys.moved(Move("p", "one", "a", "b", 4.0, ""), now=0.0)
    keys.forget("a")
    assert keys.target_of("one") == "b"
    keys.forget("b")
    assert keys.target_of("one") is None
    assert keys.target_of("never seen") is None


def test_keys_not_used_for_long_are_forgotten() -> None:
    keys = Keys()
    for number in range(KEYS_MAX + 5):
        keys.placed(str(number), "a")
        keys.placed("hot", "a")
    keys.worked("0", 1.0, now=0.0)
    assert len(keys) == KEYS_MAX
    assert any(key == "hot" for _, key, _ in keys.on("a", now=0.0))


def test_work_without_cost_does_not_move() -> None:
    keys = Keys()
    keys.placed("idle", "a")
    assert planned(keys, NodeLoad("a", cpu=0.9), NodeLoad("b")) == []
