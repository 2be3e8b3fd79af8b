"""`map` over real nodes: from a program, and from the command line."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from mreza import ConfigError, MeshNetwork, RemoteError, Strategy
from mreza.processes.handlers import CallContext
from tests.support.eventually import eventually_async
from tests.support.meshes import offers, running
from tests.support.processes import Processes, mreza


async def test_a_map_uses_all_workers_and_gives_every_result_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The nodes share a processor: how busy it is must not make their shares uneven.
    monkeypatch.setenv("MREZA_LOAD_BALANCER__THRESHOLD", "1")
    async with running("a", "b", "c") as (a, b, c):
        done_by: dict[str, int] = {"b": 0, "c": 0}

        def offer(mesh: MeshNetwork, name: str) -> None:
            @mesh.process("square", idempotent=True)
            async def square(number: int) -> int:
                done_by[name] += 1
                return number * number

        offer(b, "b")
        offer(c, "c")
        await eventually_async(
            lambda: sum("square" in member.offers for member in a.members) == 2, "both offer it"
        )
        results = [result async for result in a.map("square", range(200), ordered=True)]
        assert [result.result for result in results] == [number * number for number in range(200)]
        assert {result.node for result in results} == {b.node_id, c.node_id}
        assert done_by == {"b": 100, "c": 100}


async def test_a_map_tells_how_far_each_item_is_and_why_it_went_where() -> None:
    async with running("a", "b") as (a, b):

        @b.process("steps")
        async def steps(count: int, context: CallContext) -> int:
            for step in range(count):
                context.progress(f"step {step}")
                await asyncio.sleep(0.06)  # more often than it is sent would be skipped
            if count == 3:
                raise ValueError("three")
            return count

        await offers(a, "b", "steps")
        told: dict[int, list[str]] = {}
        mapped = a.map(
            "steps", [1, 2, 3], on_item_progress=lambda i, v: told.setdefault(i, []).append(v)
        )
        results = {result.index: result async for result in mapped}
        assert {index: values[-1] for index, values in told.items()} == {
            0: "step 0",
            1: "step 1",
            2: "step 2",
        }
        failed = results[2].error
        assert isinstance(failed, RemoteError)
        ids = [results[0].call_id, results[1].call_id, failed.call_id]
        assert len(set(ids)) == 3
        for call_id in ids:
            assert f"work for 'steps' went to {b.node_id.short}" in a.load_balancer.why(call_id)


def test_the_command_maps_files(processes: Processes, tmp_path: Path) -> None:
    state = tmp_path / "state"
    processes.up("a", state=state, app="tests.support.apps:worker")
    files = []
    for number in range(5):
        path = tmp_path / f"{number}.json"
        path.write_text(json.dumps(f"text {number}"))
        files.append(str(path))
    told = mreza("map", "echo", *files, "--json", state=state)
    assert told.returncode == 0, told.stderr
    answer = json.loads(told.stdout)
    assert [item["input"] for item in answer["results"]] == files
    assert [item["result"] for item in answer["results"]] == [f"text {n}" for n in range(5)]
    bad = mreza("map", "echo", files[0], str(tmp_path / "none"), "--json", state=state)
    assert bad.returncode == 1
    first, second = json.loads(bad.stdout)["results"]
    assert first["result"] == "text 0"
    assert "cannot read" in second["error"]


async def test_a_call_may_have_its_own_strategy_and_a_second_worker() -> None:
    async with running("a", "b", "c") as (a, b, c):
        never = asyncio.Event()

        @b.process("answer", idempotent=True)
        async def stuck(_: int) -> str:
            await never.wait()
            return "never"

        @c.process("answer", idempotent=True)
        async def quick(_: int) -> str:
            return "c"

        await eventually_async(
            lambda: sum("answer" in member.offers for member in a.members) == 2, "both offer it"
        )
        for _ in range(4):
            # Round robin asks b every other time, and c when b is late.
            assert await a.call("answer", 1, strategy=Strategy.ROUND_ROBIN, hedge=0.05) == "c"
        with pytest.raises(ConfigError, match="ROUND_ROBIN"):
            await a.call("answer", 1, strategy="fastest")
