"""A node that comes back from an old copy of its directory, and two that run from copies of one."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path

from mreza import (
    DiscoveryConfig,
    DuplicateIdentityFound,
    MeshNetwork,
    Message,
    MessageType,
    ReceivedMessage,
    RecordsConfig,
    SecurityConfig,
)
from mreza.ids import boot_of
from mreza.node.control_protocol import Call, Ping, Status
from tests.support.eventually import eventually, eventually_async
from tests.support.meshes import alive, sees
from tests.support.processes import NodeProcess, Processes, done, free_port, mreza

WORKER = "tests.support.apps:worker"
PATIENCE_S = 60.0
"The mesh's own promises (5 s, 10 s) are for idle machines; the time taken is printed."
OTHERS = ("y0", "y1", "y2", "y3", "y4", "y5")
REFRESH_S = 0.2
"As often as the budget of 5/s for one record allows, so that a thousand records take seconds."
RECORDS = 1000
BOOTS = 3


def copy_directory(source: Path, target: Path) -> None:
    """What a backup or a cloned disk has of a state directory: all but sockets."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("*.sock"))


def join(token: str, name: str, state: Path) -> None:
    done(mreza("join", token, "--name", name, state=state))


@contextlib.asynccontextmanager
async def others(
    state: Path, names: tuple[str, ...], peer: str
) -> AsyncIterator[list[MeshNetwork]]:
    """Nodes in this process that answer messages with their own name."""
    async with contextlib.AsyncExitStack() as stack:
        nodes = []
        for name in names:
            mesh = MeshNetwork(
                name=name,
                discovery_config=DiscoveryConfig(peers=(peer,)),
                security_config=SecurityConfig(state=state),
                records_config=RecordsConfig(refresh_s=REFRESH_S),
            )
            answer_with(mesh, name)
            nodes.append(await stack.enter_async_context(mesh))
        yield nodes


def answer_with(mesh: MeshNetwork, name: str) -> None:
    @mesh.on_message
    def on_message(message: ReceivedMessage[int]) -> str:
        return f"{name} {message.payload}"


def versions(mesh: MeshNetwork) -> dict[object, tuple[int, int]]:
    """The version of each record that it holds."""
    database = mesh._node.core.control.database
    return {record.slot: record.version for kind in (1, 2) for record in database.of_kind(kind)}


class RecordsSeen:
    """Counts the records that were new to a node."""

    def __init__(self, mesh: MeshNetwork) -> None:
        self._mesh = mesh
        self._last = versions(mesh)
        self.count = 0

    def look(self) -> int:
        now = versions(self._mesh)
        for slot, (epoch, sequence) in now.items():
            last = self._last.get(slot)
            if last is None or last[0] != epoch:
                self.count += 1
            else:
                self.count += sequence - last[1]
        self._last = now
        return self.count

    async def reach(self, count: int) -> None:
        """Wait until so many were new."""
        await eventually_async(lambda: self.look() >= count, "records", timeout_s=PATIENCE_S)


async def test_a_node_restored_from_an_old_copy_is_itself_again(
    processes: Processes, tmp_path: Path
) -> None:
    state, backup, others_state = tmp_path / "x", tmp_path / "backup", tmp_path / "others"
    listen = f"127.0.0.1:{free_port()}"

    async def start() -> NodeProcess:
        environment = {"MREZA_RECORDS__REFRESH_S": str(REFRESH_S)}
        return await asyncio.to_thread(
            processes.up, "x", state=state, listen=listen, app=WORKER, env=environment
        )

    x = await start()
    identity = x.node_id
    token = await asyncio.to_thread(lambda: done(mreza("invite", "--uses", "6", state=state)))
    for name in OTHERS:
        await asyncio.to_thread(join, token, name, others_state)
    async with others(others_state, OTHERS, listen) as nodes:
        for node in nodes:
            await sees(node, "x", *OTHERS)
        first = nodes[0]
        await asyncio.to_thread(x.stop)
        copy_directory(state, backup)
        seen = RecordsSeen(first)

        for boot in range(BOOTS):
            x = await start()
            for node in nodes:
                await sees(node, "x")
            if boot == 0:
                late = await asyncio.to_thread(lambda: done(mreza("invite", state=state)))
                await asyncio.to_thread(join, late, "z", tmp_path / "z")
            await seen.reach((boot + 1) * RECORDS // BOOTS)
            await asyncio.to_thread(x.stop)
        assert seen.look() >= RECORDS
        known = newest_epoch(first, identity)

        shutil.rmtree(state)
        copy_directory(backup, state)
        started = time.monotonic()
        z = await asyncio.to_thread(
            processes.up, "z", state=tmp_path / "z", peers=[listen], app=WORKER, wait=False
        )
        x = await start()
        assert x.node_id == identity
        for node in nodes:
            await sees(node, "x", timeout_s=PATIENCE_S)
        await asyncio.to_thread(z.ready)
        await asyncio.to_thread(x.sees, "x", "z", *OTHERS, timeout_s=PATIENCE_S)
        answered = await asyncio.to_thread(x.ask, Call(process="who", node="z"))
        assert answered["result"]["name"] == "z"
        assert (await first.call("who", node="x"))["pid"] == x.pid
        print(f"itself again {time.monotonic() - started:.2f} s after its start")
        assert boot_of(newest_epoch(first, identity)) > boot_of(known)
        x.wait_for_log("epoch_raised")


def newest_epoch(mesh: MeshNetwork, node_id: str) -> int:
    """The newest epoch that it knows of a node."""
    return max(
        version[0]
        for slot, version in versions(mesh).items()
        if str(slot[0]) == node_id  # type: ignore[index]
    )


async def test_a_clone_beside_the_original_stops_and_harms_nobody(
    processes: Processes, tmp_path: Path
) -> None:
    state, copy, others_state = tmp_path / "x", tmp_path / "copy", tmp_path / "others"
    x = await asyncio.to_thread(processes.up, "x", state=state, app=WORKER)
    token = await asyncio.to_thread(lambda: done(mreza("invite", "--uses", "2", state=state)))
    for name in ("y", "z"):
        await asyncio.to_thread(join, token, name, others_state)
    async with others(others_state, ("y", "z"), x.listen) as (y, z):
        for node in (y, z):
            await sees(node, "x", "y", "z")
        await eventually_async(lambda: len(y.links) == len(z.links) == 2, "all are linked")
        stop = asyncio.Event()
        traffic = [
            asyncio.create_task(keep_sending(y, "z", stop)),
            asyncio.create_task(keep_sending(z, "y", stop)),
        ]
        copy_directory(state, copy)
        started = time.monotonic()
        clone = await asyncio.to_thread(
            processes.up,
            "x",
            state=copy,
            peers=[str(y.listen_addresses[0]), str(z.listen_addresses[0])],
            app=WORKER,
            wait=False,
        )
        try:
            status = await asyncio.to_thread(clone.wait, timeout_s=PATIENCE_S)
            print(f"the clone ended {time.monotonic() - started:.2f} s after its start")
        finally:
            stop.set()
            counts = await asyncio.gather(*traffic)
        assert status == 1
        assert all(count > 0 for count in counts)

        assert clone.log_lines("DUPLICATE_IDENTITY")
        assert clone.log_lines("duplicate_identity")
        for node in (y, z):
            events = [e for e in node.event_history if isinstance(e, DuplicateIdentityFound)]
            assert [str(event.node) for event in events[:1]] == [x.node_id]
            assert not any(event.stopped_here for event in events)
        await asyncio.to_thread(x.wait_for_log, "duplicate_identity")

        assert x.running
        for node in (y, z):
            await sees(node, "x", timeout_s=PATIENCE_S)
            assert (await node.call("who", node="x"))["pid"] == x.pid
        assert (await asyncio.to_thread(x.ask, Status()))["node"] == x.node_id
        assert await asyncio.to_thread(x.ask, Ping(node="y")) > 0
        assert alive(y) == {"x", "y", "z"}


async def keep_sending(mesh: MeshNetwork, to: str, stop: asyncio.Event) -> int:
    """Receipt after receipt; how many. The first failure ends it and fails the test."""
    for number in itertools.count():
        if stop.is_set():
            return number
        receipt = await mesh.send_message(
            Message(type=MessageType.DATA, payload=number, destination=to)
        )
        assert receipt.result == f"{to} {number}"
        await asyncio.sleep(0)
    raise AssertionError("unreachable")


def test_a_node_that_was_killed_comes_back_with_a_higher_epoch(
    processes: Processes, state_dir: Path
) -> None:
    a = processes.up("a", state=state_dir, app=WORKER)
    b = processes.up("b", state=state_dir, app=WORKER)
    a.sees("b")
    b.kill()
    again = processes.up("b", state=state_dir, app=WORKER)
    assert again.node_id == b.node_id
    a.sees("b")

    def answers() -> bool:
        with contextlib.suppress(Exception):
            answered = a.ask(Call(process="who", node="b", timeout_s=5.0))
            return bool(answered["result"]["pid"] == again.pid)
        return False

    eventually(answers, "b answers again", timeout_s=PATIENCE_S)
