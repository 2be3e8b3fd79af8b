"""A thousand nodes in virtual time: they form one mesh, lose a tenth at once, and agree again.

About fifteen minutes and 4 GB: it is the largest world that one process should hold.
"""

from __future__ import annotations

import pytest

from mreza.sim.world import World

NODES = 1000
LINKS_EACH = 6
LAG_S = 0.1
"Of each node, as when it is busy: what comes between two turns is taken together."


def large_world(count: int) -> World:
    """Two rings, as a large mesh keeps, and links at random."""
    world = World(seed=1)
    names = [f"n{number}" for number in range(count)]
    for node in world.add(*names):
        node.lag_s = LAG_S
    pairs: dict[tuple[str, str], None] = {}
    for ring in (names, world.rng.sample(names, count)):
        for a, b in zip(ring, ring[1:] + ring[:1], strict=True):
            pairs[min(a, b), max(a, b)] = None
    while len(pairs) < count * LINKS_EACH // 2:
        a, b = world.rng.sample(names, 2)
        pairs[min(a, b), max(a, b)] = None
    for pair in pairs:
        world.link(*pair, delay_s=world.rng.uniform(0.001, 0.02))
    return world


@pytest.mark.timeout(3600)
def test_a_thousand_nodes_form_one_mesh_lose_a_tenth_and_agree() -> None:
    world = large_world(NODES)
    formed_s = world.run_until(world.agree, within_s=120)
    world.run(seconds=15)
    for name in world.rng.sample(list(world.nodes), NODES // 10):
        world.crash(name)
    agreed_s = world.run_until(world.agree, within_s=120)
    databases = [
        sorted(
            (record.slot, rank)
            for record, rank in node.core.control.database.ranks()
            if record.origin in node.core.control.routes or record.origin == node.id
        )
        for node in world.nodes.values()
        if node.alive
    ]
    print(f"formed in {formed_s:.1f} and agreed again in {agreed_s:.1f} virtual seconds")
    assert len(databases) == NODES - NODES // 10
    assert all(database == databases[0] for database in databases[1:])
