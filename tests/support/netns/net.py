"""The owner of everything that one test, or one measurement, makes."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from mreza.node.state import open_node
from tests.support.netns.commands import in_namespace, ip, ip_batch
from tests.support.netns.hosts import Host
from tests.support.netns.keeper_protocol import REPLY, Command, End, MakeWire, Reply
from tests.support.netns.lans import Lan
from tests.support.netns.names import Owner, remove, remove_leftovers
from tests.support.netns.neighbours import raise_limits, restore_limits
from tests.support.netns.possible import why_not
from tests.support.netns.wires import Wire
from tests.support.processes import ROOT, Processes, child_environment

DELAY_S = 0.005
"Of a wire, in each direction, unless said."
CLOSE_S = 30.0
_SERIALS = itertools.count(1)
_LABEL_MAX = 12


class Net:
    """Hosts, wires and LANs; all gone after `close`, also if this process dies before."""

    def __init__(self, folder: Path, *, seed: int = 0) -> None:
        """Files of the nodes go into `folder`; `seed` decides which frames a lossy wire loses."""
        if refusal := why_not():
            raise RuntimeError(refusal)
        remove_leftovers()
        restore_limits()
        self.run = f"{Owner.this_process()}.{next(_SERIALS)}"
        "What the names of its namespaces begin with."
        self._folder = folder
        self._seed = seed
        self.processes = Processes(folder / "processes")
        self.hosts: dict[str, Host] = {}
        self.wires: dict[frozenset[str], Wire] = {}
        self.lans: list[Lan] = []
        self._turn = threading.Lock()
        self._switch = self._namespace("switch")
        try:
            ip("netns", "add", self._switch)
            self._keeper = self._start_keeper()
        except BaseException:
            remove(self._switch)
            raise

    def host(self, name: str) -> Host:
        """A machine with nothing but loopback, whose nodes are members of the net's mesh."""
        return self.more_hosts([name])[0]

    def more_hosts(self, names: Sequence[str]) -> list[Host]:
        """As `host`, many."""
        # DAD would keep the IPv6 addresses back for a second: these machines have been on for long.
        settings = "echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad"
        for name in names:
            namespace = self._namespace(name)
            state = self._folder / "hosts" / name
            host = Host(name, namespace=namespace, state=state, processes=self.processes)
            self.hosts[name] = host
            ip("netns", "add", namespace)
            subprocess.run([*in_namespace(namespace), "sh", "-c", settings], check=True)
            ip_batch(["link set dev lo up"], namespace=namespace)
            self._admit(name, state)
        return [self.hosts[name] for name in names]

    def wire(self, first: Host, second: Host, *, delay_s: float = DELAY_S) -> Wire:
        """A wire between two hosts, with an address at each end."""
        number = len(self.wires)
        ends = []
        for host, other in ((first, second), (second, first)):
            ends.append(End(host.namespace, f"to-{other.name[:_LABEL_MAX]}"))
        self._tell(
            MakeWire(
                wire=number, ends=(ends[0], ends[1]), delay_s=delay_s, seed=self._seed + number
            )
        )
        for side, (host, other) in enumerate(((first, second), (second, first))):
            address = f"10.{100 + number // 250}.{number % 250}.{side + 1}"
            interface = ends[side].interface
            ip_batch(
                [f"address add {address}/30 dev {interface}", f"link set dev {interface} up"],
                namespace=host.namespace,
            )
            host.plug(other.name, interface=interface, address=address)
        made = Wire(number, first, second, self._tell)
        self.wires[frozenset((first.name, second.name))] = made
        return made

    def lan(self, name: str, hosts: Sequence[Host]) -> Lan:
        """A switch with these hosts."""
        raise_limits()
        made = Lan(name, number=len(self.lans) + 1, switch=self._switch)
        self.lans.append(made)
        made.plug(hosts)
        return made

    def between(self, first: str, second: str) -> Wire:
        """The wire between two hosts."""
        return self.wires[frozenset((first, second))]

    def close(self) -> None:
        """End the nodes, then all namespaces."""
        self.processes.close()
        assert self._keeper.stdin is not None
        assert self._keeper.stdout is not None
        with self._keeper.stdin, self._keeper.stdout, contextlib.suppress(BrokenPipeError):
            self._keeper.stdin.close()
            self._keeper.wait(CLOSE_S)
        if self._keeper.returncode:
            raise RuntimeError(f"the keeper ended with {self._keeper.returncode}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _start_keeper(self) -> subprocess.Popen[bytes]:
        home = os.open("/proc/self/ns/net", os.O_RDONLY)
        try:
            module = (sys.executable, "-m", "tests.support.netns.keeper", self.run, str(home))
            return subprocess.Popen(
                [*in_namespace(self._switch), *module],
                cwd=ROOT,
                env=child_environment(self._folder),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=(home,),
            )
        finally:
            os.close(home)

    def _namespace(self, label: str) -> str:
        return f"{self.run}.{label}"

    def _tell(self, command: Command) -> Reply:
        """One command to the keeper, and its answer."""
        assert self._keeper.stdin is not None
        assert self._keeper.stdout is not None
        with self._turn:
            self._keeper.stdin.write(msgspec.json.encode(command) + b"\n")
            self._keeper.stdin.flush()
            line = self._keeper.stdout.readline()
        if not line:
            raise RuntimeError(f"the keeper ended with {self._keeper.wait(CLOSE_S)}")
        reply = REPLY.decode(line)
        if reply.error:
            raise RuntimeError(reply.error)
        return reply

    def _admit(self, name: str, state: Path) -> None:
        """Give the host a state directory as `mreza join` leaves it: no authority's key in it."""
        authority = self._folder / "authority"
        open_node(authority, name, mesh_name="netns", wall=time.time()).close()
        kept = shutil.ignore_patterns("authorities", "root.key", "tokens", "lock", "audit.log")
        shutil.copytree(authority / "mesh", state / "mesh", ignore=kept)
        shutil.copytree(authority / "nodes" / name, state / "nodes" / name)
