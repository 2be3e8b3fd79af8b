"""What goes wrong: drawn from the seed, applied to a world, mended when its time is over.

Each kind of fault is a generator: what stands before its `yield` breaks, what stands after mends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any

import msgspec

from mreza.sim.link import Way
from mreza.sim.node import SimNode
from mreza.sim.plan import KINDS, FaultPlan
from mreza.sim.world import World

CLOCKS_WATCHED_S = 5.0
"A node compares its clocks so often (`mreza.node.driver`)."
BOUNCE_S = 0.05
"A process that dies and is started again at once takes so long."


class Fault(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that goes wrong."""

    at_s: float
    "Seconds after the start of the fault phase."
    kind: str
    "One of `mreza.sim.plan.KINDS`."
    targets: tuple[str, ...]
    "Names of nodes: of a link its two ends, of a partition one side."
    for_s: float = 0.0
    "How long it holds; 0: until the phase ends."
    amount: float = 0.0
    "How bad it is: see the unit of its kind."


Schedule = tuple[Fault, ...]


def draw(
    rng: Random,
    *,
    nodes: Sequence[str],
    links: Sequence[tuple[str, str]],
    plan: FaultPlan,
    seconds: float,
) -> Schedule:
    """Faults at random moments, as often as the plan says, in the order of their beginning."""
    kinds = [
        kind for kind in plan.kinds if plan.kinds[kind] > 0 and _has_target(kind, nodes, links)
    ]
    if not plan.every_s or not kinds:
        return ()
    weights = [plan.kinds[kind] for kind in kinds]
    schedule = []
    at_s = rng.expovariate(1 / plan.every_s)
    while at_s < seconds:
        (kind,) = rng.choices(kinds, weights)
        low, high = plan.amounts.get(kind) or KINDS[kind].amount or (0.0, 0.0)
        schedule.append(
            Fault(
                at_s=round(at_s, 3),
                kind=kind,
                targets=_targets(rng, kind, nodes, links),
                for_s=round(rng.uniform(*plan.for_s), 3),
                amount=round(rng.uniform(low, high), 6),
            )
        )
        at_s += rng.expovariate(1 / plan.every_s)
    return tuple(schedule)


def _has_target(kind: str, nodes: Sequence[str], links: Sequence[tuple[str, str]]) -> bool:
    match KINDS[kind].targets:
        case "node":
            return bool(nodes)
        case "link":
            return bool(links)
        case "side":
            return len(nodes) > 1


def _targets(
    rng: Random, kind: str, nodes: Sequence[str], links: Sequence[tuple[str, str]]
) -> tuple[str, ...]:
    match KINDS[kind].targets:
        case "node":
            return (rng.choice(nodes),)
        case "link":
            a, b = rng.choice(links)
            return (a, b) if rng.random() < 0.5 else (b, a)
        case "side":
            return tuple(sorted(rng.sample(nodes, rng.randint(1, len(nodes) - 1))))


class Faults:
    """Applies a schedule to a world, and takes back at the end what still holds."""

    def __init__(self, world: World, schedule: Schedule) -> None:
        self._world = world
        self._schedule = schedule
        self._active: dict[int, Iterator[None]] = {}
        self._layers = _Layers()

    def start(self) -> None:
        """The fault phase begins now."""
        for number, fault in enumerate(self._schedule):
            self._world.agenda.after(fault.at_s, self._begin, number, fault)

    def end(self) -> None:
        """The fault phase ends now: everything works again."""
        self._schedule = ()
        for number in list(self._active):
            self._mend(number)

    def apply(self, fault: Fault) -> None:
        """Let it begin now."""
        self._schedule = (*self._schedule, fault)
        self._begin(len(self._schedule) - 1, fault)

    # Rules.

    def _begin(self, number: int, fault: Fault) -> None:
        if number >= len(self._schedule) or not all(t in self._world.nodes for t in fault.targets):
            return
        self._world.note("", fault.kind, f"{' '.join(fault.targets)} {fault.amount:g}")
        running = _KINDS[fault.kind](_Context(self._world, fault, self._layers))
        if next(running, running) is running:
            return
        self._active[number] = running
        if fault.for_s:
            self._world.agenda.after(fault.for_s, self._mend, number)

    def _mend(self, number: int) -> None:
        running = self._active.pop(number, None)
        if running is not None:
            fault = self._schedule[number] if number < len(self._schedule) else None
            self._world.note("", "mended", "" if fault is None else fault.kind)
            next(running, None)


class _Layers:
    """Faults that overlap on one property: what counts is joined from all that still hold."""

    def __init__(self) -> None:
        self._given: dict[tuple[object, str], dict[object, Any]] = {}

    def put(self, owner: object, name: str, cause: object, value: Any) -> list[Any]:
        """All values that hold now."""
        held = self._given.setdefault((owner, name), {})
        held[cause] = value
        return list(held.values())

    def take(self, owner: object, name: str, cause: object) -> list[Any]:
        """All values that still hold."""
        held = self._given.get((owner, name), {})
        held.pop(cause, None)
        return list(held.values())

    def holds(self, owner: object, name: str) -> bool:
        return bool(self._given.get((owner, name)))


class _Context:
    """What one fault works on."""

    def __init__(self, world: World, fault: Fault, layers: _Layers) -> None:
        self.world = world
        self.fault = fault
        self.layers = layers
        # Of the fault's own words, so that it does the same when others are left out.
        self.rng = Random(f"{fault.kind} {fault.targets} {fault.at_s}")  # noqa: S311

    @property
    def node(self) -> SimNode:
        return self.world.nodes[self.fault.targets[0]]

    @property
    def ways(self) -> tuple[Way, ...]:
        """Both directions of the link, the one that starts at the first target first."""
        a, b = self.fault.targets
        link = self.world.network.between(a, b)
        return () if link is None else (link.way_from(a), link.way_from(b))

    @property
    def outward(self) -> list[Way]:
        """Ways from the side to the rest."""
        side = set(self.fault.targets)
        return list(self.world.network.crossing(side, set(self.world.nodes) - side))

    @property
    def for_s(self) -> float:
        """How long it holds, if that is known."""
        return self.fault.for_s or 10.0

    def block(self, ways: Sequence[Way]) -> None:
        for way in ways:
            self.world.network.block(way, self)

    def unblock(self, ways: Sequence[Way]) -> None:
        for way in ways:
            self.world.network.unblock(way, self)


# Nodes.


def _crash(context: _Context) -> Iterator[None]:
    node = context.node
    context.layers.put(node, "dead", context, "held")
    node.die(silently=context.rng.random() < 0.3)
    yield
    if not context.layers.take(node, "dead", context) and not node.alive:
        node.start()


def _bounce(context: _Context) -> Iterator[None]:
    node = context.node
    context.layers.put(node, "dead", context, "held")
    node.die()

    def return_() -> None:
        if not context.layers.take(node, "dead", context) and not node.alive:
            node.start()

    context.world.agenda.after(BOUNCE_S, return_)
    yield
    return_()


def _restore(context: _Context) -> Iterator[None]:
    context.node.disk.boot = 0
    yield from _bounce(context)


def _leave(context: _Context) -> Iterator[None]:
    node = context.node
    context.layers.put(node, "dead", context, "held")
    if node.alive and not node.frozen:
        node.core.control.farewell("maintenance", now=node.clock.monotonic())
        node.wake()
        context.world.agenda.after(0.2, lambda: None if not stays else node.die())
    stays = [True]
    yield
    stays.clear()
    node.die()
    if not context.layers.take(node, "dead", context):
        node.start()


def _freeze(context: _Context) -> Iterator[None]:
    node = context.node
    context.layers.put(node, "frozen", context, "held")
    node.freeze()
    yield
    if not context.layers.take(node, "frozen", context):
        node.thaw()


def _lag(context: _Context) -> Iterator[None]:
    node = context.node
    node.lag_s = max(context.layers.put(node, "lag_s", context, context.fault.amount))
    yield
    node.lag_s = max(context.layers.take(node, "lag_s", context), default=0.0)
    node.disturbed()


def _skew(context: _Context) -> Iterator[None]:
    node = context.node
    node.clock.rate = context.layers.put(node, "rate", context, context.fault.amount)[-1]
    node.clock_changed()
    yield
    node.clock.rate = (context.layers.take(node, "rate", context) or [1.0])[-1]
    node.clock_changed()


def _jump(context: _Context) -> Iterator[None]:
    node, agenda = context.node, context.world.agenda
    for amount in (context.fault.amount, -context.fault.amount):
        node.clock.jump(amount)
        agenda.after(CLOCKS_WATCHED_S * context.rng.random(), node.clock_changed)
        if amount == context.fault.amount:
            yield


def _disk_full(context: _Context) -> Iterator[None]:
    disk = context.node.disk
    context.layers.put(disk, "full", context, "held")
    disk.full = True
    yield
    disk.full = bool(context.layers.take(disk, "full", context))


def _clone(context: _Context) -> Iterator[None]:
    world, original = context.world, context.node
    name = f"{original.name}-copy"
    if name in world.nodes:
        return
    copy = world.clone(original.name, name)
    for link in world.network.of(original.name):
        world.link(name, link.other(original.name), delay_s=link.delay_s)
    yield
    world.remove(copy.name)
    if not original.alive and not context.layers.take(original, "dead", context):
        original.start()


# Links.


def _cut(context: _Context) -> Iterator[None]:
    context.block(context.ways)
    yield
    context.unblock(context.ways)


def _cut_oneway(context: _Context) -> Iterator[None]:
    context.block(context.ways[:1])
    yield
    context.unblock(context.ways[:1])


def _reset(context: _Context) -> Iterator[None]:
    for way in context.ways:
        context.world.network.close(way, "reset")
    yield


def _flap(context: _Context) -> Iterator[None]:
    ways, active = context.ways, [True]

    def turn(*, down: bool) -> None:
        if active:
            (context.block if down else context.unblock)(ways)
            wait_s = max(0.01, context.fault.amount * context.rng.uniform(0.5, 1.5))
            context.world.agenda.after(wait_s, lambda: turn(down=not down))

    turn(down=True)
    yield
    active.clear()
    context.unblock(ways)


def _clog(context: _Context) -> Iterator[None]:
    for way in context.ways:
        context.world.network.clog(way, context)
    yield
    for way in context.ways:
        context.world.network.unclog(way, context)


def _layered(name: str, join: Callable[[list[float]], float]) -> Callable[[_Context], Any]:
    """A property of both ways, for which overlapping faults are joined with what it was before."""

    def run(context: _Context) -> Iterator[None]:
        layers = context.layers
        for way in context.ways:
            if not layers.holds(way, name):
                layers.put(way, name, "before", getattr(way, name))
            setattr(way, name, join(layers.put(way, name, context, context.fault.amount)))
            context.world.network.watch(way.link)
        yield
        for way in context.ways:
            setattr(way, name, join(layers.take(way, name, context)))

    return run


# Sides.


def _partition(context: _Context) -> Iterator[None]:
    ways = [each for way in context.outward for each in (way, way.back)]
    context.block(ways)
    yield
    context.unblock(ways)


def _partition_oneway(context: _Context) -> Iterator[None]:
    ways = context.outward
    context.block(ways)
    yield
    context.unblock(ways)


def _swizzle(context: _Context) -> Iterator[None]:
    ways, active = context.outward, [True]
    moments = sorted(context.rng.uniform(0, context.for_s / 2) for _ in ways)
    mends = sorted(context.rng.uniform(context.for_s / 2, context.for_s) for _ in ways)
    for moment, way in zip(moments, context.rng.sample(ways, len(ways)), strict=True):
        pair = (way, way.back)
        context.world.agenda.after(moment, lambda p=pair: context.block(p) if active else None)
    for moment, way in zip(mends, context.rng.sample(ways, len(ways)), strict=True):
        pair = (way, way.back)
        context.world.agenda.after(moment, lambda p=pair: context.unblock(p) if active else None)
    yield
    active.clear()
    for way in ways:
        context.unblock((way, way.back))


_KINDS: dict[str, Callable[[_Context], Iterator[None]]] = {
    "crash": _crash,
    "bounce": _bounce,
    "freeze": _freeze,
    "lag": _lag,
    "skew": _skew,
    "jump": _jump,
    "disk_full": _disk_full,
    "restore": _restore,
    "clone": _clone,
    "leave": _leave,
    "cut": _cut,
    "cut_oneway": _cut_oneway,
    "reset": _reset,
    "flap": _flap,
    "clog": _clog,
    "slow": _layered("bytes_per_s", lambda values: min(filter(None, values), default=0.0)),
    "lose": _layered("loss", max),
    "double": _layered("duplicate", max),
    "delay": _layered("extra_s", sum),
    "partition": _partition,
    "partition_oneway": _partition_oneway,
    "swizzle": _swizzle,
}
