"""A node that runs: its core, its driver, its links and its handlers, with one owner and one end.

Translates both ways: what links hear becomes an input of the core, what the core wants is carried out.
It decides nothing that a plane could decide.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from mreza import __version__
from mreza.address import DEFAULT_PORT, Address
from mreza.balancing.balancer import Balancer
from mreza.config.mesh import MeshConfig
from mreza.errors import DeadlineExceeded, NoRoute, NotRunning
from mreza.events import Event, HandlerFailed, LinkDown, LinkUp, PeerRefused
from mreza.ids import MeshId, NodeId
from mreza.io.clock import SystemClock
from mreza.io.interfaces import here
from mreza.link.send_queue import Body
from mreza.node.discovery import Discovery
from mreza.node.door import Door
from mreza.node.driver import Driver
from mreza.node.event_hub import EventHub
from mreza.node.inbox import Inbox, MessageHandler
from mreza.node.links import Links, PeerRefusal
from mreza.node.logs import Log
from mreza.node.observer import Observer
from mreza.node.outcomes import Outcome, Waiting
from mreza.node.probes import Probes
from mreza.node.state import NodeState, default_state_dir, open_node
from mreza.node.views import TraceHop
from mreza.node.work import Work
from mreza.planes.core import NodeCore
from mreza.planes.effects import (
    AddressesLearned,
    Announce,
    CancelHandler,
    CloseLink,
    InboundControl,
    InboundData,
    RaiseEpoch,
    Resolve,
    RunHandler,
    SendFrame,
    Stop,
)
from mreza.processes.handlers import ProcessSpec
from mreza.qos import Delivery, Priority
from mreza.wire.join import JOIN_PROCESS
from mreza.wire.link import PROTOCOL_VERSION, Hello
from mreza.wire.records import AgedRecord

FAREWELL_S = 0.1
"How long a signed farewell gets to leave the send queues before the links close."
_log = Log("mreza")


class RunningNode:
    """One node between `start` and `close`."""

    def __init__(
        self,
        config: MeshConfig,
        *,
        state: NodeState,
        core: NodeCore,
        clock: SystemClock,
        stopped: Callable[[Exception], None],
    ) -> None:
        self.config = config
        self.state = state
        self.core = core
        self.clock = clock
        self.hub = EventHub()
        self.listen_addresses: tuple[Address, ...] = ()
        self._advertised: tuple[str, ...] = ()
        self._stopped = stopped
        self._started_at = clock.monotonic()
        self._log = _log.bind(me=state.name)
        self.driver = Driver(
            core, clock=clock, carry_out=self._carry_out, flush_links=self._flush_links
        )
        self.probes = Probes(core.data, clock=clock, wake=self.driver.wake)
        self.waiting = Waiting(core.me, clock=clock, cancel=self._cancel_call)
        self.inbox = Inbox(
            consumed=self._consumed, failed=self._handler_failed, dropped=self._no_handler
        )
        self.work = Work(
            core,
            inbox=self.inbox,
            threads=config.processes.threads,
            clock=clock,
            wake=self.driver.wake,
        )
        self.door = Door(core, state, clock=clock, ask_authority=self._ask_authority)
        self.links = Links(
            credentials=state.credentials,
            hello=self._hello,
            config=config.link,
            events=self,
            clock=clock,
            newest_introduction=core.control.newest_introduction,
            joins=self.door,
        )
        self.discovery = Discovery(
            config,
            state=state,
            links=self.links,
            rng=random.Random(),  # noqa: S311 - jitter, not secrets
            clock=clock,
        )
        self.observer = Observer(core, self.links, state)
        self._drained = asyncio.Event()

    # Life.

    @classmethod
    async def open(
        cls, config: MeshConfig, *, balancer: Balancer, stopped: Callable[[Exception], None]
    ) -> RunningNode:
        """Take the state directory, raise the boot counter on disk, and make a node of both.

        Raises:
            StateError, AdmissionError: as `open_node`.
        """
        clock = SystemClock()
        state = await asyncio.to_thread(
            open_node,
            config.security.state or default_state_dir(os.environ),
            config.name,
            mesh_name=config.security.mesh,
            wall=clock.wall(),
        )
        try:
            core = NodeCore(
                credentials=state.credentials,
                name=state.name,
                addresses=(),
                boot=await asyncio.to_thread(state.next_boot),
                config=config,
                rng=random.Random(),  # noqa: S311 - epochs and jitter, not secrets
                now=clock.monotonic(),
                wall=clock.wall(),
                version=__version__,
            )
            core.service.balancer = balancer
            return cls(config, state=state, core=core, clock=clock, stopped=stopped)
        except BaseException:
            state.close()
            raise

    async def start(self) -> None:
        """Listen, tell the nodes beside us, and begin to look for others."""
        wanted = self.config.listen
        address = None if wanted is None else Address.parse(wanted)
        self.listen_addresses = await (
            self.links.listen("", DEFAULT_PORT, next_free=True)
            if address is None
            else self.links.listen(address.host, address.port)
        )
        self._advertised = self.discovery.advertised(self.listen_addresses)
        self._tell_siblings()
        now = self.clock.monotonic()
        self.core.control.introduce(addresses=self._advertised, now=now)
        if self.door.decides:
            self.core.service.registry.register(
                ProcessSpec(JOIN_PROCESS, self.door.decide_for_member)
            )
            self.core.offers_changed(now=now)
        self.inbox.start()
        await self.discovery.start(self._hello())
        self.driver.wake()

    async def close(self, *, timeout_s: float) -> None:
        """Send what waits on links, say goodbye, end every task; returns within `timeout_s` or so."""
        self.driver.turn_now()
        await self.discovery.close()
        await self.links.close(timeout_s=timeout_s)
        self.driver.close()
        self.waiting.fail_all(NotRunning("the node was closed while this call was in flight"))
        await self.inbox.close()
        await self.work.close()
        self._drained.set()
        self.hub.close()
        self.state.close()

    async def leave(self, reason: str) -> None:
        """Say farewell to the whole mesh and give it a moment to spread."""
        self.core.control.farewell(reason, now=self.clock.monotonic())
        self.driver.turn_now()
        await asyncio.sleep(FAREWELL_S)

    # What a program asks.

    @property
    def me(self) -> NodeId:
        return self.core.me

    @property
    def mesh(self) -> MeshId:
        return self.state.credentials.mesh

    @property
    def name(self) -> str:
        return self.state.name

    @property
    def state_directory(self) -> Path:
        return self.state.directory

    @property
    def now(self) -> float:
        return self.clock.monotonic()

    def resolve(self, node: NodeId | str) -> NodeId:
        """The id of a node given by id, its letters or its name."""
        return self.core.control.find(node)

    def send(
        self, node: NodeId | str, payload: Any, *, priority: Priority, delivery: Delivery
    ) -> None:
        """Append to the outbox; the turn at the end of this loop iteration sends it."""
        control = self.core.control
        destination = (
            node if type(node) is NodeId and node in control.members else control.find(node)
        )
        self.core.data.send(destination, payload, priority=priority, delivery=delivery)
        self.driver.wake()

    async def drain(self, node: NodeId | str | None, *, timeout_s: float | None) -> None:
        """Wait until at most half of what an outbox may hold is waiting."""
        destination = None if node is None else self.resolve(node)
        timeout_s = self.config.messaging.timeout_s if timeout_s is None else timeout_s
        half = self.config.messaging.outbox_bytes // 2
        data = self.core.data
        try:
            async with asyncio.timeout(timeout_s):
                # One turn, even if there is room: a loop of `send` and `drain` lets others run.
                await asyncio.sleep(0)
                while data.fullest(destination) > half:
                    self._drained.clear()
                    await self._drained.wait()
        except TimeoutError:
            raise DeadlineExceeded(
                f"{data.fullest(destination)} bytes still wait in the outbox after {timeout_s:g} s; "
                "is the receiver reachable, and does it keep up?"
            ) from None

    async def work_on(
        self,
        process: str,
        payload: msgspec.Raw,
        *,
        node: NodeId | None,
        timeout_s: float | None,
        priority: Priority,
        key: str | None = None,
        headers: dict[str, str] | None = None,
        to_handler: bool = False,
    ) -> Outcome:
        """Have `process` run somewhere, or `node`'s message handler, and wait for the outcome."""
        call_id = self.core.service.call(
            process,
            payload,
            node=node,
            timeout_s=self.config.messaging.timeout_s if timeout_s is None else timeout_s,
            priority=priority,
            key=key,
            headers=headers,
            target_is_handler=to_handler,
            now=self.now,
        )
        self.driver.wake()
        return await self.waiting.outcome(call_id)

    async def trace(self, node: NodeId | str, *, timeout_s: float, hops_max: int) -> list[TraceHop]:
        """Ask every node on the way for its own round trip, nearest first."""
        destination = self.resolve(node)
        path: list[TraceHop] = []
        for hop_limit in range(1, hops_max + 1):
            answer = await self.probes.ask(destination, timeout_s=timeout_s, hop_limit=hop_limit)
            if answer is None:
                break
            path.append(TraceHop(answer[0], self.observer.label(answer[0]), answer[1]))
            if answer[0] == destination:
                return path
        label = self.observer.label(destination)
        if not path:
            raise NoRoute(f"no node on the way to {label} answered in {timeout_s:g} s")
        return [*path, TraceHop(destination, label, None)]

    def set_message_handler(self, handler: MessageHandler) -> None:
        self.inbox.set_handler(handler)

    def register_process(self, spec: ProcessSpec) -> None:
        """Offer this work; the mesh hears of it."""
        self.core.service.registry.register(spec)
        self.core.offers_changed(now=self.now)
        self.driver.wake()

    def unregister_process(self, name: str) -> None:
        """Offer it no longer."""
        self.core.service.registry.unregister(name)
        self.core.offers_changed(now=self.now)
        self.driver.wake()

    # What links hear (LinkEvents).

    def link_up(
        self, peer: NodeId, hello: Hello, address: Address, *, dialed: bool, rtt_s: float
    ) -> None:
        self.core.link_up(peer, peer_epoch=hello.epoch, rtt_s=rtt_s, now=self.now)
        self.discovery.link_up(peer, address, dialed=dialed, addresses=hello.addresses)
        self._emit(
            LinkUp(
                at=self.clock.wall(),
                peer=peer,
                label=hello.name,
                address=str(address),
                dialed=dialed,
            )
        )
        self.driver.wake()

    def link_down(self, peer: NodeId, cause: str) -> None:
        label = self.observer.label(peer)
        self.core.link_down(peer, cause=cause, now=self.now)
        self.discovery.link_down(peer, cause)
        self._emit(LinkDown(at=self.clock.wall(), peer=peer, label=label, cause=cause))
        self.driver.wake()

    def link_rtt(self, peer: NodeId, rtt_s: float) -> None:
        self.core.control.link_rtt(peer, rtt_s=rtt_s, now=self.now)
        self.driver.wake()

    def peer_gone(self, peer: NodeId) -> None:
        self.core.link_down(peer, cause="gone", now=self.now)
        self.driver.wake()

    def frame(self, peer: NodeId, kind: int, body: bytes) -> None:
        self.core.frame(peer, kind, body, now=self.now)
        self.driver.wake()

    def frame_dropped(self, peer: NodeId, kind: int, body: Body) -> None:
        self.core.frame_dropped(peer, kind, body, now=self.now)
        self.driver.wake()

    def refused(self, refusal: PeerRefusal) -> None:
        self._emit(
            PeerRefused(
                at=self.clock.wall(),
                address=str(refusal.address),
                code=refusal.code,
                text=refusal.text,
                by_us=refusal.by_us,
                peer=refusal.peer,
            )
        )
        if refusal.introduction is not None:
            self.core.offer(refusal.introduction, now=self.now)
        self.driver.wake()

    def identity_conflict(
        self, address: Address, epoch: int, introduction: AgedRecord | None
    ) -> None:
        self._log.warning("identity_conflict", address=str(address), epoch=f"{epoch:016x}")
        if introduction is not None:
            self.core.offer(introduction, now=self.now)
            self.driver.wake()

    # What the core wants.

    def _carry_out(self, effect: Any) -> None:
        match effect:
            case SendFrame():
                self.links.send(effect.peer, effect.kind, effect.body, effect.priority)
            case InboundData():
                self.inbox.put(effect)
            case RunHandler():
                self.work.run(effect)
            case Resolve():
                self.waiting.resolve(effect)
            case InboundControl():
                self.probes.answered(effect.source, effect.control)
            case CancelHandler(run_id):
                self.work.cancel(run_id)
            case Announce(event):
                self._emit(event)
            case AddressesLearned(node, addresses):
                self.discovery.learned(node, addresses)
            case CloseLink(peer, code, text, introduction):
                self.links.close_link(peer, code, text, introduction)
            case RaiseEpoch(boot):
                self._raise_epoch(boot)
            case Stop(error):
                self._log.error("node_stopped", error=str(error), code=type(error).__name__)
                self._stopped(error)

    def _raise_epoch(self, boot: int) -> None:
        """The counter is on disk before the epoch is used; then everybody is greeted again."""
        self.core.epoch_raised(self.state.next_boot(at_least=boot), now=self.now)
        self._tell_siblings()
        self.links.renew("this node raised its epoch")
        self.discovery.hello_changed(self._hello())
        self.driver.wake()

    def _flush_links(self) -> None:
        self.links.flush()
        if not self._drained.is_set():
            self._drained.set()

    # Small duties.

    def _tell_siblings(self) -> None:
        addresses = tuple(str(address) for address in here(self.listen_addresses))
        self.state.write_listen(addresses, epoch=self.core.epoch)

    def _hello(self) -> Hello:
        return Hello(
            version=PROTOCOL_VERSION,
            features=(),
            epoch=self.core.epoch,
            uptime_s=self.now - self._started_at,
            name=self.name,
            addresses=self._advertised,
            mesh=self.mesh,
        )

    def _consumed(self, source: NodeId, inbox: int, size: int) -> None:
        self.core.data.consumed(source, inbox, size, now=self.now)
        self.driver.wake()

    def _handler_failed(self, source: NodeId, error: BaseException) -> None:
        self._log.warning("handler_failed", source=source.short, exc_info=error)
        self._emit(
            HandlerFailed(
                at=self.clock.wall(), source=source, target="on_message", error=repr(error)
            )
        )

    def _no_handler(self, count: int) -> None:
        self.core.drops["no_handler"] = self.core.drops.get("no_handler", 0) + count

    def _cancel_call(self, call_id: int) -> None:
        self.core.service.cancel(call_id)
        self.driver.wake()

    async def _ask_authority(self, node: NodeId, request: bytes) -> bytes:
        outcome = await self.work_on(
            JOIN_PROCESS,
            msgspec.Raw(msgspec.msgpack.encode(request)),
            node=node,
            timeout_s=None,
            priority=Priority.HIGH,
        )
        answer: bytes = outcome.call_result(bytes).result
        return answer

    def _emit(self, event: Event) -> None:
        self._log.info(event.name, **_fields(event))
        self.hub.emit(event)


def _fields(event: Event) -> dict[str, Any]:
    """An event's fields as a log line wants them."""
    fields = msgspec.to_builtins(event, enc_hook=str, builtin_types=())
    return {key: value for key, value in fields.items() if key not in ("event", "at")}
