"""Memory for unfinished bodies is shared, and those who only keep it lose it."""

from __future__ import annotations

from mreza.ids import NodeId
from mreza.messaging.fragments import STALL_S, Transfer
from mreza.messaging.reassembly import ReassemblyBudget
from mreza.wire.packet import Fragment

SOURCES = [NodeId(bytes((n,)) * 16) for n in range(12)]
A, B, C = SOURCES[:3]


def begun(total: int, *, now: float = 0.0) -> Transfer:
    return Transfer(Fragment(transfer=1, offset=0, total=total, checksum=0), now=now)


def test_memory_is_reserved_whole_for_all_and_for_each() -> None:
    budget, first = ReassemblyBudget(total=100, per_source=40), begun(30)
    assert budget.reserve(A, first, now=0.0)
    assert not budget.reserve(A, begun(11), now=0.0), "more than one source may have"
    assert not budget.reserve(B, begun(36), now=0.0), "more than it leaves to others"
    assert budget.reserve(B, begun(35), now=0.0)
    assert budget.used == 65
    budget.release(first)
    budget.release(first)
    assert budget.used == 35


def test_sources_that_only_begin_bodies_leave_room_for_others() -> None:
    budget = ReassemblyBudget(total=1 << 28, per_source=1 << 26)
    for source in SOURCES[:8]:
        while budget.reserve(source, begun(1 << 20), now=0.0):
            pass
    assert budget.reserve(SOURCES[8], begun(1 << 20), now=0.0)


def test_stalled_bodies_give_way_the_oldest_first_and_only_as_many_as_must() -> None:
    budget = ReassemblyBudget(total=100, per_source=100)
    old, young, alive = begun(30), begun(20, now=5.0), begun(20, now=STALL_S + 5.0)
    for source, transfer in zip((A, B, C), (old, young, alive), strict=True):
        assert budget.reserve(source, transfer, now=STALL_S + 5.5)
    assert not budget.reserve(B, begun(30), now=STALL_S)
    assert (old.is_given_up, budget.given_up) == (False, 0), "not yet: they may go on"
    assert budget.reserve(B, begun(30), now=STALL_S + 5.5)
    assert [one.is_given_up for one in (old, young, alive)] == [True, True, False]
    assert (budget.given_up, budget.used) == (2, 50)


def test_a_body_that_stalled_keeps_its_memory_while_nobody_needs_it() -> None:
    budget, stalled = ReassemblyBudget(total=100, per_source=100), begun(30)
    assert budget.reserve(A, stalled, now=0.0)
    assert budget.reserve(B, begun(20), now=10 * STALL_S)
    assert not stalled.is_given_up
