"""How fast a mesh becomes one: records that floods have missed must not wait for a digest."""

from __future__ import annotations

import pytest

from mreza.sim.world import World


@pytest.mark.parametrize("seed", range(8))
def test_twenty_nodes_that_start_together_see_each_other_at_once(seed: int) -> None:
    """Some link up after an introduction has passed, and before its origin can be reached."""
    world = World(seed=seed).grow(20)
    assert world.run_until(world.agree, within_s=30) < 2.0


def test_a_node_that_came_during_a_partition_knows_all_when_it_heals() -> None:
    world = World(seed=3).grow(10)
    world.run_until(world.agree, within_s=30)
    with world.partitioned(["n0", "n1", "n2", "n3", "n4"]):
        world.run(seconds=20)
        world.add("late")
        world.link("late", "n2")
        world.run(seconds=20)
    assert world.run_until(world.agree, within_s=30) < 3.0
