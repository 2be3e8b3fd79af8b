"""A node that runs: its core, its driver, its links and its handlers, with one owner and one end.

Carries out what the core wants. What links hear goes through `link_news`, what a program asks
through `program`; nothing is decided here that a plane could decide.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from mreza import __version__
from mreza.address import DEFAULT_PORT, Address
from mreza.balancing.balancer import Balancer
from mreza.clock import Clock
from mreza.config.mesh import MeshConfig
from mreza.errors import NotRunning, StateError
from mreza.events import Event, HandlerFailed, LoopHeld
from mreza.ids import MeshId, NodeId
from mreza.io.host import Host, current_host
from mreza.io.interfaces import here
from mreza.io.loop_watch import LoopWatch
from mreza.node.discovery import Discovery
from mreza.node.door import Door
from mreza.node.driver import Driver
from mreza.node.event_hub import EventHub
from mreza.node.inbox import Inbox
from mreza.node.link_news import LinkNews
from mreza.node.links import Links
from mreza.node.load_meter import LoadMeter
from mreza.node.logs import Log
from mreza.node.observer import Observer
from mreza.node.program import Program
from mreza.node.state import NodeState, open_node
from mreza.node.work import Work
from mreza.planes.core import NodeCore
from mreza.planes.effects import (
    AddressesLearned,
    Announce,
    CallProgress,
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
from mreza.qos import Priority
from mreza.wire.join import JOIN_PROCESS
from mreza.wire.link import PROTOCOL_VERSION, Hello

ANSWERS_S = 2.0
"How long the last answers of a node that finishes its work get to arrive."
LAST_ANSWERS_S = 0.25
"The same for a node that closes without finishing: what was done is told, and nothing waited for."
FAREWELL_S = 0.1
"How long a signed farewell gets to leave the send queues before the links close."
CLOSED = "closed"
"The reason of a farewell for which the program gave none."
RAISE_AGAIN_S = 1.0
"How often a boot counter that could not be written is tried again."
_log = Log("mreza")


class RunningNode:
    """One node between `start` and `close`."""

    def __init__(
        self,
        config: MeshConfig,
        *,
        state: NodeState,
        core: NodeCore,
        host: Host,
        stopped: Callable[[Exception], None],
    ) -> None:
        self.config = config
        self.state = state
        self.core = core
        self.clock: Clock = host.clock
        clock = self.clock
        self.hub = EventHub()
        self.listen_addresses: tuple[Address, ...] = ()
        self._advertised: tuple[str, ...] = ()
        self._raise_again: asyncio.TimerHandle | None = None
        self._stopped = stopped
        self._started_at = clock.monotonic()
        self._log = _log.bind(me=state.name)
        self.driver = Driver(
            core,
            clock=clock,
            carry_out=self._carry_out,
            flush_links=self._flush_links,
            measure=LoadMeter(
                core.service.measured, cpu_times=host.cpu_times, memory=host.memory
            ).measure,
        )
        self.inbox = Inbox(
            consumed=self._consumed, failed=self._handler_failed, dropped=self._no_handler
        )
        self.program = Program(
            core, config=config.messaging, driver=self.driver, inbox=self.inbox, clock=clock
        )
        self.work = Work(
            core,
            inbox=self.inbox,
            threads=config.processes.threads,
            pool_processes=config.processes.pool_processes,
            clock=clock,
            wake=self.driver.wake,
        )
        self.door = Door(core, state, clock=clock, ask_authority=self._ask_authority)
        self.links = Links(
            credentials=state.credentials,
            hello=self._hello,
            config=config.link,
            events=LinkNews(
                core,
                finder=lambda: self.discovery,
                clock=clock,
                emit=self._emit,
                wake=self.driver.wake,
                log=self._log,
            ),
            clock=clock,
            newest_introduction=core.control.newest_introduction,
            joins=self.door,
        )
        self.discovery = Discovery(
            config,
            state=state,
            links=self.links,
            rng=host.random(),
            clock=clock,
            side=lambda: 1 + len(core.control.routes),
        )
        self.observer = Observer(core, self.links, state)
        self._watch = LoopWatch(noticed=self._loop_is_held, over=self._loop_was_held)

    # Life.

    @classmethod
    async def open(
        cls, config: MeshConfig, *, balancer: Balancer, stopped: Callable[[Exception], None]
    ) -> RunningNode:
        """Take the state directory, raise the boot counter on disk, and make a node of both.

        Raises:
            StateError, AdmissionError: as `open_node`.
        """
        host = current_host()
        clock = host.clock
        opening = asyncio.ensure_future(
            asyncio.to_thread(
                open_node,
                config.security.state_directory(host.environment()),
                config.name,
                mesh_name=config.security.mesh,
                wall=clock.wall(),
            )
        )
        try:
            state = await asyncio.shield(opening)
        except asyncio.CancelledError:
            # The thread goes on, and locks the folder when nobody wants it any more.
            opening.add_done_callback(_close_unwanted)
            raise
        try:
            core = NodeCore(
                credentials=state.credentials,
                name=state.name,
                addresses=(),
                boot=await asyncio.to_thread(state.next_boot),
                config=config,
                rng=host.random(),
                now=clock.monotonic(),
                wall=clock.wall(),
                version=__version__,
            )
            core.service.balancer = balancer
            return cls(config, state=state, core=core, host=host, stopped=stopped)
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
        self._watch.start()
        await self.discovery.start(self._hello())
        self.driver.wake()

    async def close(self, *, timeout_s: float) -> None:
        """Send what waits, say farewell, end every task; returns within `timeout_s` or so."""
        self.core.retire(now=self.now)
        self.driver.turn_now()
        # A farewell overtakes answers that wait, and makes lost work of what they tell.
        await self.program.emptied(min(LAST_ANSWERS_S, timeout_s / 4))
        self.core.control.farewell(CLOSED, now=self.now)
        self.driver.turn_now()
        await self.discovery.close()
        await self.links.close(timeout_s=timeout_s)
        self.driver.close()
        self._watch.close()
        if self._raise_again is not None:
            self._raise_again.cancel()
        self.program.close(NotRunning("the node was closed while this call was in flight"))
        await self.inbox.close()
        await self.work.close()
        self.hub.close()
        self.state.close()

    async def finish_work(self, timeout_s: float, on_progress: Callable[[int], None]) -> int:
        """Take no more work and let what runs end; how many handlers run even then."""
        self.core.retire(now=self.now)
        self.driver.wake()
        left = await self.work.idle(timeout_s, on_progress)
        # A farewell would overtake the last answers, and make lost work of what was done.
        await self.program.emptied(ANSWERS_S)
        return left

    async def leave(self, reason: str) -> None:
        """Say farewell to the whole mesh and give it a moment to spread."""
        self.core.control.farewell(reason, now=self.clock.monotonic())
        self.driver.turn_now()
        await asyncio.sleep(FAREWELL_S)

    # Who and where.

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
                self.program.waiting.resolve(effect)
            case CallProgress():
                self.program.waiting.progressed(effect)
            case InboundControl():
                self.program.probes.answered(effect.source, effect.control)
            case CancelHandler(run_id):
                self.work.cancel(run_id)
            case Announce(event):
                self._emit(event)
            case RoutesLead(next_hops):
                self.links.carry(next_hops)
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
        try:
            boot = self.state.next_boot(at_least=boot)
        except StateError as error:
            # Without it nobody takes us for who we are: until the disk has room, or we are closed.
            self._log.error("epoch_not_raised", error=str(error))
            again = asyncio.get_running_loop().call_later(RAISE_AGAIN_S, self._raise_epoch, boot)
            self._raise_again = again
            return
        self.core.epoch_raised(boot, now=self.now)
        try:
            self._tell_siblings()
        except StateError as error:
            self._log.warning("siblings_not_told", error=str(error))
        self.links.renew("this node raised its epoch")
        self.discovery.hello_changed(self._hello())
        self.driver.wake()

    def _flush_links(self) -> None:
        self.links.flush()
        self.program.written()

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

    def _loop_is_held(self, handler: str, held_s: float) -> None:
        """Told by another thread, because this one hears nothing."""
        self._log.warning("loop_is_held", handler=handler, held_s=round(held_s, 3))

    def _loop_was_held(self, handler: str, held_s: float) -> None:
        self._emit(LoopHeld(at=self.clock.wall(), handler=handler, held_s=held_s))

    def _no_handler(self, count: int) -> None:
        self.core.drops["no_handler"] = self.core.drops.get("no_handler", 0) + count

    async def _ask_authority(self, node: NodeId, request: bytes) -> bytes:
        outcome = await self.program.call(
            JOIN_PROCESS, request, node=node, timeout_s=None, priority=Priority.HIGH
        )
        answer: bytes = outcome.call_result(bytes).result
        return answer

    def _emit(self, event: Event) -> None:
        self._log.info(event.name, **_fields(event))
        self.hub.emit(event)


def _close_unwanted(opening: asyncio.Future[NodeState]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()


def _fields(event: Event) -> dict[str, Any]:
    """An event's fields as a log line wants them."""
    fields = msgspec.to_builtins(event, enc_hook=str, builtin_types=())
    return {key: value for key, value in fields.items() if key not in ("event", "at")}
