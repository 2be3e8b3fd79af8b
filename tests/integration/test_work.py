"""Work between real nodes: stopped, moved, done once, watched, and in processes of its own."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from mreza import (
    MeshNetwork,
    Message,
    MessageType,
    NoSuchProcess,
    ProcessesConfig,
    ReceivedMessage,
    RemoteError,
    WorkerLost,
)
from mreza.processes.handlers import CallContext
from tests.support.eventually import eventually_async
from tests.support.failover import at_work
from tests.support.leaks import no_leaks_async
from tests.support.meshes import offers, running
from tests.support.processes import ROOT, Processes
from tests.unit.io.executors import pool_handlers as handlers

POOL = "tests.support.pool_app:pool"


async def test_cancelling_a_call_cancels_its_handler() -> None:
    async with running("a", "b") as (a, b):
        states: list[str] = []

        @b.process("sleep")
        async def sleep(_: None) -> None:
            states.append("begun")
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                states.append("cancelled")
                raise

        await offers(a, "b", "sleep")
        call = asyncio.create_task(a.call("sleep"))
        await eventually_async(lambda: states == ["begun"], "the handler runs")
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await eventually_async(lambda: states == ["begun", "cancelled"], "the handler was told")


async def test_a_function_in_a_pool_process_answers_dies_and_is_stopped(tmp_path: Path) -> None:
    settings = {"processes_config": ProcessesConfig(pool_processes=2)}
    async with no_leaks_async(), running("a", "b", **settings) as (a, b):
        for handler in (handlers.double, handlers.dies, handlers.pid, handlers.fails):
            b.process(handler.__name__, executor="process")(handler)
        b.process("waits", executor="process", timeout_s=1.0)(handlers.waits)
        b.process("dies twice", executor="process", idempotent=True)(handlers.dies)
        await offers(a, "b", "waits")

        assert await a.call("double", 21) == 42
        assert await a.call("pid") not in (os.getpid(), None)
        with pytest.raises(KeyError) as caught:
            await a.call("fails", "k")
        assert "raise KeyError(payload)" in caught.value.traceback_text  # type: ignore[attr-defined]

        for process in ("dies", "dies twice"):
            with pytest.raises(WorkerLost, match="exit status 3") as lost:
                await a.call(process, "exit")
            assert lost.value.may_have_run
        assert await a.call("double", 1) == 2, "the pool has healed"

        begun = tmp_path / "begun"
        with pytest.raises(RemoteError, match="was stopped after"):
            await a.call("waits", str(begun))
        await eventually_async(
            lambda: not psutil.pid_exists(int(begun.read_text())), "its process was killed"
        )

        begun.unlink()
        call = asyncio.create_task(a.call("waits", str(begun)))
        await eventually_async(lambda: begun.exists() and begun.read_text(), "it works")
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await eventually_async(
            lambda: not psutil.pid_exists(int(begun.read_text())), "its process was killed"
        )


async def test_progress_is_told_while_the_work_runs() -> None:
    async with running("a", "b") as (a, b):
        half = asyncio.Event()
        told: list[Any] = []

        @b.process("slow")
        async def slow(_: None, context: CallContext) -> str:
            context.progress({"done": 1, "of": 2})
            await half.wait()
            context.progress({"done": 2, "of": 2})
            return "done"

        b.process("tells", executor="process")(handlers.tells)
        await offers(a, "b", "tells")
        call = asyncio.create_task(a.call("slow", on_progress=told.append))
        await eventually_async(lambda: told == [{"done": 1, "of": 2}], "the first half is told")
        half.set()
        assert await call == "done"
        assert told[-1] == {"done": 2, "of": 2}
        told.clear()
        await a.call("tells", 100, on_progress=told.append)
        assert told[-1] == 99
        told.clear()
        await a.call("tells", 100)
        assert told == []


async def test_work_with_an_idempotency_key_is_done_once() -> None:
    async with running("a", "b") as (a, b):
        done: list[int] = []

        @b.process("book")
        async def book(number: int) -> int:
            done.append(number)
            await asyncio.sleep(0.05)
            return len(done)

        await offers(a, "b", "book")
        same = [a.call("book", 7, idempotency_key="order 7") for _ in range(5)]
        assert await asyncio.gather(*same) == [1] * 5
        assert await a.call("book", 7, idempotency_key="order 7") == 1
        assert await a.call("book", 8, idempotency_key="order 8") == 2
        assert done == [7, 8]


async def test_only_nodes_of_the_right_role_do_the_work() -> None:
    async with running("a", "b") as (a, b):

        async def where(_: None) -> str:
            return "here"

        for node in (a, b):
            node.process("members", roles=("member", "other"))(where)
            node.process("others", roles=("other",))(where)
        await offers(a, "b", "members")
        assert await a.call("members", node="b") == "here"
        assert not any("others" in member.offers for member in a.members)
        with pytest.raises(NoSuchProcess):
            await a.call("others", timeout_s=0.2)


async def test_answers_tell_how_busy_their_node_is() -> None:
    async with running("a", "b") as (a, b):

        @b.process("who")
        async def who(_: None) -> str:
            return "b"

        await offers(a, "b", "who")
        await eventually_async(lambda: b._life.node.driver.turns > 0, "it has measured itself")
        assert await a.call("who") == "b"
        load = a.load_balancer.balancer.load_of(b.node_id)
        assert load.capacity > 1
        assert load.memory is not None
        assert load.loop_lag_s is not None


async def test_a_node_finishes_its_work_before_it_goes() -> None:
    async with running("a", "b", "c") as (a, b, c):
        gate = asyncio.Event()

        for node in (b, c):

            @node.process("work", concurrency=2)
            async def work(number: int) -> int:
                await gate.wait()
                return number

        for name in ("b", "c"):
            await offers(a, name, "work")
        calls = [asyncio.create_task(a.call("work", number)) for number in range(12)]
        await eventually_async(lambda: b._life.node.work.running == 2, "b works")
        finishing = asyncio.create_task(b.finish_work())
        await eventually_async(
            lambda: not any("work" in m.offers for m in a.members if m.name == "b"),
            "b offers nothing",
        )
        gate.set()
        assert await finishing == 0
        await b.leave("maintenance")
        assert await asyncio.gather(*calls) == list(range(12))


async def test_closing_tells_who_waits_to_go_elsewhere() -> None:
    async with running("a", "b") as (a, b):
        gate = asyncio.Event()

        @b.process("work", concurrency=1)
        async def work(_: int) -> str:
            await gate.wait()
            return "b"

        await offers(a, "b", "work")
        calls = [asyncio.create_task(a.call("work", number, timeout_s=60)) for number in range(3)]
        await eventually_async(lambda: b._life.node.work.running == 1, "b works")
        await asyncio.sleep(0.1)
        await b.close()

        @a.process("work", concurrency=1)
        async def here(_: int) -> str:
            return "a"

        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert outcomes[1:] == ["a", "a"], "those that had not begun"
        assert isinstance(outcomes[0], WorkerLost)


async def test_two_handlers_that_send_each_other_messages_do_not_wait_for_each_other() -> None:
    async with running("a", "b") as (a, b):

        def answers(mesh: MeshNetwork, other: str) -> None:
            @mesh.on_message
            async def on_message(message: ReceivedMessage[int]) -> list[str]:
                if not message.payload:
                    return [mesh.name]
                receipt = await mesh.send_message(
                    Message(type=MessageType.DATA, payload=message.payload - 1, destination=other)
                )
                return [mesh.name, *receipt.result]

        answers(a, "b")
        answers(b, "a")
        message = Message(type=MessageType.DATA, payload=3, destination="b", timeout_s=20)
        assert (await a.send_message(message)).result == ["b", "a", "b", "a"]


async def test_many_idempotent_calls_survive_the_death_of_a_worker(
    processes: Processes, state_dir: Path
) -> None:
    workers = [processes.up(name, state=state_dir, app=POOL) for name in ("b", "c")]
    async with MeshNetwork(name="a") as a:
        for worker in workers:
            await offers(a, worker.name, "task")
        calls = [asyncio.create_task(a.call("task", n, timeout_s=120)) for n in range(500)]
        await eventually_async(lambda: sum(call.done() for call in calls) > 50, "work goes on")
        workers[0].kill()
        assert await asyncio.gather(*calls) == list(range(500))


async def test_pool_processes_end_with_their_node_even_if_it_is_killed(
    processes: Processes, state_dir: Path
) -> None:
    b = processes.up("b", state=state_dir, app=POOL)
    async with MeshNetwork(name="a") as a:
        await offers(a, "b", "hold")
        idle = await a.call("pid", node="b")
        call = asyncio.create_task(a.call("hold", timeout_s=120))
        held = await eventually_async(lambda: b.output("held"), "it works")
        b.kill()
        with pytest.raises(WorkerLost):
            await call
        pids = (idle, int(held))
        await eventually_async(lambda: not any(map(psutil.pid_exists, pids)), "they have ended")


def test_a_function_of_the_program_itself_runs_in_a_pool_process(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import asyncio, os\n"
        "from mreza import MeshNetwork\n"
        "mesh = MeshNetwork(name='a')\n"
        "@mesh.process('where', executor='process')\n"
        "def where(payload: int) -> list[int]:\n"
        "    return [payload, os.getpid()]\n"
        "async def main() -> None:\n"
        "    async with mesh:\n"
        "        payload, pid = await mesh.call('where', 5)\n"
        "        print(payload, pid != os.getpid())\n"
        "if __name__ == '__main__':\n"
        "    asyncio.run(main())\n"
    )
    ended = subprocess.run(
        [sys.executable, program],
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "MREZA_STATE": str(tmp_path / "state")},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.stdout == "5 True\n", ended.stderr


async def test_a_worker_of_its_own_does_keyed_work_once_in_its_life(
    processes: Processes, state_dir: Path
) -> None:
    """Results are remembered in memory: the process that takes its place has none."""
    worker = processes.up("w", state=state_dir, app="tests.support.apps:numbered")
    async with MeshNetwork(name="a") as a:
        await offers(a, "w", "once")
        same = [a.call("once", 7, idempotency_key="order 7") for _ in range(5)]
        assert await asyncio.gather(*same) == [49] * 5
        assert await a.call("once", 8, idempotency_key="order 7") == 49, "the key counts"
        assert worker.output("begun").split() == [b"7"]
        worker.kill()
        again = await asyncio.to_thread(
            processes.up, "w", state=state_dir, app="tests.support.apps:numbered"
        )
        await at_work(a, "w", "once", -1)
        assert await a.call("once", 8, idempotency_key="order 7") == 64
        assert again.output("begun").split()[-1:] == [b"8"]
