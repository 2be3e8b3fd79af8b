"""Nobody gets all, and who comes last gets something."""

from __future__ import annotations

from hypothesis import given, strategies as st

from mreza.ids import NodeId
from mreza.messaging.fair_budget import FairBudget

NODES = [NodeId(bytes((n,)) * 16) for n in range(8)]
A, B = NODES[:2]


def greedy(budget: FairBudget, node: NodeId, size: int) -> int:
    """How much it gets if it takes all it can, in things of this size."""
    got = 0
    while budget.reserve(node, size):
        got += size
    return got


def test_who_is_alone_gets_half() -> None:
    assert greedy(FairBudget(total=1000), A, 10) == 500


def test_each_greedy_node_leaves_as_much_as_it_took() -> None:
    budget = FairBudget(total=1024)
    assert [greedy(budget, node, 1) for node in NODES] == [512, 256, 128, 64, 32, 16, 8, 4]


def test_one_thing_may_always_be_there_and_nothing_beside_it() -> None:
    budget = FairBudget(total=100)
    assert budget.reserve(A, 5000)
    assert not budget.reserve(B, 1)
    budget.release(A, 5000)
    assert budget.used == 0
    assert budget.reserve(B, 1)


@given(st.lists(st.tuples(st.sampled_from(NODES), st.integers(1, 400)), max_size=50))
def test_what_is_given_back_is_free_again(wishes: list[tuple[NodeId, int]]) -> None:
    budget = FairBudget(total=1000)
    got = [wish for wish in wishes if budget.reserve(*wish)]
    assert budget.used == sum(size for _, size in got)
    assert budget.used <= 1000
    for wish in got:
        budget.release(*wish)
    assert budget.used == 0
    assert greedy(budget, A, 100) == 500
