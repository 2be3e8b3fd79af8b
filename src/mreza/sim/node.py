"""One node of a world: a whole node core, its disk, its clocks, and what its program saw."""

from __future__ import annotations

import math
from collections.abc import Callable, Container
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from mreza.events import Event, MemberState
from mreza.ids import NodeId
from mreza.planes.core import NodeCore
from mreza.planes.effects import (
    Announce,
    CancelHandler,
    CloseLink,
    InboundControl,
    InboundData,
    RaiseEpoch,
    Resolve,
    RoutesLead,
    RunHandler,
    SendFrame,
    Stop,
)
from mreza.processes.handlers import ProcessSpec
from mreza.qos import Delivery, Priority
from mreza.security.identity import Identity
from mreza.sim.link import Way
from mreza.sim.skewed_clock import SkewedClock
from mreza.wire.packet import Failure, Status
from mreza.wire.records import AgedRecord

if TYPE_CHECKING:
    from mreza.sim.lies import Lie
    from mreza.sim.world import World

RAISE_AGAIN_S = 1.0
"A boot counter that could not be written is tried again so often."
START_AGAIN_S = 1.0
"A node whose disk is full cannot start; whoever watches it tries again."


class Handled(NamedTuple):
    """One message as a handler got it."""

    source: NodeId
    stream_epoch: int
    priority: int
    sequence: int
    place: int
    payload: Any


class Disk:
    """What survives a crash: key and boot counter."""

    __slots__ = ("boot", "full", "identity")

    def __init__(self, identity: Identity, *, boot: int = 0) -> None:
        self.identity = identity
        self.boot = boot
        self.full = False

    def next_boot(self, *, at_least: int = 0) -> int | None:
        """Raise the boot counter; None if it cannot be written."""
        if self.full:
            return None
        self.boot = max(self.boot + 1, at_least)
        return self.boot

    def copy(self) -> Disk:
        """What a backup or a cloned machine has."""
        return Disk(self.identity, boot=self.boot)


class SimNode:
    """A participant of a world. Dead, frozen or late if faults say so."""

    def __init__(self, world: World, name: str, disk: Disk) -> None:
        self.world = world
        self.name = name
        self.disk = disk
        self.id: NodeId = disk.identity.node_id
        self.clock = SkewedClock(world.agenda)
        self.alive = False
        self.life = 0
        "Counts processes: each has a memory of its own."
        self.frozen = False
        self.dark = False
        "Dead with its machine: nobody refuses connections in its name."
        self.lag_s = 0.0
        "Every turn comes so late."
        self.handler_s = 0.0
        "How long a handler takes."
        self.handled: list[Handled] = []
        "Every DATA message, in the order of handling."
        self.served: list[tuple[str, int]] = []
        "(process, request id) of every run of a process."
        self.cancelled: list[int] = []
        "Runs that nobody waits for. Handlers here take no notice and end when they do."
        self.outcomes: dict[int, Resolve] = {}
        self.hears_outcome: dict[int, Callable[[Resolve], None]] = {}
        "Who waits for the outcome of which call."
        self.controls: list[InboundControl] = []
        self.events: list[Event] = []
        self.stopped: Exception | None = None
        self.processes: dict[str, tuple[ProcessSpec, Callable[[Any], Any]]] = {}
        self.consume_s = 0.0
        "How long the message handler is busy with a batch, one after the other."
        self.on_message: Callable[[Any], Any] = lambda payload: payload
        "The handler of messages whose sender wants a receipt."
        self.lies: list[Lie] = []
        "What stands between it and its links."
        self.outgoing: dict[NodeId, Way] = {}
        "The open link to each peer."
        self.next_hops: Container[NodeId] = ()
        "Peers that routes of ours lead over: those links are probed more often."
        self.core: NodeCore
        self._kernel: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
        "What arrived while the process was frozen."
        self._turn_due = False
        self._timer_at: float | None = None
        self._disturbed_at = 0.0
        self._busy_until = 0.0

    @property
    def boot(self) -> int:
        """The boot counter on its disk."""
        return self.disk.boot

    @boot.setter
    def boot(self, boot: int) -> None:
        self.disk.boot = boot

    @property
    def undisturbed_since(self) -> float:
        """Since when it keeps time; never, while it is frozen, late, or its clock runs wrong."""
        disturbed = self.frozen or self.lag_s or self.clock.rate != 1.0
        return math.inf if disturbed else self._disturbed_at

    def disturbed(self) -> None:
        """Something that kept it from keeping time has ended."""
        self._disturbed_at = self.world.now

    # Life.

    def start(self) -> bool:
        """Boot: everything but the disk is new. False if the disk is full: it is tried again."""
        world = self.world
        boot = self.disk.next_boot()
        if boot is None:
            world.agenda.after(START_AGAIN_S, self._start_again)
            return False
        self.alive, self.frozen, self.dark, self.stopped = True, False, False, None
        self.life += 1
        self.core = NodeCore(
            credentials=world.trust.credentials(self.disk.identity, self.name),
            name=self.name,
            addresses=(f"{self.name}.example:7467",),
            boot=boot,
            config=world.config,
            rng=Random(world.rng.getrandbits(64)),  # noqa: S311 - a seeded world
            now=self.clock.monotonic(),
            wall=self.clock.wall(),
            reader=world.reader,
        )
        self.outcomes, self.hears_outcome, self.next_hops = {}, {}, ()
        for spec, _ in self.processes.values():
            self.core.service.registry.register(spec)
        self.core.offers_changed(now=self.clock.monotonic())
        self.wake()
        world.network.node_back(self.name)
        return True

    def die(self, *, silently: bool = False) -> None:
        """Kill -9, or the power cord: with its machine, nobody hears a reset."""
        if self.alive:
            self.alive, self.dark = False, silently
            self._busy_until = 0.0
            self.outgoing.clear()
            self._kernel.clear()
            self.world.network.node_died(self.name, silently=silently)

    def freeze(self) -> None:
        """Stop doing anything; the kernel takes in what comes."""
        if self.alive and not self.frozen:
            self.frozen = True
            self.world.network.node_quiet(self.name)

    def thaw(self) -> None:
        """Go on where it stopped."""
        if self.frozen:
            self.frozen = False
            self.disturbed()
            kernel, self._kernel = self._kernel, []
            for action, arguments in kernel:
                action(*arguments)
            self.world.network.node_back(self.name)
            self.wake()

    def when_thawed(self, action: Callable[..., None], *arguments: Any) -> None:
        """What the kernel keeps for a frozen process."""
        self._kernel.append((action, arguments))

    # What its links tell it.

    def link_began(self, way: Way, *, rtt_s: float) -> None:
        peer = way.target
        self.world.note(self.name, "link up", peer.name)
        self.outgoing[peer.id] = way
        self.core.link_up(
            peer.id, peer_epoch=peer.core.epoch, rtt_s=rtt_s, now=self.clock.monotonic()
        )
        self.wake()

    def link_ended(self, way: Way, cause: str) -> None:
        if self.outgoing.get(way.target.id) is way:
            del self.outgoing[way.target.id]
            self.world.note(self.name, "link down", f"{way.target.name} {cause}")
            self.core.link_down(way.target.id, cause=cause, now=self.clock.monotonic())
            self.wake()

    def link_measured(self, way: Way, *, rtt_s: float) -> None:
        """The smoothed round-trip time of a link."""
        if self.outgoing.get(way.target.id) is way:
            self.core.control.link_measured(way.target.id, rtt_s=rtt_s, now=self.clock.monotonic())
            self.wake()

    def peer_is_gone(self, peer: SimNode) -> None:
        """A connection to it was refused."""
        if peer.id not in self.outgoing:
            self.core.link_down(peer.id, cause="gone", now=self.clock.monotonic())
            self.wake()

    def hear_of_itself(self, newest: AgedRecord) -> None:
        """A peer refused it because it knows a newer epoch of this node."""
        self.core.offer(newest, now=self.clock.monotonic())
        self.wake()

    def frame_arrived(self, way: Way, kind: int, body: bytes) -> None:
        """A frame came over the way that leads here."""
        self.core.frame(way.source.id, kind, body, now=self.clock.monotonic())
        self.wake()

    def frame_gave_way(self, way: Way, kind: int, body: bytes, _priority: int) -> None:
        """A way could not take a frame."""
        self.core.frame_dropped(way.target.id, kind, body, now=self.clock.monotonic())
        self.wake()

    # What its program does.

    def send(
        self,
        to: str,
        payload: Any,
        *,
        priority: Priority = Priority.NORMAL,
        delivery: Delivery = Delivery.AT_LEAST_ONCE,
    ) -> None:
        self.core.data.send(self.world.nodes[to].id, payload, priority=priority, delivery=delivery)
        self.wake()

    def process(
        self, name: str, function: Callable[[Any], Any], *, idempotent: bool = False
    ) -> None:
        spec = ProcessSpec(name=name, handler=function, idempotent=idempotent)
        self.processes[name] = (spec, function)
        self.core.service.registry.register(spec)
        self.core.offers_changed(now=self.clock.monotonic())
        self.wake()

    def call(
        self,
        process: str,
        payload: Any,
        *,
        node: str | None = None,
        timeout_s: float = 30.0,
        priority: Priority = Priority.NORMAL,
        idempotent: bool = False,
        to_handler: bool = False,
    ) -> int:
        call_id = self.core.service.call(
            process,
            msgspec.Raw(msgspec.msgpack.encode(payload)),
            node=None if node is None else self.world.nodes[node].id,
            timeout_s=timeout_s,
            priority=priority,
            idempotent=idempotent,
            target_is_handler=to_handler,
            now=self.clock.monotonic(),
        )
        self.wake()
        return call_id

    def view(self) -> set[str]:
        """Names of the nodes that this one sees alive, itself included."""
        members = self.core.control.roster.members
        alive = {m.name for m in members.values() if m.state is MemberState.ALIVE}
        return alive | {self.name}

    # Turns.

    def wake(self) -> None:
        """Have a turn at the end of this instant, or as late as this node is."""
        if not self._turn_due:
            self._turn_due = True
            self.world.agenda.after(self.lag_s, self._turn)

    def _turn(self) -> None:
        self._turn_due = False
        if not self.alive or self.frozen:
            return
        core, now = self.core, self.clock.monotonic()
        core.advance(now=now)
        core.flush(now=now)
        for effect in core.drain():
            if type(effect) is SendFrame:
                way = self.outgoing.get(effect.peer)
                if way is not None:
                    self.world.transmit(way, effect.kind, bytes(effect.body), effect.priority)
            else:
                self._carry_out(effect)
        self._arm()

    def _arm(self) -> None:
        deadline = self.core.next_deadline() if self.alive else None
        if deadline is not None:
            at = self.clock.true_time(deadline)
            if self._timer_at is None or at < self._timer_at:
                self._timer_at = at
                self.world.agenda.at(at, self._timer, at)

    def _timer(self, at: float) -> None:
        if self._timer_at == at:
            self._timer_at = None
        self.wake()

    def clock_changed(self) -> None:
        """Its clocks were set or run at another rate: deadlines come at other times."""
        self.disturbed()
        if self.alive:
            self._timer_at = None
            self.core.clocks(now=self.clock.monotonic(), wall=self.clock.wall())
            self.wake()

    def _carry_out(self, effect: Any) -> None:
        match effect:
            case InboundData():
                self._deliver(effect)
            case RunHandler():
                self.world.was_begun(self, effect)
                self.world.agenda.after(self.handler_s, self._serve, self.core, effect)
            case Resolve():
                assert effect.call_id not in self.outcomes, "a call was resolved twice"  # noqa: S101
                self.outcomes[effect.call_id] = effect
                self.world.note(self.name, "outcome", _outcome_words(effect))
                if effect.call_id in self.hears_outcome:
                    self.hears_outcome.pop(effect.call_id)(effect)
            case CancelHandler(run_id):
                self.cancelled.append(run_id)
            case CloseLink(peer, code):
                way = self.outgoing.get(peer)
                if way is not None:
                    self.world.network.close(way, code)
            case Announce(event):
                self.events.append(event)
                self.world.note(self.name, "event", event.name)
            case RoutesLead(next_hops):
                self.next_hops = next_hops
                for peer, way in list(self.outgoing.items()):
                    if way.probing is not None:
                        way.probing.carry(routes=peer in next_hops)
            case InboundControl():
                self.controls.append(effect)
            case RaiseEpoch(boot):
                self._raise_epoch(self.core, boot)
            case Stop(error):
                self.stopped = error
                self.die()

    def _raise_epoch(self, core: NodeCore, boot: int) -> None:
        if core is not self.core or not self.alive:
            return
        written = self.disk.next_boot(at_least=boot)
        if written is None:
            self.world.agenda.after(RAISE_AGAIN_S, self._raise_epoch, core, boot)
            return
        core.epoch_raised(written, now=self.clock.monotonic())
        for way in list(self.outgoing.values()):
            self.world.network.close(way, "closed")
        self.wake()

    def _start_again(self) -> None:
        if not self.alive:
            self.start()

    def _deliver(self, batch: InboundData) -> None:
        head = (batch.source, batch.stream_epoch, batch.priority, batch.sequence)
        for place, payload in enumerate(msgspec.msgpack.decode(batch.body)):
            entry = Handled(*head, place, payload)
            self.handled.append(entry)
            self.world.was_handled(self, entry)
        agenda = self.world.agenda
        self._busy_until = max(agenda.now, self._busy_until) + self.consume_s
        if self.consume_s:
            agenda.at(self._busy_until, self._consumed, self.core, batch)
        else:
            self._consumed(self.core, batch)

    def _consumed(self, core: NodeCore, batch: InboundData) -> None:
        if not self.alive or self.core is not core:
            return
        if self.frozen:
            self.when_thawed(self._consumed, core, batch)
            return
        now = self.clock.monotonic()
        core.data.consumed(batch.source, batch.inbox, batch.credit_bytes, now=now)
        self.wake()

    def _serve(self, core: NodeCore, effect: RunHandler) -> None:
        if not self.alive or self.core is not core:
            return
        if self.frozen:
            self.when_thawed(self._serve, core, effect)
            return
        self.served.append((effect.request.target, effect.request.id))
        payload = msgspec.msgpack.decode(effect.request.payload)
        function = self.processes.get(effect.request.target, (None, self.on_message))[1]
        try:
            result: bytes | None = msgspec.msgpack.encode(function(payload))
            failure, status = None, Status.OK
        except Exception as error:  # noqa: BLE001 - what a handler raises is the result
            result, status = None, Status.FAILED
            failure = Failure(type_name=type(error).__name__, message=str(error))
        core.service.finished(
            effect.run_id,
            result=result,
            failure=failure,
            status=status,
            now=self.clock.monotonic(),
        )
        self.wake()


def _outcome_words(outcome: Resolve) -> str:
    """A call's number and how it ended."""
    error = outcome.error or outcome.failure
    return f"{outcome.call_id} {'done' if error is None else type(error).__name__}"
