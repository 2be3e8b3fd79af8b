"""Links that are watched by the real machine: what is modelled elsewhere is found out here."""

from __future__ import annotations

import pytest

from mreza.config.mesh import MeshConfig
from mreza.sim.network import Liveness
from mreza.sim.world import World

LINK = MeshConfig().link


def line(liveness: Liveness) -> World:
    world = World(seed=4, liveness=liveness)
    world.line("a", "b", "c")
    world.run_until(world.agree, within_s=10)
    world.run(seconds=2)
    return world


@pytest.mark.parametrize("liveness", ["modelled", "real"])
def test_a_cut_is_noticed_and_healed_alike(liveness: Liveness) -> None:
    world = line(liveness)
    world.cut("a", "b")
    noticed = world.run_until(lambda: world.link_between("a", "b") is None, within_s=5)
    assert 2 * LINK.probe_interval_s <= noticed <= LINK.unusable_after_s + LINK.probe_interval_s
    world.run(seconds=1)
    world.repair("a", "b")
    assert world.run_until(world.agree, within_s=10) <= 1.5


@pytest.mark.parametrize("liveness", ["modelled", "real"])
def test_one_way_is_enough_to_make_a_link_unusable(liveness: Liveness) -> None:
    world = line(liveness)
    world.partition_oneway("b", "c")
    world.run(seconds=1)
    assert not any(way.is_open for way in world.links["b", "c"].ways)
    world.repair("b", "c")
    world.run(seconds=3)
    assert world.agree()


@pytest.mark.parametrize("liveness", ["modelled", "real"])
def test_a_frozen_node_is_back_with_what_was_sent_to_it(liveness: Liveness) -> None:
    world = line(liveness)
    world.freeze("b")
    world.nodes["a"].send("c", 1)
    world.run(seconds=3)
    assert world.link_between("a", "b") is None
    world.thaw("b")
    world.run(seconds=5)
    assert world.agree()
    assert [entry.payload for entry in world.nodes["c"].handled] == [1]
    assert not any(node.core.offences for node in world.living())
    assert world.links["a", "b"].generation == 1, "the connection should have been kept"


def test_probes_measure_the_round_trip() -> None:
    world = line("real")
    rtt_s = world.links["a", "b"].ways[0].rtt.smoothed_s
    assert rtt_s == pytest.approx(0.01, abs=0.002)


def test_a_connection_that_is_silent_for_too_long_is_given_up() -> None:
    world = line("real")
    world.cut("b", "c")
    world.run(seconds=LINK.silent_after_s + 2)
    assert all(way.probing is None for way in world.links["b", "c"].ways)
    world.repair("b", "c")
    world.run(seconds=3)
    assert world.agree()


def test_a_crash_and_a_restart_are_noticed_as_ever() -> None:
    world = line("real")
    world.crash("b")
    world.run(seconds=2)
    assert world.nodes["a"].view() == {"a"}
    world.restart("b")
    world.run(seconds=3)
    assert world.agree()
