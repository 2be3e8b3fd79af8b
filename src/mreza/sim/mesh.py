"""Whole nodes in virtual time: every `MeshNetwork` as it is, on a network in memory.

    async def main(sim):
        a, b = await sim.grow("a", "b", app=register_handlers)
        sim.partition("a")
        await sim.sleep(60)

    sim = SimMesh(seed=7)
    sim.run(main(sim))

Each node has a host of its own, with an address, a disk and a clock. TLS, certificates, discovery,
routing, handlers: all is what runs on a real network. Equal seeds give equal runs, as far as the
program under test has no entropy of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import inspect
from collections.abc import Callable, Coroutine
from random import Random
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar

from mreza.config.mesh import MeshConfig
from mreza.errors import MeshError, NotRunning
from mreza.events import MemberState
from mreza.node.mesh import MeshNetwork
from mreza.sim.agenda import START_S
from mreza.sim.burial import Graveyard
from mreza.sim.disks import Disks
from mreza.sim.host import SimMachine
from mreza.sim.memory_net import LAN_LATENCY_S
from mreza.sim.net_loop import SimLoop
from mreza.sim.trust import Trust
from mreza.sim.words import NetworkWords

T = TypeVar("T")
App = Callable[[MeshNetwork], object]
"Registers handlers with a node before it starts; may be a coroutine function."
LIMIT_S = 86_400.0
"Virtual seconds after which a simulation is taken for one that waits for ever."
PORT = 7467
POLL_S = 0.01
CLOSE_S = 60.0
TEST = "test"
"The host on which `run` runs what it is given."


class _Program(NamedTuple):
    """How a node was started, to start it again."""

    app: App | None
    lan: str
    settings: dict[str, Any]


class SimMesh(NetworkWords):
    """Hosts, the network between them, and virtual time."""

    def __init__(
        self,
        *,
        seed: int = 0,
        config: MeshConfig | None = None,
        latency_s: float = LAN_LATENCY_S,
        limit_s: float | None = LIMIT_S,
    ) -> None:
        """`config` holds for every node unless `start` says otherwise; no environment counts."""
        self.seed = seed
        self.limit_s = limit_s
        self.nodes: dict[str, MeshNetwork] = {}
        "Nodes that were started by `start` and have not crashed, by name."
        self._config = config or MeshConfig()
        # TLS libraries compare certificates with the real time of day, so ours begins with it.
        self._wall = dt.datetime.combine(
            dt.datetime.now(dt.UTC).date(), dt.time(), dt.UTC
        ).timestamp()
        rng = Random(seed)  # noqa: S311 - a seeded world
        self.loop = SimLoop(rng, latency_s=latency_s)
        self.loop.limit_s = None if limit_s is None else START_S + limit_s
        super().__init__(self.loop.net, rng=rng)
        self._disks = Disks(seed=seed, trust=Trust(rng=rng, wall=self._wall), wall=self._wall)
        self._programs: dict[str, _Program] = {}
        self._graveyard = Graveyard()
        self._closed = False
        self._test = self.host(TEST)

    # Time.

    @property
    def digest(self) -> str:
        """Of all that was sent so far: equal for equal runs."""
        return self.net.digest

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end, on a host of its own; the rest of the mesh goes on meanwhile.

        Raises:
            Deadlock, OutOfTime, StuckOutside: it can never end.
        """
        __tracebackhide__ = True
        context = self._test.process.context.copy()
        task = self.loop.create_task(main, name="main", context=context)
        try:
            return self.loop.run_until_complete(task)
        except BaseException:
            if not task.done():
                task.cancel()
            raise

    def step(self, seconds: float = 0.1) -> None:
        """Let time pass, outside of coroutines."""
        self.run(asyncio.sleep(seconds))

    async def sleep(self, seconds: float) -> None:
        """Let time pass; the same as `asyncio.sleep`."""
        await asyncio.sleep(seconds)

    async def until(
        self, condition: Callable[[], object], what: str = "", *, within_s: float = 60.0
    ) -> float:
        """Wait until this is true, and return how long that took.

        Raises:
            AssertionError: it was not, within so many virtual seconds.
        """
        began = self.now
        while not (found := condition()):
            if self.now - began > within_s:
                name = what or getattr(condition, "__qualname__", repr(condition))
                raise AssertionError(f"{name}: still {found!r} after {within_s:g} virtual seconds")
            await asyncio.sleep(POLL_S)
        return self.now - began

    # Nodes.

    async def start(
        self, name: str, *, app: App | None = None, lan: str = "lan", **settings: Any
    ) -> MeshNetwork:
        """Start a node on a host of its own, and return it.

        It is a member of the mesh already. Nodes of one `lan` find each other by multicast; between
        two LANs say `discovery_config=DiscoveryConfig(peers=("other-host:7467",))`. `settings` are
        those of `MeshNetwork`.

        Raises:
            MeshError: a node of this name runs.
        """
        if name in self.nodes or name == TEST:
            raise MeshError(f"a simulated node {name!r} runs already")
        program = self._programs[name] = _Program(app, lan, settings)
        machine = self.host(name, lan=lan)
        if machine.process.is_dead:
            machine.new_process()
        self._disks.admit(name)
        context = machine.process.context.copy()
        self._tell(f"start {name}")
        started = self.loop.create_task(
            self._start(name, program), name=f"start {name}", context=context
        )
        return await started

    async def grow(self, *names: str, app: App | None = None, **settings: Any) -> list[MeshNetwork]:
        """Start several nodes, and wait until all nodes of the mesh see all."""
        nodes = [await self.start(name, app=app, **settings) for name in names]
        await self.agree()
        return nodes

    async def agree(self, *, within_s: float = 60.0) -> float:
        """Wait until all nodes that run see exactly each other alive; how long that took."""
        running = [name for name in self.nodes if self.net.machines[name].process.runs]
        return await self.until(
            lambda: all(sees(self.nodes[name]) == set(running) for name in running),
            f"all of {', '.join(running)} see each other",
            within_s=within_s,
        )

    async def stop(self, name: str) -> None:
        """Close a node in good order."""
        self._tell(f"stop {name}")
        node = self.nodes.pop(name)
        machine = self.net.machines[name]
        closing = self.loop.create_task(node.close(), context=machine.process.context.copy())
        await closing
        self._graveyard.add(machine.process.die(silently=False))
        self._disks.crashed(name)

    async def restart(self, name: str) -> MeshNetwork:
        """Start a node again, as it was started: with its disk, its app and its settings."""
        program = self._programs[name]
        return await self.start(name, app=program.app, lan=program.lan, **program.settings)

    async def bounce(self, name: str, *, after_s: float = 0.0) -> MeshNetwork:
        """Crash, and start again a moment later."""
        self.crash(name)
        await asyncio.sleep(after_s)
        return await self.restart(name)

    def spawn(
        self, name: str, program: Coroutine[Any, Any, T], *, lan: str = "lan"
    ) -> asyncio.Task[T]:
        """Run a program of yours on a host; what it opens, sockets and nodes, is there.

        A `MeshNetwork` that it makes is a member of the mesh, with the host's disk as its own.
        """
        machine = self.host(name, lan=lan)
        if machine.process.is_dead:
            machine.new_process()
        self._disks.admit(name)
        context = machine.process.context.copy()
        task = self.loop.create_task(program, name=f"program of {name}", context=context)
        task.add_done_callback(lambda _: self._ended(name, task))
        return task

    def host(self, name: str, *, lan: str = "lan") -> SimMachine:
        """The host of this name; made when asked for first."""
        machine = self.net.machines.get(name)
        if machine is None:
            machine = self.net.add(
                name,
                lan=lan,
                folder=self._disks.of(name),
                wall=self._wall,
                rng=Random(f"{self.seed}/host/{name}"),  # noqa: S311 - a seeded world
            )
        return machine

    # What goes wrong with hosts.

    def crash(self, name: str, *, silently: bool = False) -> None:
        """Kill the process of a host at once, as `kill -9` does: it says nothing to nobody.

        Its kernel closes its connections and refuses new ones; `silently`, the power fails, and
        nothing answers at all.
        """
        self._tell(f"crash {name}" + (" silently" if silently else ""))
        machine = self.net.machines[name]
        self._graveyard.add(machine.process.die(silently=silently))
        node = self.nodes.pop(name, None)
        if node is not None:
            self._graveyard.add_node(node)
            node._life.killed(NotRunning(f"the simulated node {name!r} crashed"))
        self._disks.crashed(name)

    def freeze(self, name: str) -> None:
        """Let nothing of a host's process run, as SIGSTOP does; its kernel goes on."""
        self._tell(f"freeze {name}")
        self.net.machines[name].process.freeze()

    def thaw(self, name: str) -> None:
        """Let a frozen process go on where it was."""
        self._tell(f"thaw {name}")
        self.net.machines[name].process.thaw()

    def skew(self, name: str, seconds: float) -> None:
        """Set a host's wall clock so much before the true time (negative: behind)."""
        self._tell(f"skew {name} by {seconds:g} s")
        self.net.machines[name].clock.skew_s = seconds

    # The end.

    def close(self) -> None:
        """Close every node in good order, and remove all disks."""
        if self._closed:
            return
        self._closed = True
        self.loop.limit_s = None
        for machine in self.net.machines.values():
            machine.process.thaw()
        self.repair()
        try:
            # A node that does not close is the finding of another test.
            with contextlib.suppress(TimeoutError):
                self.run(self._close())
        finally:
            for machine in self.net.machines.values():
                self._graveyard.add(machine.process.die(silently=False))
            self._graveyard.bury(self.loop)
            self.loop.close()
            self._disks.remove()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # Inside.

    async def _start(self, name: str, program: _Program) -> MeshNetwork:
        settings = {"listen": f"0.0.0.0:{PORT}", **program.settings}
        node = MeshNetwork(name=name, config=settings.pop("config", self._config), **settings)
        if program.app is not None:
            registered = program.app(node)
            if inspect.isawaitable(registered):
                await registered
        await node.initialize()
        self.nodes[name] = node
        return node

    async def _close(self) -> None:
        nodes, self.nodes = self.nodes, {}
        closing = [
            self.loop.create_task(
                node.close(), context=self.net.machines[name].process.context.copy()
            )
            for name, node in nodes.items()
        ]
        async with asyncio.timeout(CLOSE_S):
            await asyncio.gather(*closing, return_exceptions=True)
        mine = asyncio.current_task()
        left = [task for task in self._graveyard.living(self.loop) if task is not mine]
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=CLOSE_S / 2)
        await self.loop.shutdown_asyncgens()

    def _ended(self, name: str, task: asyncio.Task[Any]) -> None:
        """The program of a host is over; if it raised, whoever looks for a reason sees that."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self._tell(f"program of {name} raised {error!r}")


def sees(node: MeshNetwork) -> set[str]:
    """Names of the nodes that this one takes for alive, itself included."""
    return {member.name for member in node.members if member.state is MemberState.ALIVE}
