"""The demo's five nodes: processes of their own, joined by real tokens, in a line with a detour."""

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
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import mreza
from mreza.cli.admission import join_mesh, make_mesh, make_token
from mreza.cli.client import Client, open_client
from mreza.cli.demo.worker import PROCESS
from mreza.cli.problems import CommandFailed, one_line
from mreza.node.control_endpoint import control_path
from mreza.node.control_protocol import Nodes, Routes
from mreza.security.join_token import JoinToken

START_TIMEOUT_S = 30.0
"A cold start on a busy machine takes a few seconds."
STOP_TIMEOUT_S = 3.0
POLL_S = 0.05
SENDER = "mreza.cli.demo.worker:only_send"
WORKER = "mreza.cli.demo.worker:offer_work"
TOKEN_TTL_S = 600
_READY = re.compile(r"ready node=(\S+) listen=(\S+)")


ONE_MACHINE = {"MREZA_LOAD_BALANCER__THRESHOLD": "1"}
"""The nodes share their processors: a busy one says nothing about who should do the next file, and
round robin stays even."""


class DemoNode:
    """One `mreza up` in a process of its own; killed, it can be started again under its name."""

    def __init__(self, name: str, folder: Path, *, state: Path | None = None) -> None:
        """`state`: a state directory that several share; else it has one of its own in `folder`."""
        self.name = name
        self.state = state or folder / name
        self.log = folder / f"{name}.log"
        self.id = ""
        self.address = ""
        self.pids: list[int] = []
        "Of all its lives, the newest last."
        self._command: list[str] = []
        self._env: dict[str, str] = {}
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """The process id, of the last life if it is over."""
        return self.pids[-1] if self.pids else -1

    @property
    def ended(self) -> bool:
        """True when the process is no more."""
        return self._process is not None and self._process.returncode is not None

    async def start(
        self, *, app: str, peers: tuple[str, ...] | None, env: Mapping[str, str]
    ) -> None:
        """Start the process and wait until it listens.

        It dials `peers` and nobody else; None: all that share its state directory.

        Raises:
            CommandFailed: it did not, in time; the text ends with its last words.
        """
        self._command = [sys.executable, "-m", "mreza", "up", "--state", str(self.state)]
        self._command += ["--name", self.name, "--no-lan", "--no-mdns", "--app", app]
        self._command += ["--log-format", "json"]
        if peers is not None:
            self._command.append("--only-peers")
        for peer in peers or ():
            self._command += ["--peer", peer]
        self._env = child_environment(ONE_MACHINE | dict(env))
        await self._run("127.0.0.1:0")

    async def start_again(self) -> None:
        """After `kill`: the same command, listening where its neighbors look for it.

        Raises:
            CommandFailed: as `start`.
        """
        await self._run(self.address)

    async def kill(self) -> None:
        """`kill -9`: no goodbye."""
        process = self._process
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await self._reap(process)

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
        finally:
            await self._reap(process)

    async def _run(self, listen: str) -> None:
        with self.log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                "--listen",
                listen,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=self.state,
                env=self._env,
                # Ctrl-C is for the demo, which then ends its nodes in order.
                start_new_session=True,
            )
        self._process = process
        self.pids.append(process.pid)
        line = b""
        if process.stdout is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(START_TIMEOUT_S):
                    line = await process.stdout.readline()
        ready = _READY.match(line.decode(errors="replace"))
        if ready is None:
            raise CommandFailed(f"node {self.name} did not start: {self.last_words()}")
        self.id, self.address = ready.groups()

    async def _reap(self, process: asyncio.subprocess.Process) -> None:
        await process.wait()
        # asyncio leaves our end of the child's stdin to the garbage collector otherwise.
        process._transport.close()  # type: ignore[attr-defined]


class Detour:
    """Nodes 1 to 4 in a line, and node 5, which links its two ends: a way around each of them.

    From node 1, which sends, nodes 2 and 5 are neighbors; 3 is behind 2, and 4 behind 5. No two
    ways are equally long, so it is certain which relay a file crosses, and where it goes when that
    one is lost. Left, all is gone: processes and folders.
    """

    def __init__(self, *, step: Callable[[str], None], env: Mapping[str, str]) -> None:
        self._step = step
        self._env = env
        self._folder = tempfile.TemporaryDirectory(prefix="mreza-demo-", ignore_cleanup_errors=True)
        folder = Path(self._folder.name)
        self.nodes = [DemoNode(f"node-{number}", folder) for number in range(1, 6)]
        self.sender, self.relay, self.far, _, _ = self.nodes
        self.workers = self.nodes[1:]

    def behind_a_relay(self, node: str) -> bool:
        """Whether what the sender has for this node (by id) crosses another."""
        return node in (self.nodes[2].id, self.nodes[3].id)

    async def ways(self) -> dict[str, str]:
        """Through which neighbor the sender reaches each node now; ids."""
        return {
            route["destination"]: route["next_hop"] for route in await self.sender.ask(Routes())
        }

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
        first = self.sender
        made = make_mesh(first.state, mesh="demo", name=first.name)
        self._step(f"mesh demo ({made['mesh']}) made; {first.name} is its authority")
        await first.start(app=SENDER, peers=(), env=self._env)
        self._started(first, "sends")
        started = time.monotonic()
        for node in self.workers:
            token = make_token(first.state, uses=1, ttl_s=TOKEN_TTL_S, role="member")["token"]
            await join_mesh(node.state, JoinToken.parse(token), name=node.name)
        took_ms = (time.monotonic() - started) * 1000
        self._step(f"four more joined, each with a token of its own, in {took_ms:.0f} ms")
        for before, node in pairwise(self.nodes):
            peers = [before, first] if node is self.nodes[-1] else [before]
            addresses = tuple(peer.address for peer in peers)
            await node.start(app=WORKER, peers=addresses, env=self._env)
            self._started(node, "dials " + " and ".join(peer.name for peer in peers))
        await self._until_linked()

    def _started(self, node: DemoNode, more: str) -> None:
        self._step(f"{node.name} runs: pid {node.pid}, listens on {node.address}, {more}")

    async def _until_linked(self) -> None:
        """Wait until the sender sees the work that all offer, and the ways to them."""
        _, two, three, four, five = self.nodes
        expected = {two.id: two.id, three.id: two.id, four.id: five.id, five.id: five.id}
        deadline = time.monotonic() + START_TIMEOUT_S
        async with await self.sender.client() as client:
            while True:
                offers = {node["id"]: node["offers"] for node in await client.ask(Nodes())}
                ways = {
                    route["destination"]: route["next_hop"] for route in await client.ask(Routes())
                }
                offered = all(PROCESS in offers.get(node.id, ()) for node in self.workers)
                if offered and ways == expected:
                    break
                ended = [node for node in self.nodes if node.ended]
                if ended or time.monotonic() > deadline:
                    words = "; ".join(f"{one.name}: {one.last_words()}" for one in self.nodes)
                    raise CommandFailed(f"the nodes did not find each other: {words}")
                await asyncio.sleep(POLL_S)
        self._step("node-1 has two links: to node-3 it goes via node-2, to node-4 via node-5")

    async def _tear_down(self) -> None:
        for node in self.nodes:
            node.terminate()
        for node in self.nodes:
            await node.end()
            # Where our folder's path is too long for a socket, a killed node's lies elsewhere.
            control_path(node.state / "nodes" / node.name).unlink(missing_ok=True)
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
