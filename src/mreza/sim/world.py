"""A mesh in virtual time: whole node cores, modelled links. No socket, no sleep.

Build it (`add`, `link`, `line`, `grow`), break it (`crash`, `partition`, `freeze`, …), let time
pass (`run`, `run_until`, `step`), and ask. Equal seeds give equal runs.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from random import Random

from mreza.config.mesh import MeshConfig
from mreza.planes.effects import RunHandler
from mreza.sim.agenda import START_S, Agenda
from mreza.sim.latency import latency
from mreza.sim.lies import Frame
from mreza.sim.link import SimLink, Way
from mreza.sim.network import Liveness, Network
from mreza.sim.node import Disk, Handled, SimNode
from mreza.sim.recorder import Recorder
from mreza.sim.shared_reader import SharedReader
from mreza.sim.trust import Trust
from mreza.wire.frame import FrameType

Side = str | Iterable[str]
"A node's name, or several."
Tap = Callable[[Way, int, bytes], None]
"Hears of every frame that is put on a way: (way, kind, body)."
_FRAMES = {int(kind): kind.name.lower() for kind in FrameType}
_HALF = "partitioned"
_CUT = "cut"
_HELD = "held"


class World:
    """Nodes, links and a clock; everything that happens is an entry of one agenda."""

    def __init__(
        self, *, seed: int = 0, config: MeshConfig | None = None, liveness: Liveness = "modelled"
    ) -> None:
        """`liveness`: "real" sends the probes of each link, and costs many times as much."""
        self.seed = seed
        self.rng = Random(seed)  # noqa: S311 - a seeded world
        self.agenda = Agenda()
        self.config = config or MeshConfig()
        self.trust = Trust(rng=self.rng, wall=self.wall)
        self.reader = SharedReader()
        self.network = Network(
            agenda=self.agenda, config=self.config, rng=self.rng, liveness=liveness
        )
        self.nodes: dict[str, SimNode] = {}
        self.recorder: Recorder | None = None
        self.taps: list[Tap] = []
        self.cloned: set[str] = set()
        "Nodes that had a second process beside them: others cannot tell which of two they heard."
        self.hears_handled: list[Callable[[SimNode, Handled], None]] = []
        self.hears_begun: list[Callable[[SimNode, RunHandler], None]] = []
        self.hears_claims: list[Callable[[str, int, int, str], None]] = []
        "(service, copy, epoch, owner) of every node that begins to own a copy."
        self.instants = 0
        "Moments at which something happened."

    @property
    def now(self) -> float:
        """Seconds; a world begins at 1000."""
        return self.agenda.now

    @property
    def wall(self) -> float:
        """True time of day."""
        return self.agenda.wall

    @property
    def links(self) -> dict[tuple[str, str], SimLink]:
        return self.network.links

    # Building.

    def add(self, *names: str) -> list[SimNode]:
        """Start new nodes."""
        for name in names:
            self._start(name, Disk(self.trust.identity()))
        return [self.nodes[name] for name in names]

    def link(
        self,
        a: str,
        b: str,
        *,
        delay_s: float = 0.005,
        loss: float = 0.0,
        distribution: str = "fixed",
        jitter: float = 0.0,
    ) -> SimLink:
        """Let two nodes have a link from now on."""
        link = self.network.add(self.nodes[a], self.nodes[b], delay_s=delay_s)
        for way in link.ways:
            way.draw = latency(distribution, median_s=delay_s, jitter=jitter, rng=self.rng)
            way.loss = loss
        self.network.dial(link)
        return link

    def line(self, *names: str, delay_s: float = 0.005, loss: float = 0.0) -> list[SimNode]:
        """New nodes, each linked to the next."""
        nodes = self.add(*names)
        for a, b in itertools.pairwise(names):
            self.link(a, b, delay_s=delay_s, loss=loss)
        return nodes

    def grow(self, count: int, *, degree: int = 3) -> World:
        """A connected random mesh of `count` nodes called n0, n1 and so on."""
        self.add(*(f"n{i}" for i in range(count)))
        for i in range(1, count):
            for j in self.rng.sample(range(i), min(i, degree)):
                self.link(f"n{i}", f"n{j}", delay_s=self.rng.uniform(0.001, 0.02))
        return self

    def clone(self, original: str, name: str) -> SimNode:
        """Start a copy of a node's disk: the same key and boot counter, in another process."""
        source = self.nodes[original]
        self.cloned.add(original)
        copy = self.nodes[name] = SimNode(self, name, source.disk.copy())
        copy.processes, copy.on_message = dict(source.processes), source.on_message
        copy.handler_s = source.handler_s
        copy.start()
        return copy

    def remove(self, name: str) -> None:
        """Take a node and its links out of the world."""
        self.nodes[name].die()
        self.network.remove(name)
        del self.nodes[name]

    # Breaking. What is cut is noticed by both ends after a while.

    def cut(self, a: str, b: str) -> None:
        """Frames between two nodes vanish."""
        for way in self._ways(a, b):
            self.network.block(way, _CUT)

    def partition(self, side: Side, rest: Side | None = None) -> None:
        """Cut every link between two sides (default: all others)."""
        here, there = self._sides(side, rest)
        for way in [*self.network.crossing(here, there), *self.network.crossing(there, here)]:
            self.network.block(way, _CUT)

    def partition_oneway(self, side: Side, rest: Side | None = None) -> None:
        """Frames from a side to the rest vanish; those of the other direction arrive."""
        for way in list(self.network.crossing(*self._sides(side, rest))):
            self.network.block(way, _CUT)

    def repair(self, side: Side, rest: Side | None = None) -> None:
        """Whatever stops frames between two sides, both ways, stops them no more."""
        here, there = self._sides(side, rest)
        for way in [*self.network.crossing(here, there), *self.network.crossing(there, here)]:
            for cause in list(way.blocks):
                self.network.unblock(way, cause)
            for cause in list(way.clogs):
                self.network.unclog(way, cause)

    def hold(self, side: Side, rest: Side | None = None) -> None:
        """Frames wait, none is lost; the links look alive."""
        here, there = self._sides(side, rest)
        for way in [*self.network.crossing(here, there), *self.network.crossing(there, here)]:
            self.network.clog(way, _HELD)

    def release(self, side: Side, rest: Side | None = None) -> None:
        """What was held goes on."""
        here, there = self._sides(side, rest)
        for way in [*self.network.crossing(here, there), *self.network.crossing(there, here)]:
            self.network.unclog(way, _HELD)

    def crash(self, name: str, *, silently: bool = False) -> None:
        """Kill -9: neighbors see a reset. `silently`: the machine, and nobody sees anything."""
        self.nodes[name].die(silently=silently)

    def restart(self, name: str) -> SimNode:
        """Start a node that died; with a full disk it cannot, and tries again."""
        node = self.nodes[name]
        if not node.alive:
            node.start()
        return node

    def bounce(self, name: str) -> SimNode:
        """Die and start again within the instant."""
        self.crash(name)
        return self.restart(name)

    def freeze(self, name: str) -> None:
        """The process does nothing, but its machine takes in what comes."""
        self.nodes[name].freeze()

    def thaw(self, name: str) -> None:
        """It goes on where it was."""
        self.nodes[name].thaw()

    @contextmanager
    def partitioned(self, side: Iterable[str] | None = None) -> Iterator[None]:
        """Cut every link between `side` (default: the first half) and the rest."""
        names = list(self.nodes)
        here, there = self._sides(names[: len(names) // 2] if side is None else side, None)
        ways = [*self.network.crossing(here, there), *self.network.crossing(there, here)]
        for way in ways:
            self.network.block(way, _HALF)
        yield
        for way in ways:
            self.network.unblock(way, _HALF)

    # Time.

    def step(self, *, until: float | None = None) -> bool:
        """Let the next instant happen; False if nothing is left to happen (up to `until`)."""
        if not self.agenda.instant(until=float("inf") if until is None else until):
            return False
        self.instants += 1
        return True

    def run(self, *, seconds: float) -> None:
        """Let time pass."""
        end = self.now + seconds
        while self.step(until=end):
            pass
        self.agenda.now = end

    def run_until(self, condition: Callable[[], bool], *, within_s: float) -> float:
        """Run until the condition holds; the seconds it took. AssertionError if it never did."""
        start = self.now
        while not condition():
            if self.now - start >= within_s:
                raise AssertionError(f"not reached within {within_s} virtual seconds")
            self.run(seconds=0.01)
        return self.now - start

    def after(self, delay_s: float, action: Callable[[], None]) -> None:
        """Do something so many seconds from now."""
        self.agenda.after(delay_s, action)

    def wake(self, node: SimNode) -> None:
        """A core was told something besides its links: it has a turn."""
        node.wake()

    # Questions.

    def living(self) -> list[SimNode]:
        return [node for node in self.nodes.values() if node.alive]

    def every_view(self) -> dict[str, set[str]]:
        """Whom each living node sees."""
        return {node.name: node.view() for node in self.living()}

    def agree(self) -> bool:
        """Every living node sees exactly the living nodes."""
        living = self.living()
        alive = {node.name for node in living}
        return all(node.view() == alive for node in living)

    def link_between(self, a: str, b: str) -> SimLink | None:
        """The link of two nodes, if it is up."""
        link = self.network.between(a, b)
        return link if link is not None and link.up else None

    # What nodes tell the world.

    def transmit(self, way: Way, kind: int, body: bytes, priority: int) -> None:
        """A node sends a frame, or whatever a liar sends in its place."""
        if way.source.lies:
            self._lie(way, kind, body, priority)
            return
        self._transmit(way, kind, body, priority)

    def note(self, node: str, kind: str, text: str = "") -> None:
        """Something happened that a recording should have."""
        if self.recorder is not None:
            self.recorder.note(self.now - START_S, node, kind, text)

    def was_begun(self, node: SimNode, run: RunHandler) -> None:
        """A handler of a call begins: from now on the work may have been done."""
        if self.recorder is not None:
            target = run.request.target or "a message"
            self.note(node.name, "runs", f"{target} {run.request.id} of {run.source.short}")
        for hear in self.hears_begun:
            hear(node, run)

    def was_handled(self, node: SimNode, entry: Handled) -> None:
        """A handler got a message."""
        if self.recorder is not None:
            what = f"{entry.source.short} {entry.priority} {entry.sequence}.{entry.place}"
            self.note(node.name, "handles", what)
        for hear in self.hears_handled:
            hear(node, entry)

    # Inside.

    def _transmit(self, way: Way, kind: int, body: bytes, priority: int) -> None:
        if way.is_open:
            for tap in self.taps:
                tap(way, kind, body)
            if self.recorder is not None:
                text = f"{way.target.name} {_FRAMES[kind]} {len(body)} B"
                self.note(way.source.name, "sends", text)
            way.transmit(kind, body, priority)

    def _lie(self, way: Way, kind: int, body: bytes, priority: int) -> None:
        frames = [Frame(way, kind, body)]
        for lie in way.source.lies:
            frames = [said for frame in frames for said in lie(frame)]
        for frame in frames:
            if frame.after_s:
                self.agenda.after(frame.after_s, self._transmit, *frame[:3], priority)
            else:
                self._transmit(frame.way, frame.kind, frame.body, priority)

    def _start(self, name: str, disk: Disk) -> SimNode:
        node = self.nodes[name] = SimNode(self, name, disk)
        node.start()
        return node

    def _ways(self, a: str, b: str) -> tuple[Way, Way]:
        link = self.network.between(a, b)
        if link is None:
            raise KeyError(f"no link between {a} and {b}")
        return link.ways

    def _sides(self, side: Side, rest: Side | None) -> tuple[set[str], set[str]]:
        here = {side} if isinstance(side, str) else set(side)
        if rest is None:
            return here, set(self.nodes) - here
        return here, {rest} if isinstance(rest, str) else set(rest)
