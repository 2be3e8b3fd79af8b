"""What `SimMesh` says when it is asked for what cannot be, and what it keeps."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from mreza import MeshError, MeshNetwork, NotRunning
from mreza.config.mesh import MeshConfig
from mreza.sim import Deadlock, OutOfTime, SimMesh, SimulationStuck


def test_a_name_can_run_once(mesh_sim: SimMesh) -> None:
    mesh_sim.run(mesh_sim.start("a"))
    for name in ("a", "test"):
        with pytest.raises(MeshError, match=f"'{name}' runs already"):
            mesh_sim.run(mesh_sim.start(name))


def test_hosts_that_are_not_there_are_named(mesh_sim: SimMesh) -> None:
    mesh_sim.run(mesh_sim.start("a"))
    with pytest.raises(MeshError, match="no simulated host 'b'"):
        mesh_sim.partition("a", "b")


def test_what_was_done_is_told_with_its_time(mesh_sim: SimMesh) -> None:
    mesh_sim.run(mesh_sim.grow("a", "b"))
    mesh_sim.step(10)
    mesh_sim.partition(["a"], "b")
    mesh_sim.hold("a", "b")
    mesh_sim.release("a", "b")
    mesh_sim.partition_oneway("a")
    mesh_sim.repair()
    mesh_sim.freeze("a")
    mesh_sim.thaw("a")
    mesh_sim.skew("a", -5)
    words = [what for at, what in mesh_sim.story if at >= 10]
    assert words == [
        "partition a | b",
        "hold a | b",
        "release a | b",
        "partition_oneway a",
        "repair all",
        "freeze a",
        "thaw a",
        "skew a by -5 s",
    ]


def test_release_does_not_mend_a_cut(mesh_sim: SimMesh) -> None:
    mesh_sim.run(mesh_sim.grow("a", "b"))
    path = mesh_sim.net.path("a", "b")
    mesh_sim.partition("a")
    mesh_sim.hold("a")
    mesh_sim.release("a")
    assert path.cut
    mesh_sim.repair("a", "b")
    assert path.is_open


def test_waiting_for_what_never_comes_says_what_it_was(mesh_sim: SimMesh) -> None:
    with pytest.raises(AssertionError, match="snow: still False after 5 virtual seconds"):
        mesh_sim.run(mesh_sim.until(lambda: False, "snow", within_s=5))
    assert mesh_sim.run(mesh_sim.until(lambda: mesh_sim.now > 7)) == pytest.approx(2, abs=0.1)


def test_a_program_that_waits_for_ever_is_told(mesh_sim: SimMesh) -> None:
    async def waits() -> None:
        await asyncio.Event().wait()

    with pytest.raises(Deadlock, match=r"main at .*test_mesh"):
        mesh_sim.run(waits())
    with SimMesh(limit_s=30) as limited:
        limited.run(limited.start("a"))
        with pytest.raises(OutOfTime) as stuck:
            limited.run(waits())
        assert isinstance(stuck.value, SimulationStuck)


def test_a_program_that_fails_is_part_of_the_story(mesh_sim: SimMesh) -> None:
    async def fails() -> None:
        raise LookupError("no such order")

    mesh_sim.spawn("a", fails())
    mesh_sim.step(1)
    assert mesh_sim.story[-1][1] == "program of a raised LookupError('no such order')"


def test_an_application_may_be_asynchronous_and_settings_are_those_of_a_node(
    mesh_sim: SimMesh,
) -> None:
    seen: list[str] = []

    async def app(mesh: MeshNetwork) -> None:
        await asyncio.sleep(1)
        seen.append(str(mesh.config.listen))

    node = mesh_sim.run(mesh_sim.start("a", app=app, listen="0.0.0.0:99"))
    assert seen == ["0.0.0.0:99"]
    assert str(node.listen_addresses[0]) == "0.0.0.0:99"
    again = mesh_sim.run(mesh_sim.bounce("a", after_s=3))
    assert str(again.listen_addresses[0]) == "0.0.0.0:99"
    assert len(seen) == 2


def test_the_settings_of_all_nodes_can_be_given() -> None:
    with SimMesh(config=MeshConfig(messaging={"timeout_s": 7.0})) as sim:
        node = sim.run(sim.start("a"))
        assert node.config.messaging.timeout_s == 7.0


def test_a_node_that_is_stopped_says_goodbye_and_can_start_again(mesh_sim: SimMesh) -> None:
    async def main() -> None:
        a, b = await mesh_sim.grow("a", "b")
        await mesh_sim.stop("b")
        await mesh_sim.until(lambda: not a.links, within_s=1)
        with pytest.raises(NotRunning):
            b.send("a", "too late")
        await mesh_sim.restart("b")
        await mesh_sim.agree()

    mesh_sim.run(main())


def test_closing_twice_is_allowed_and_leaves_nothing() -> None:
    sim = SimMesh()
    sim.run(sim.grow("a", "b"))
    folder = sim._disks.folder
    assert folder.exists()
    sim.crash("a")
    sim.partition("b")
    sim.close()
    sim.close()
    assert not folder.exists()
    assert sim.loop.is_closed()


def test_what_a_test_leaves_running_is_ended() -> None:
    ended: list[str] = []

    async def goes_on(sim: SimMesh) -> None:
        try:
            await sim.sleep(10_000)
        finally:
            ended.append("cancelled")

    sim = SimMesh()
    sim.spawn("a", goes_on(sim))
    sim.step(1)
    sim.close()
    assert ended == ["cancelled"]


def test_a_call_of_a_node_that_crashes_meanwhile_ends(mesh_sim: SimMesh) -> None:
    async def main() -> Any:
        a, b = await mesh_sim.grow("a", "b")

        @b.process("slow")
        async def slow(_: None) -> None:
            await asyncio.sleep(100)

        await mesh_sim.sleep(1)
        asking = asyncio.create_task(a.call("slow", timeout_s=1000))
        await mesh_sim.sleep(1)
        mesh_sim.crash("a")
        with pytest.raises(NotRunning, match="'a' crashed"):
            await asking

    mesh_sim.run(main())
