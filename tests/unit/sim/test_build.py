"""From a scenario to a world."""

from __future__ import annotations

from random import Random

import pytest

from mreza.sim.build import TOPOLOGIES, build
from mreza.sim.plan import NetworkPlan
from mreza.sim.scenario import Scenario


@pytest.mark.parametrize("name", TOPOLOGIES)
@pytest.mark.parametrize("count", [1, 2, 3, 9, 16])
def test_every_topology_is_connected_and_links_nobody_to_itself(name: str, count: int) -> None:
    pairs = list(TOPOLOGIES[name](count, 3, Random(2)))  # noqa: S311
    assert all(a != b and 0 <= a < count and 0 <= b < count for a, b in pairs)
    reached, grew = {0}, True
    while grew:
        new = {b for pair in pairs for a, b in (pair, pair[::-1]) if a in reached} - reached
        reached |= new
        grew = bool(new)
    assert reached == set(range(count))


@pytest.mark.parametrize(
    ("name", "links"), [("line", 4), ("ring", 5), ("star", 4), ("full", 10), ("grid", 5)]
)
def test_a_topology_has_the_links_of_its_name(name: str, links: int) -> None:
    pairs = {(min(p), max(p)) for p in TOPOLOGIES[name](5, 3, Random(2))}  # noqa: S311
    assert len(pairs) == links


def test_links_are_as_the_plan_says() -> None:
    plan = NetworkPlan(
        latency="fixed",
        delay_s=(0.002, 0.004),
        loss=0.1,
        duplicate=0.2,
        reorder=0.3,
        bandwidth=5000,
        queue_bytes=9000,
        between_s=0.2,
    )
    scenario = Scenario(name="x", nodes=6, topology="two_lans", network=plan)
    world = build(scenario, 3)
    far = [link for link in world.links.values() if link.delay_s == 0.2]
    near = [link for link in world.links.values() if link not in far]
    assert len(far) == 2
    assert all(0.002 <= link.delay_s <= 0.004 for link in near)
    for way in near[0].ways:
        assert (way.loss, way.duplicate, way.reorder) == (0.1, 0.2, 0.3)
        assert (way.bytes_per_s, way.queue_bytes) == (5000.0, 9000)
    assert [node.id for node in build(scenario, 3).living()] == [n.id for n in world.living()]
