"""The systems under test: each a few processes, started once and measured again and again."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Any, Self

from benchmarks.child import ANSWER_LIMIT
from benchmarks.figures import Case, Measured
from mreza.security.authority import Authority, create_mesh
from mreza.security.credentials import to_pem
from mreza.security.identity import Identity

ROOT = Path(__file__).resolve().parents[1]
IN_FLIGHT = 100
NEAR, FAR, RELAY = "near", "far", "relay"


class Child:
    """One process that obeys; see child.py."""

    def __init__(self, process: asyncio.subprocess.Process, what: str) -> None:
        self._process = process
        self._what = what

    @classmethod
    async def start(cls, kind: str, *, what: str) -> Self:
        paths = [str(ROOT), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "benchmarks.child",
            kind,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=ANSWER_LIMIT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        )
        return cls(process, what)

    async def ask(self, do: str, **more: Any) -> dict[str, Any]:
        """One command, one answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": do, **more}).encode() + b"\n")
        line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the {self._what} process ended while doing {do!r}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def end(self) -> None:
        """Let it close; kill it if it does not."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(10):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


class System:
    """Processes by role. The near end does what a case says, the far end counts or sends back."""

    def __init__(self, name: str, children: dict[str, Child]) -> None:
        self.name = name
        self._children = children

    async def run(self, case: Case, *, seconds: float) -> Measured:
        """One measurement, CPU time of every process included."""
        near, far = self._children[NEAR], self._children[FAR]
        if case.do in ("round_trips", "calls_many"):
            await far.ask("echo")
        else:
            await far.ask("count", size=case.size)
        for child in self._children.values():
            await child.ask("mark")
        more = {"in_flight": IN_FLIGHT} if case.do == "calls_many" else {}
        done = await near.ask(case.do, size=case.size, seconds=seconds, **more)
        if case.do == "one_way":
            there = await far.ask("received", count=done["sent"])
            done = {"messages": done["sent"], "seconds": there["at"] - done["at"]}
        cpu_us = {
            role: (await child.ask("cpu"))["cpu_s"] * 1e6 / done["messages"]
            for role, child in self._children.items()
        }
        return Measured(
            messages=done["messages"],
            seconds=done["seconds"],
            cpu_us=cpu_us,
            p50_us=done.get("p50_us"),
            p99_us=done.get("p99_us"),
        )


@contextlib.asynccontextmanager
async def children(kind: str, *roles: str) -> AsyncIterator[dict[str, Child]]:
    """Processes of one kind, ended with the block."""
    started: dict[str, Child] = {}
    try:
        for role in roles:
            started[role] = await Child.start(kind, what=f"{kind} {role}")
        yield started
    finally:
        for child in started.values():
            await child.end()


@contextlib.asynccontextmanager
async def mesh(folder: Path) -> AsyncIterator[System]:
    """Two nodes that share a state directory, linked directly."""
    state = str(folder / "mesh")
    common: dict[str, Any] = {"state": state, "peers": [], "only_peers": False}
    async with children("mesh", FAR, NEAR) as nodes:
        await nodes[FAR].ask("open", name=FAR, expect=[], **common)
        await nodes[NEAR].ask("open", name=NEAR, expect=[NEAR, FAR], **common)
        await nodes[NEAR].ask("aim", name=FAR)
        yield System("mreza", nodes)


@contextlib.asynccontextmanager
async def mesh_line(folder: Path) -> AsyncIterator[System]:
    """Three nodes in a line: the ends have no link."""
    common: dict[str, Any] = {"state": str(folder / "line"), "only_peers": True}
    async with children("mesh", RELAY, FAR, NEAR) as nodes:
        opened = await nodes[RELAY].ask("open", name=RELAY, peers=[], expect=[], **common)
        common["peers"] = [opened["address"]]
        await nodes[FAR].ask("open", name=FAR, expect=[RELAY], **common)
        await nodes[NEAR].ask("open", name=NEAR, expect=[RELAY, FAR], **common)
        await nodes[NEAR].ask("aim", name=FAR)
        yield System("mreza, one relay", nodes)


@contextlib.asynccontextmanager
async def tls(kind: str, folder: Path) -> AsyncIterator[System]:
    """Two processes, one TLS connection."""
    roots, pems = certificates(folder / kind)
    async with children(kind, FAR, NEAR) as ends:
        there = await ends[FAR].ask("open", pem=pems[FAR], roots=roots)
        await ends[NEAR].ask("open", pem=pems[NEAR], roots=roots, address=there["address"])
        yield System(kind, ends)


def certificates(folder: Path) -> tuple[str, dict[str, str]]:
    """A root and two members of it, as files: the same kind of certificate as ours."""
    folder.mkdir()
    wall = time.time()
    secrets = create_mesh("benchmark", wall=wall)
    authority = Authority(secrets.authority_key_pem, secrets.authority_der, secrets.root_der)
    roots = folder / "roots.pem"
    roots.write_bytes(to_pem([secrets.root_der]))
    pems = {}
    for role in (NEAR, FAR):
        identity = Identity.generate()
        chain = authority.issue(identity.public_key, name=role, wall=wall)
        file = folder / f"{role}.pem"
        file.touch(mode=0o600)
        file.write_bytes(identity.to_pem() + to_pem(chain))
        pems[role] = str(file)
    return str(roots), pems


@contextlib.asynccontextmanager
async def all_systems(folder: Path, wanted: set[str]) -> AsyncIterator[dict[str, System]]:
    """Those of the systems that are wanted, by name, running side by side."""
    makers: dict[str, Callable[[Path], AbstractAsyncContextManager[System]]] = {
        "mreza": mesh,
        "mreza, one relay": mesh_line,
        **{kind: partial(tls, kind) for kind in ("tls-blocks", "tls-batches", "tls-streams")},
    }
    async with contextlib.AsyncExitStack() as stack:
        yield {
            name: await stack.enter_async_context(make(folder))
            for name, make in makers.items()
            if name in wanted
        }
