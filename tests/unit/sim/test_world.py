"""The words of a world: each breaks or mends what it says, and nothing else."""

from __future__ import annotations

import pytest

from mreza.config.mesh import MeshConfig
from mreza.events import MemberState
from mreza.sim.world import World

SILENCE_S = MeshConfig().link.unusable_after_s + 2 * MeshConfig().link.probe_interval_s
"By then a link that carries routes is known to be silent."
BACK_S = 2.0
"By then a neighbor that is back is linked again."


@pytest.fixture
def world() -> World:
    world = World(seed=3)
    world.line("a", "b", "c")
    world.run_until(world.agree, within_s=10)
    world.run(seconds=1)
    return world


def test_a_silent_cut_is_noticed_by_both_ends_after_the_patience_of_a_link(world: World) -> None:
    world.cut("a", "b")
    world.run(seconds=2 * MeshConfig().link.probe_interval_s)
    assert world.link_between("a", "b")
    world.run(seconds=SILENCE_S)
    assert world.link_between("a", "b") is None
    assert world.nodes["b"].id not in world.nodes["a"].core.control.routes
    world.repair("a", "b")
    world.run(seconds=BACK_S)
    assert world.link_between("a", "b")
    assert world.agree()


def test_a_way_that_is_cut_is_unusable_for_both_ends(world: World) -> None:
    world.partition_oneway("a", "b")
    world.run(seconds=SILENCE_S + 0.1)
    link = world.links["a", "b"]
    assert not any(way.is_open for way in link.ways)
    world.repair("a")
    world.run(seconds=BACK_S)
    assert link.up


def test_the_connection_of_a_short_silence_is_kept_and_nothing_on_it_is_lost(world: World) -> None:
    link = world.links["a", "b"]
    generation = link.generation
    world.freeze("b")
    world.nodes["a"].send("c", "on its way")
    world.run(seconds=SILENCE_S + 0.1)
    assert world.link_between("a", "b") is None
    world.thaw("b")
    world.run(seconds=BACK_S)
    assert link.up
    assert link.generation in (generation, generation + 1)
    world.run(seconds=3)
    assert [entry.payload for entry in world.nodes["c"].handled] == ["on its way"]


def test_what_is_held_waits_and_the_link_looks_alive(world: World) -> None:
    world.hold("a", "b")
    world.nodes["a"].send("b", 1)
    world.run(seconds=5)
    assert world.link_between("a", "b")
    assert not world.nodes["b"].handled
    world.release("a", "b")
    world.run(seconds=1)
    assert [entry.payload for entry in world.nodes["b"].handled] == [1]


def test_neighbors_of_a_crash_know_at_once_that_the_process_is_gone(world: World) -> None:
    world.crash("c")
    world.run(seconds=0.05)
    assert world.links["b", "c"].ways[0].source.core.control.path_to(world.nodes["c"].id) == ()
    world.run(seconds=1.5)
    member = world.nodes["a"].core.control.members[world.nodes["c"].id]
    assert (member.state, member.cause) == (MemberState.FAILED, "gone")


def test_a_machine_that_dies_is_only_silent(world: World) -> None:
    world.crash("c", silently=True)
    world.run(seconds=0.05)
    assert world.links["b", "c"].way_from("b").is_open
    world.run(seconds=3)
    member = world.nodes["a"].core.control.members[world.nodes["c"].id]
    assert member.state is MemberState.SUSPECT
    world.run(seconds=MeshConfig().membership.suspicion_timeout_s)
    assert world.nodes["a"].core.control.members[world.nodes["c"].id].state is MemberState.FAILED


def test_a_bounce_is_a_new_life_with_a_higher_boot_counter(world: World) -> None:
    before = world.nodes["c"].core.epoch
    world.bounce("c")
    world.run(seconds=BACK_S)
    assert world.nodes["c"].core.epoch > before
    assert (world.nodes["c"].life, world.nodes["c"].boot) == (2, 2)
    assert world.agree()


def test_a_full_disk_keeps_a_node_from_starting_until_there_is_room(world: World) -> None:
    node = world.nodes["c"]
    node.disk.full = True
    world.bounce("c")
    world.run(seconds=5)
    assert node not in world.living()
    node.disk.full = False
    world.run(seconds=BACK_S + 1)
    assert node in world.living()
    assert node.boot == 2
    assert world.agree()


def test_a_node_that_cannot_write_its_counter_raises_its_epoch_later(world: World) -> None:
    node = world.nodes["b"]
    world.crash("b")
    node.boot = 0
    world.restart("b")
    node.disk.full = True
    world.run(seconds=3)
    assert node.boot == 1
    node.disk.full = False
    world.run_until(world.agree, within_s=10)
    assert node.boot > 1


def test_a_late_node_takes_its_turns_late_and_a_true_one_at_once(world: World) -> None:
    b = world.nodes["b"]
    b.lag_s = 0.2
    sent = world.now
    world.nodes["a"].send("c", 1)
    c = world.nodes["c"]
    took = world.run_until(lambda: bool(c.handled), within_s=5)
    assert 0.2 <= took <= 0.4
    assert world.now > sent


def test_a_clock_that_jumps_makes_a_node_seal_anew(world: World) -> None:
    node = world.nodes["a"]
    before = node.core.sealing.prekeys()
    node.clock.jump(600)
    node.clock_changed()
    assert node.core.sealing.prekeys() != before
    assert node.core.control.wall_offset_s == pytest.approx(world.wall - world.now + 600)


def test_a_partition_parts_and_a_repair_joins(world: World) -> None:
    world.partition(["a"])
    world.run(seconds=12)
    assert world.every_view() == {"a": {"a"}, "b": {"b", "c"}, "c": {"b", "c"}}
    world.repair(["a"])
    world.run(seconds=BACK_S)
    assert world.agree()
    with pytest.raises(KeyError, match="no link between a and c"):
        world.cut("a", "c")


def test_a_node_that_is_taken_out_is_gone_with_its_links(world: World) -> None:
    world.remove("c")
    world.run(seconds=3)
    assert list(world.links) == [("a", "b")]
    assert world.agree()


def test_step_is_one_instant_and_run_lets_time_pass(world: World) -> None:
    now, instants = world.now, world.instants
    assert world.step()
    assert world.instants == instants + 1
    assert world.now >= now
    world.run(seconds=0)
    with pytest.raises(AssertionError, match="not reached within 1 virtual seconds"):
        world.run_until(lambda: False, within_s=1)
