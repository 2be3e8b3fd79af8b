"""The demo's three nodes: processes of their own, joined by real tokens, in the line A-B-C."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import mreza
from mreza.cli.admission import join_mesh, make_mesh, make_token
from mreza.cli.client import Client, open_client
from mreza.cli.demo.worker import PROCESS
from mreza.cli.problems import CommandFailed, one_line
from mreza.node.control_protocol import Links, Nodes, Routes
from mreza.security.join_token import JoinToken

START_TIMEOUT_S = 30.0
"A cold start on a busy machine takes a few seconds."
STOP_TIMEOUT_S = 3.0
POLL_S = 0.05
TOKEN_TTL_S = 600
_READY = re.compile(r"ready node=(\S+) listen=(\S+)")


ONE_MACHINE = {"MREZA_LOAD_BALANCER__THRESHOLD": "1"}
"""The nodes share their processors: a busy one says nothing about who should do the next file, and
round robin stays even."""


class DemoNode:
    """One `mreza up` in a process of its own."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.state = folder / name
        self.log = folder / f"{name}.log"
        self.id = ""
        self.address = ""
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """The process id."""
        return -1 if self._process is None else self._process.pid

    @property
    def ended(self) -> bool:
        """True when the process is no more."""
        return self._process is not None and self._process.returncode is not None

    async def start(self, *, app: str, peers: tuple[str, ...], env: Mapping[str, str]) -> None:
        """Start the process and wait until it listens.

        Raises:
            CommandFailed: it did not, in time; the text ends with its last words.
        """
        command = [sys.executable, "-m", "mreza", "up", "--state", str(self.state)]
        command += ["--name", self.name, "--listen", "127.0.0.1:0", "--only-peers", "--no-lan"]
        command += ["--app", app, "--log-format", "json"]
        for peer in peers:
            command += ["--peer", peer]
        with self.log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=self.state,
                env=child_environment(ONE_MACHINE | dict(env)),
                # Ctrl-C is for the demo, which then ends its nodes in order.
                start_new_session=True,
            )
        output = self._process.stdout
        line = b""
        if output is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(START_TIMEOUT_S):
                    line = await output.readline()
        ready = _READY.match(line.decode(errors="replace"))
        if ready is None:
            raise CommandFailed(f"node {self.name} did not start: {self.last_words()}")
        self.id, self.address = ready.groups()

    async def client(self) -> Client:
        """A connection to the node's control socket."""
        return await open_client(self.state, self.name)

    async def ask(self, request: Any) -> Any:
        """One question over a connection of its own."""
        async with await self.client() as client:
            return await client.ask(request)

    def last_words(self) -> str:
        """The end of the node's log."""
        try:
            lines = self.log.read_text(errors="replace").splitlines()
        except OSError:
            lines = []
        return one_line(" | ".join(lines[-3:])[-600:]) or "its log is empty"

    def terminate(self) -> None:
        """Ask the process to end, by its id."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()

    async def end(self) -> None:
        """Wait for the end of a terminated process; one that hangs is killed."""
        process = self._process
        if process is None:
            return
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        finally:
            # asyncio leaves our end of the child's stdin to the garbage collector otherwise.
            process._transport.close()  # type: ignore[attr-defined]


class Line:
    """Nodes a, b and c, where a and c know only b. Left, all is gone: processes and folders."""

    def __init__(self, *, step: Callable[[str], None], env: Mapping[str, str]) -> None:
        self._step = step
        self._env = env
        self._folder = tempfile.TemporaryDirectory(prefix="mreza-demo-", ignore_cleanup_errors=True)
        folder = Path(self._folder.name)
        self.a, self.b, self.c = (DemoNode(name, folder) for name in "abc")

    @property
    def nodes(self) -> tuple[DemoNode, DemoNode, DemoNode]:
        """The nodes in the order of the line."""
        return self.a, self.b, self.c

    async def __aenter__(self) -> Self:
        try:
            await self._set_up()
        except BaseException:
            await self._tear_down()
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._tear_down()

    async def _set_up(self) -> None:
        worker, sender = "mreza.cli.demo.worker:offer_work", "mreza.cli.demo.worker:only_send"
        made = make_mesh(self.a.state, mesh="demo", name=self.a.name)
        self._step(f"mesh demo ({made['mesh']}) made; a is its authority")
        await self.a.start(app=sender, peers=(), env=self._env)
        self._started(self.a)
        for node, before in ((self.b, self.a), (self.c, self.b)):
            token = make_token(self.a.state, uses=1, ttl_s=TOKEN_TTL_S, role="member")["token"]
            started = time.monotonic()
            await join_mesh(node.state, JoinToken.parse(token), name=node.name)
            took_ms = (time.monotonic() - started) * 1000
            self._step(f"{node.name} joined with a token of its own in {took_ms:.0f} ms")
            await node.start(app=worker, peers=(before.address,), env=self._env)
            self._started(node, f", dials {before.name} and nobody else")
        await self._until_in_line()

    def _started(self, node: DemoNode, more: str = "") -> None:
        self._step(f"{node.name} runs: pid {node.pid}, listens on {node.address}{more}")

    async def _until_in_line(self) -> None:
        """Wait until a sees the work offered by b and c, and reaches c through b."""
        deadline = time.monotonic() + START_TIMEOUT_S
        async with await self.a.client() as client:
            while True:
                offers = {node["id"]: node["offers"] for node in await client.ask(Nodes())}
                routes = {route["destination"]: route for route in await client.ask(Routes())}
                links = [link["peer"] for link in await client.ask(Links())]
                offered = all(PROCESS in offers.get(node.id, ()) for node in (self.b, self.c))
                if offered and {self.b.id, self.c.id} <= routes.keys():
                    break
                ended = [node for node in self.nodes if node.ended]
                if ended or time.monotonic() > deadline:
                    words = "; ".join(f"{one.name}: {one.last_words()}" for one in self.nodes)
                    raise CommandFailed(f"the nodes did not find each other: {words}")
                await asyncio.sleep(POLL_S)
        route = routes[self.c.id]
        if links != [self.b.id] or route["next_hop"] != self.b.id:
            raise CommandFailed(f"the nodes are not in a line: links {links}, route to c {route}")
        self._step(f"a has one link, to b; its way to c has {route['hops']} hops, through b")

    async def _tear_down(self) -> None:
        for node in self.nodes:
            node.terminate()
        for node in self.nodes:
            await node.end()
        self._folder.cleanup()


def child_environment(more: Mapping[str, str]) -> dict[str, str]:
    """Our environment without settings meant for the user's own nodes, and with this package."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("MREZA_")}
    given = [entry for entry in env.get("PYTHONPATH", "").split(os.pathsep) if entry]
    path = [Path(entry).resolve() for entry in given]
    here = Path(mreza.__file__).resolve().parent.parent
    # Installed packages are found anyway, and must not come before the standard library.
    if str(here) not in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        path.insert(0, here)
    env["PYTHONPATH"] = os.pathsep.join(map(str, path))
    return env | dict(more)
