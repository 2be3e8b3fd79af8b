"""From a scenario to a world: nodes n0, n1 and so on, linked as its topology says."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from random import Random

from mreza.sim.plan import NetworkPlan
from mreza.sim.scenario import Scenario
from mreza.sim.world import World

Pair = tuple[int, int]


def build(scenario: Scenario, seed: int) -> World:
    """A world whose nodes have been started and dial each other."""
    world = World(seed=seed, config=scenario.mesh_config())
    names = [f"n{number}" for number in range(scenario.nodes)]
    world.add(*names)
    rng = Random(world.rng.getrandbits(64))  # noqa: S311 - a seeded world
    pairs = TOPOLOGIES[scenario.topology](scenario.nodes, scenario.degree, rng)
    for a, b in sorted({(min(pair), max(pair)) for pair in pairs}):
        far = scenario.topology == "two_lans" and (a % 2) != (b % 2)
        connect(world, names[a], names[b], scenario.network, far=far)
    return world


def connect(world: World, a: str, b: str, plan: NetworkPlan, *, far: bool = False) -> None:
    """One link as the plan says; `far` is one between the two halves of two_lans."""
    low, high = plan.delay_s
    median_s = plan.between_s if far else round(world.rng.uniform(low, high), 6)
    link = world.link(
        a, b, delay_s=median_s, loss=plan.loss, distribution=plan.latency, jitter=plan.jitter
    )
    for way in link.ways:
        way.duplicate, way.reorder = plan.duplicate, plan.reorder
        way.bytes_per_s = float(plan.bandwidth)
        if plan.bandwidth:
            way.queue_bytes = plan.queue_bytes


def _line(count: int, _degree: int, _rng: Random) -> Iterator[Pair]:
    return ((i, i + 1) for i in range(count - 1))


def _ring(count: int, _degree: int, _rng: Random) -> Iterator[Pair]:
    return ((i, (i + 1) % count) for i in range(count if count > 2 else count - 1))


def _star(count: int, _degree: int, _rng: Random) -> Iterator[Pair]:
    return ((0, i) for i in range(1, count))


def _full(count: int, _degree: int, _rng: Random) -> Iterator[Pair]:
    return ((i, j) for i in range(count) for j in range(i + 1, count))


def _random(count: int, degree: int, rng: Random) -> Iterator[Pair]:
    for i in range(1, count):
        for j in rng.sample(range(i), min(i, degree)):
            yield i, j


def _grid(count: int, _degree: int, _rng: Random) -> Iterator[Pair]:
    width = math.isqrt(count - 1) + 1 if count > 1 else 1
    for i in range(count):
        if (i + 1) % width and i + 1 < count:
            yield i, i + 1
        if i + width < count:
            yield i, i + width


def _two_lans(count: int, degree: int, rng: Random) -> Iterator[Pair]:
    """Even and odd numbers are the two sites; two links lead from one to the other."""
    for site in (range(0, count, 2), range(1, count, 2)):
        members = list(site)
        for a, b in _random(len(members), degree, rng):
            yield members[a], members[b]
    for i in range(0, min(count - 1, 3), 2):
        yield i, i + 1


TOPOLOGIES: dict[str, Callable[[int, int, Random], Iterator[Pair]]] = {
    "line": _line,
    "ring": _ring,
    "star": _star,
    "full": _full,
    "random": _random,
    "grid": _grid,
    "two_lans": _two_lans,
}
