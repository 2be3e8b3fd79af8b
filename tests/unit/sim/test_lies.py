"""Liars in a relay's place: what they can do to others, and what they cannot."""

from __future__ import annotations

from random import Random

import pytest

from mreza.events import MemberState
from mreza.sim.check_state import database_difference
from mreza.sim.checker import CheckFailed
from mreza.sim.checkers import KNOWN
from mreza.sim.ledger import Ledger
from mreza.sim.lies import (
    DelayTransit,
    DropTransit,
    Equivocate,
    RenewHopLimit,
    Replay,
    Tamper,
    claim_link,
    force_next_hop,
)
from mreza.sim.world import World


def line(*names: str, seed: int = 1) -> World:
    world = World(seed=seed)
    world.line(*names)
    world.run_until(world.agree, within_s=30)
    return world


def payloads(world: World, name: str) -> list[object]:
    return [entry.payload for entry in world.nodes[name].handled]


def test_what_a_relay_gives_up_is_sent_again() -> None:
    world = line("a", "liar", "c")
    lie = DropTransit(share=0.5, rng=Random(1))  # noqa: S311
    world.nodes["liar"].lies.append(lie)
    for number in range(20):
        world.nodes["a"].send("c", number)
        world.run(seconds=0.1)
    world.run(seconds=120)
    assert lie.dropped
    assert sorted(payloads(world, "c")) == list(range(20))  # type: ignore[type-var]


def test_what_a_relay_has_changed_is_not_opened() -> None:
    world = line("a", "liar", "c")
    lie = Tamper()
    world.nodes["liar"].lies.append(lie)
    world.nodes["a"].send("c", "true")
    world.run(seconds=20)
    assert lie.changed
    assert payloads(world, "c") == []
    world.nodes["liar"].lies.clear()
    world.run(seconds=20)
    assert payloads(world, "c") == ["true"]


def test_what_a_relay_holds_back_comes_later() -> None:
    world = line("a", "liar", "c")
    world.nodes["liar"].lies.append(DelayTransit(seconds=0.5))
    world.nodes["a"].send("c", 1)
    world.run(seconds=0.4)
    assert payloads(world, "c") == []
    world.run(seconds=2)
    assert payloads(world, "c") == [1]


def test_what_is_said_again_is_heard_once() -> None:
    world = line("a", "liar", "c")
    lie = Replay(after_s=3.0)
    world.nodes["liar"].lies.append(lie)
    for number in range(5):
        world.nodes["a"].send("c", number)
        world.nodes["liar"].send("c", 100 + number)
    world.run(seconds=30)
    assert lie.replayed
    assert sorted(payloads(world, "c")) == [*range(5), *range(100, 105)]  # type: ignore[type-var]
    assert world.agree()


def test_a_renewed_hop_limit_is_seen_by_the_checker() -> None:
    world = line("a", "liar", "c")
    checker = KNOWN["hops"](world, Ledger())
    world.nodes["a"].send("c", 1)
    world.run(seconds=1)
    checker.step(world)
    world.nodes["liar"].lies.append(RenewHopLimit())
    world.nodes["a"].send("c", 2)
    world.run(seconds=1)
    with pytest.raises(CheckFailed, match=r"liar passed an envelope on to . with hop limit 32"):
        checker.step(world)


def test_two_contents_under_one_number_are_proof_and_end_alike() -> None:
    world = World(seed=2)
    world.add("a", "b", "liar")
    for one, other in (("a", "b"), ("a", "liar"), ("b", "liar")):
        world.link(one, other)
    world.nodes["liar"].lies.append(Equivocate(world.nodes["liar"], to=["b"]))
    world.run(seconds=40)
    assert database_difference([world.nodes["a"], world.nodes["b"]]) == ""
    assert any(world.nodes[name].core.control.database.proofs for name in ("a", "b"))


def test_a_claim_and_a_wrong_route_are_what_they_say() -> None:
    world = line("a", "b", "c", "d")
    a, b, c, d = (world.nodes[name] for name in "abcd")
    claim_link(d, a)
    assert a.id in d.core.control.link_costs()
    force_next_hop(b, d, a)
    hop = b.core.control.router._forward[d.id].next_hop
    assert hop == a.id
    world.run(seconds=1)
    assert a.core.control.path_to(d.id) == (a.id, b.id, c.id, d.id)
    assert a.core.control.roster.members[d.id].state is MemberState.ALIVE
