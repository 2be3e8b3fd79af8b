"""Two whole nodes in one process: what only sockets, disks and both at once can show."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from mreza import (
    DiscoveryConfig,
    DuplicateIdentity,
    DuplicateIdentityFound,
    MeshNetwork,
    NotRunning,
    SecurityConfig,
    StateError,
)
from mreza.ids import boot_of
from mreza.planes.effects import RaiseEpoch
from tests.support.eventually import eventually_async
from tests.support.leaks import no_leaks_async
from tests.support.processes import free_port


def node_at(state: Path, *, port: int, peer: int) -> MeshNetwork:
    return MeshNetwork(
        name="x",
        listen=f"127.0.0.1:{port}",
        security_config=SecurityConfig(state=state),
        discovery_config=DiscoveryConfig(
            peers=(f"127.0.0.1:{peer}",), redial_first_s=0.1, redial_max_s=0.5
        ),
    )


@pytest.mark.parametrize("clone_dials", [True, False], ids=["both dial", "only the original"])
async def test_of_two_copies_alone_in_a_mesh_the_later_one_stops(
    tmp_path: Path, clone_dials: bool
) -> None:
    state, copy = tmp_path / "state", tmp_path / "copy"
    here, there = free_port(), free_port()
    async with no_leaks_async(), node_at(state, port=here, peer=there) as original:
        first = original._node.core.epoch
        shutil.copytree(state, copy, ignore=shutil.ignore_patterns("*.sock"))
        # So that uptimes differ by more than a hello takes.
        await eventually_async(lambda: original.status() and uptime_s(original) > 1.5)
        clone = node_at(copy, port=there, peer=here if clone_dials else there)
        await clone.initialize()
        assert clone.node_id == original.node_id
        async with asyncio.timeout(60):
            await clone.wait_closed()
        assert isinstance(clone.closed_error, DuplicateIdentity)
        with pytest.raises(NotRunning, match="another process has run as node"):
            _ = clone.members
        await clone.close()

        assert original.closed_error is None
        assert boot_of(original._node.core.epoch) > boot_of(first)
        on_disk = (original.state_directory / "boot").read_text().strip()
        assert int(on_disk) >= boot_of(original._node.core.epoch)
        assert any(isinstance(e, DuplicateIdentityFound) for e in original.event_history)


def uptime_s(mesh: MeshNetwork) -> float:
    return mesh._node.now - mesh._node.core.control.started_at


async def test_a_boot_counter_that_cannot_be_written_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mreza.node.running.RAISE_AGAIN_S", 0.05)
    async with MeshNetwork(name="a") as mesh:
        node = mesh._node
        first, full = boot_of(node.core.epoch), True
        next_boot = node.state.next_boot

        def write(at_least: int = 0) -> int:
            if full:
                raise StateError("cannot write boot: No space left on device")
            return next_boot(at_least=at_least)

        monkeypatch.setattr(node.state, "next_boot", write)
        node._carry_out(RaiseEpoch(first + 5))
        await asyncio.sleep(0.2)
        assert boot_of(node.core.epoch) == first
        full = False
        await eventually_async(lambda: boot_of(node.core.epoch) == first + 5)


@pytest.mark.parametrize("where", ["message", "process"])
async def test_a_handler_may_close_its_node(where: str) -> None:
    async with no_leaks_async(), MeshNetwork(name="a") as mesh:

        @mesh.on_message
        async def heard(_: object) -> None:
            await mesh.close()

        @mesh.process("stop")
        async def stop(_: None) -> None:
            await mesh.close()

        async with asyncio.timeout(20):
            if where == "message":
                mesh.send("a", 1)
            else:
                with pytest.raises(NotRunning):
                    await mesh.call("stop", None)
            await mesh.wait_closed()
        async with MeshNetwork(name="a"):
            pass


async def test_closing_goes_on_when_nobody_waits_for_it() -> None:
    async with no_leaks_async():
        mesh = MeshNetwork(name="a")
        await mesh.initialize()
        closing = asyncio.create_task(mesh.close())
        await asyncio.sleep(0)
        closing.cancel()
        await asyncio.gather(closing, return_exceptions=True)
        async with asyncio.timeout(20):
            await mesh.wait_closed()
        async with MeshNetwork(name="a"):
            pass


async def test_a_start_that_is_cancelled_frees_its_folder() -> None:
    for turns in (1, 2, 5):
        starting = asyncio.create_task(MeshNetwork(name="a").initialize())
        for _ in range(turns):
            await asyncio.sleep(0)
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)

    for _ in range(1000):
        try:
            async with MeshNetwork(name="a"):
                return
        except StateError:
            await asyncio.sleep(0.01)
    pytest.fail("the folder is still locked")
