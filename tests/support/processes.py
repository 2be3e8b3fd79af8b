"""Nodes in processes of their own: start, ask, read logs, kill, freeze; none outlives its test."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mreza.errors import MeshError
from mreza.node.control_endpoint import control_path
from mreza.node.control_protocol import (
    Answer,
    Links,
    Nodes,
    Request,
    Snapshot,
    Trouble,
    decode_answer,
    encode_line,
)
from tests.support.eventually import GENEROUS_S, eventually

ROOT = Path(__file__).resolve().parents[2]
OUTPUT = "TEST_OUTPUT"
"Environment variable of a node process: where its app (tests/support/apps.py) writes what it sees."
ASK_TIMEOUT_S = 60.0
LOG_TAIL = 4000
_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


class AskFailed(MeshError):
    """The node answered that it could not; `trouble` is its answer."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(f"{trouble.type}: {trouble.text}")
        self.trouble = trouble


class NodeProcess:
    """A node run by `mreza up`."""

    def __init__(
        self, name: str, *, state: Path, folder: Path, process: subprocess.Popen[bytes]
    ) -> None:
        self.name = name
        self.state = state
        self.folder = folder
        "Its log, and what its app wrote."
        self.process = process
        self.listen = ""
        self.node_id = ""

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    @property
    def log(self) -> str:
        """All that it logged, without colours."""
        return _ESCAPES.sub("", (self.folder / "log").read_text(errors="replace"))

    def log_lines(self, *words: str) -> list[str]:
        """Lines of the log that contain all the words."""
        return [line for line in self.log.splitlines() if all(word in line for word in words)]

    def wait_for_log(self, *words: str, timeout_s: float = GENEROUS_S) -> str:
        """The first line of the log with all the words, once it is there."""
        found = eventually(
            lambda: self.log_lines(*words), f"{self.name} logs {words}", timeout_s=timeout_s
        )
        return found[0]

    def output(self, file: str) -> bytes:
        """What its app wrote into this file so far."""
        path = self.folder / file
        return path.read_bytes() if path.exists() else b""

    def ready(self, *, timeout_s: float = GENEROUS_S) -> NodeProcess:
        """Wait for the line `ready node=… listen=…`."""

        def line() -> str:
            if not self.running:
                raise AssertionError(
                    f"{self.name} ended with {self.process.returncode}:\n{self.log}"
                )
            lines = (self.folder / "out").read_text().splitlines()
            return next((line for line in lines if line.startswith("ready ")), "")

        fields = dict(
            pair.split("=", 1)
            for pair in eventually(line, f"{self.name} is ready", timeout_s=timeout_s).split()[1:]
        )
        self.node_id, self.listen = fields["node"], fields["listen"].split(",")[0]
        return self

    def ask(self, request: Request, *, timeout_s: float = ASK_TIMEOUT_S) -> Any:
        """One request over its control socket; AskFailed if it says that it cannot.

        Blocks: inside a running loop say `await asyncio.to_thread(node.ask, …)`.
        """
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout_s)
            connection.connect(os.fspath(control_path(self.state / "nodes" / self.name)))
            connection.sendall(encode_line(request))
            answer: Answer = decode_answer(connection.makefile("rb").readline())
        if isinstance(answer.error, Trouble):
            raise AskFailed(answer.error)
        return answer.result

    def snapshot(self) -> dict[str, Any]:
        counters: dict[str, Any] = self.ask(Snapshot())
        return counters

    def peers(self) -> set[str]:
        """Names at the other ends of its links."""
        return {link["name"] for link in self.ask_links()}

    def ask_links(self) -> list[dict[str, Any]]:
        """The JSON of `mreza links`."""
        links: list[dict[str, Any]] = self.ask(Links())
        return links

    def alive(self) -> set[str]:
        """Names of the members it sees alive, itself included."""
        return {member["name"] for member in self.ask(Nodes()) if member["state"] == "alive"}

    def sees(self, *names: str, timeout_s: float = GENEROUS_S) -> NodeProcess:
        """Wait until it sees all of these alive."""
        eventually(
            lambda: set(names) <= self.alive(), f"{self.name} sees {names}", timeout_s=timeout_s
        )
        return self

    def sees_just(self, *names: str, timeout_s: float = GENEROUS_S) -> NodeProcess:
        """Wait until it sees these alive and nobody else."""
        eventually(
            lambda: self.alive() == set(names), f"{self.name} sees {names}", timeout_s=timeout_s
        )
        return self

    def kill(self) -> None:
        """`kill -9`: no goodbye."""
        self.process.kill()
        self.process.wait()

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def stop(self, *, timeout_s: float = GENEROUS_S) -> int:
        """SIGTERM and wait; its exit status."""
        self.process.terminate()
        return self.process.wait(timeout_s)

    def wait(self, *, timeout_s: float = GENEROUS_S) -> int:
        """Wait until it ends by itself; its exit status."""
        return self.process.wait(timeout_s)


class Processes:
    """Owns every node process of one test. `close` leaves none, whatever state they are in."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._nodes: list[NodeProcess] = []

    def up(
        self,
        name: str,
        *,
        state: Path,
        peers: Iterable[str] = (),
        only_peers: bool = False,
        app: str | None = None,
        listen: str | None = None,
        options: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        without: Iterable[str] = (),
        within: Sequence[str] = (),
        wait: bool = True,
    ) -> NodeProcess:
        """Start `mreza up` and, with `wait`, let it become ready.

        `within` is put before the command; `without` are variables that it does not inherit.
        """
        arguments = ["up", "--name", name, *options]
        for peer in peers:
            arguments += ["--peer", peer]
        if only_peers:
            arguments.append("--only-peers")
        if listen is not None:
            arguments += ["--listen", listen]
        if app is not None:
            arguments += ["--app", app]
        folder = self._folder / f"{len(self._nodes):02}-{name}"
        folder.mkdir(parents=True)
        inherited = child_environment(state)
        for variable in without:
            inherited.pop(variable, None)
        inherited |= {OUTPUT: str(folder), **(env or {})}
        with (folder / "log").open("wb") as log, (folder / "out").open("wb") as out:
            process = subprocess.Popen(
                [*within, sys.executable, "-m", "mreza", *arguments],
                cwd=ROOT,
                env=inherited,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=log,
            )
        node = NodeProcess(name, state=state, folder=folder, process=process)
        self._nodes.append(node)
        return node.ready() if wait else node

    def close(self) -> None:
        """Kill what still runs; print the end of each log, which pytest shows of failed tests."""
        for node in self._nodes:
            if node.running:
                with contextlib.suppress(ProcessLookupError):
                    node.process.kill()
        for node in self._nodes:
            node.process.wait()
            print(f"--- {node.folder.name} (status {node.process.returncode})")
            print(node.log[-LOG_TAIL:])


def child_environment(state: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a child process that uses this state directory and this source tree."""
    paths = [str(ROOT / "src"), str(ROOT)]
    if inherited := os.environ.get("PYTHONPATH"):
        paths.append(inherited)
    return {
        **os.environ,
        "MREZA_STATE": str(state),
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONUNBUFFERED": "1",
        **(extra or {}),
    }


def mreza(
    *arguments: str, state: Path, timeout_s: float = ASK_TIMEOUT_S
) -> subprocess.CompletedProcess[str]:
    """Run one command of the command line to its end."""
    return subprocess.run(
        [sys.executable, "-m", "mreza", *arguments],
        cwd=ROOT,
        env=child_environment(state),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def done(ended: subprocess.CompletedProcess[str]) -> str:
    """The output of a command that must have worked."""
    assert ended.returncode == 0, f"{ended.args}: {ended.returncode}\n{ended.stdout}{ended.stderr}"
    return ended.stdout.strip()


def free_port() -> int:
    """A TCP port of loopback that nobody uses now, for a node that must come back to it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port
