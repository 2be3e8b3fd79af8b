"""MeshNetwork: one node of a mesh, as a program sees it."""

from __future__ import annotations

from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    Callable,
    Iterable,
    Sequence,
)
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar

from mreza.address import Address
from mreza.config.load_balancer import Strategy
from mreza.config.mesh import MeshConfig
from mreza.errors import ConfigError
from mreza.ids import MeshId, NodeId
from mreza.io.host import current_host
from mreza.messaging.message import Message, Receipt
from mreza.node.life import Life
from mreza.node.load_balancer import LoadBalancer
from mreza.node.mapping import IN_FLIGHT, Mapping, MapResult
from mreza.node.running import RunningNode
from mreza.node.sight import Node, Sight
from mreza.node.views import CallResult
from mreza.processes.handlers import ProcessSpec
from mreza.qos import Delivery, Priority

Handler = TypeVar("Handler", bound=Callable[..., Any])


class MeshNetwork(Sight):
    """A node: it finds the others, proves who it is, carries messages and does work.

    Nothing happens before `initialize` (or `async with`); every method with a result has a deadline
    (`timeout_s`, default `MessagingConfig.timeout_s`). Several may live in one process. Not safe to
    call from other threads than the event loop's.
    """

    def __init__(
        self,
        *,
        name: str | None = None,
        listen: str | None = None,
        advertise: str | None = None,
        profile: str | None = None,
        app: str | None = None,
        config: MeshConfig | None = None,
        load_balancer: LoadBalancer | None = None,
        **sections: Any,
    ) -> None:
        """Take settings; sections are `discovery_config=`, `security_config=`, … or one `config=`.

        Raises:
            ConfigError: a section or value that does not exist, with the nearest right one.
        """
        given = {
            **_sections(sections),
            **{
                key: value
                for key, value in (
                    ("name", name),
                    ("listen", listen),
                    ("advertise", advertise),
                    ("profile", profile),
                    ("app", app),
                )
                if value is not None
            },
        }
        self._config = (
            MeshConfig.load(env=current_host().environment(), **given)
            if config is None
            else config.with_changes(**given)
        )
        self._load_balancer = load_balancer or LoadBalancer.from_config(self._config.load_balancer)
        self._life = Life(self._config, self)
        self._load_balancer.attach(self)

    @classmethod
    def from_toml(cls, path: str | Path, **given: Any) -> Self:
        """A node with the settings of a TOML file."""
        return cls(config=MeshConfig.load(path, env=current_host().environment()), **given)

    # Life.

    async def initialize(self) -> None:
        """Open the state directory (making a mesh on first use), listen, and look for others.

        Called again, also while it starts, it waits for the one start.

        Raises:
            NotRunning: the node was closed.
            StateError: the state directory is in use or damaged.
            AdmissionError: this state directory needs a join token first.
        """
        await self._life.start(self._load_balancer.balancer)

    async def close(self, timeout_s: float = 5.0) -> None:
        """Say farewell to the mesh and stop; returns within `timeout_s` whatever happens.

        Handlers are cancelled; who waits for them hears at once that the worker is lost. To finish
        first, `await finish_work()`.
        """
        await self._life.close(timeout_s)

    async def leave(self, reason: str = "") -> None:
        """Tell the whole mesh, signed, why this node leaves on purpose; then close."""
        await self._node.leave(reason)
        await self.close()

    async def finish_work(
        self, timeout_s: float = 30.0, *, on_progress: Callable[[int], None] | None = None
    ) -> int:
        """Take no more work and wait for what runs; how many handlers run even then.

        Calls that wait here go to other nodes. `on_progress` is told how many handlers run, at once
        and whenever one has ended. The rest of the node goes on; `leave` or `close` it.
        """
        return await self._node.finish_work(timeout_s, on_progress or (lambda _: None))

    async def wait_closed(self) -> None:
        """Wait until the node is closed, by `close` or by itself (see `closed_error`)."""
        await self._life.wait_closed()

    @property
    def closed_error(self) -> Exception | None:
        """Why the node stopped by itself (`DuplicateIdentity`), or None."""
        return self._life.error

    async def __aenter__(self) -> Self:
        await self.initialize()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    # Who and where.

    @property
    def config(self) -> MeshConfig:
        """The settings, as joined from arguments, environment and file."""
        return self._config

    @property
    def node_id(self) -> NodeId:
        return self._node.me

    @property
    def name(self) -> str:
        """This node's name; a label, unique only by custom."""
        return self._node.name

    @property
    def mesh_id(self) -> MeshId:
        return self._node.mesh

    @property
    def listen_addresses(self) -> tuple[Address, ...]:
        """Where this node listens."""
        return self._node.listen_addresses

    @property
    def state_directory(self) -> Path:
        """The folder of this node: key, certificate, control socket."""
        return self._node.state_directory

    @property
    def load_balancer(self) -> LoadBalancer:
        return self._load_balancer

    def use_load_balancer(self, load_balancer: LoadBalancer) -> None:
        """Let it pick the worker of every call from now on."""
        self._load_balancer = load_balancer
        if self._life.running is not None:
            self._life.running.core.service.balancer = load_balancer.balancer
        load_balancer.attach(self)

    # Talk.

    def send(
        self,
        node: Node,
        payload: Any,
        *,
        priority: Priority = Priority.NORMAL,
        delivery: Delivery = Delivery.AT_LEAST_ONCE,
    ) -> None:
        """Put a payload into the outbox for another node's `on_message` handler; returns at once.

        Raises:
            OutboxFull: 4 MiB wait for that node; `await drain()` first.
            UnknownNode, AmbiguousName, PayloadError.
        """
        self._life.node.program.send(node, payload, priority=priority, delivery=delivery)

    def send_many(
        self,
        node: Node,
        payloads: list[Any],
        *,
        priority: Priority = Priority.NORMAL,
        delivery: Delivery = Delivery.AT_LEAST_ONCE,
    ) -> None:
        """`send` each of a list, in order."""
        program = self._node.program
        destination = program.resolve(node)
        for payload in payloads:
            program.send(destination, payload, priority=priority, delivery=delivery)

    async def drain(self, node: Node | None = None, *, timeout_s: float | None = None) -> None:
        """Wait until at most half of the outbox (of one node, or of each) is still waiting.

        Raises:
            DeadlineExceeded: it was not, in time.
        """
        await self._node.program.drain(node, timeout_s=timeout_s)

    async def send_message(self, message: Message) -> Receipt:
        """Send `message` and wait until its handler has returned.

        Raises:
            NoRoute, UnknownNode, NoSuchProcess, Overloaded, DeadlineExceeded: it was not handled,
                or nobody knows.
            WorkerLost: the worker vanished and the work must not be run twice.
            RemoteError: the handler raised; also of the builtin type of that name.
        """
        return await self._node.program.send_message(message)

    def on_message(self, handler: Handler) -> Handler:
        """Call this function for every message to this node; it replaces the one before.

        An `async def` is awaited; a plain function runs on the event loop and must return quickly.
        Messages of plain `send` are handled one after another, in order; those whose sender waits
        for a receipt may overlap. What the handler returns is the `result` of that receipt.
        """
        self._life.register(lambda node: node.program.set_message_handler(handler))
        return handler

    # Work.

    def process(
        self,
        name: str = "default",
        *,
        concurrency: int | None = None,
        executor: str | None = None,
        idempotent: bool = False,
        timeout_s: float | None = None,
        roles: Sequence[str] = (),
    ) -> Callable[[Handler], Handler]:
        """Offer work: `async def` runs on the event loop, a plain `def` in a thread.

        `executor="process"` runs a plain function, found at the top level of its module, in a pool
        process of this machine: it may use a whole CPU, and is killed when its call is cancelled or
        too late. If it kills its process (by a crash, say), callers see `WorkerLost`.
        `roles`: only nodes whose certificate has one of these offer it.
        """

        def decorate(handler: Handler) -> Handler:
            spec = ProcessSpec(
                name,
                handler,
                concurrency=concurrency,
                executor=executor,  # type: ignore[arg-type]  # checked there, in a user's words
                idempotent=idempotent,
                timeout_s=timeout_s,
                roles=roles,  # type: ignore[arg-type]  # checked and made a tuple there
            )
            self._life.register(lambda node: node.program.register_process(spec))
            return handler

        return decorate

    def unregister_process(self, name: str) -> None:
        """Offer this work no longer."""
        self._node.program.unregister_process(name)

    async def call(
        self,
        name: str,
        payload: Any = None,
        *,
        timeout_s: float | None = None,
        priority: Priority = Priority.NORMAL,
        node: Node | None = None,
        key: str | None = None,
        idempotency_key: str = "",
        on_progress: Callable[[Any], None] | None = None,
        strategy: Strategy | str | None = None,
        hedge: bool | float = False,
        result_type: Any = Any,
    ) -> Any:
        """Have a process run on some node that offers it (or on `node`) and return its result.

        `on_progress` is called, on the event loop, with what the handler gives `context.progress`.
        A worker that has done work under this `idempotency_key` answers again without doing it
        again (see `Message`). `strategy` picks the worker of this call only. `hedge` asks a second
        worker when the answer is late, after so many seconds or (True) after what 95 % of answers
        take, if the process is idempotent. Cancelling the call cancels its handler.

        Raises as `send_message` does.
        """
        done = await self.call_detailed(
            name,
            payload,
            timeout_s=timeout_s,
            priority=priority,
            node=node,
            key=key,
            idempotency_key=idempotency_key,
            on_progress=on_progress,
            strategy=strategy,
            hedge=hedge,
            result_type=result_type,
        )
        return done.result

    async def call_detailed(
        self,
        name: str,
        payload: Any = None,
        *,
        timeout_s: float | None = None,
        priority: Priority = Priority.NORMAL,
        node: Node | None = None,
        key: str | None = None,
        idempotency_key: str = "",
        on_progress: Callable[[Any], None] | None = None,
        strategy: Strategy | str | None = None,
        hedge: bool | float = False,
        result_type: Any = Any,
    ) -> CallResult:
        """As `call`, and tell who did it, how long it took and at which attempt."""
        outcome = await self._node.program.call(
            name,
            payload,
            node=node,
            timeout_s=timeout_s,
            priority=priority,
            key=key,
            idempotency_key=idempotency_key,
            on_progress=on_progress,
            strategy=strategy,
            hedge=hedge,
        )
        return outcome.call_result(result_type)

    def map(
        self,
        name: str,
        payloads: Iterable[Any] | AsyncIterable[Any],
        *,
        in_flight: int = IN_FLIGHT,
        ordered: bool = False,
        on_progress: Callable[[int], None] | None = None,
        on_item_progress: Callable[[int, Any], None] | None = None,
        timeout_s: float | None = None,
        priority: Priority = Priority.NORMAL,
        result_type: Any = Any,
    ) -> AsyncGenerator[MapResult, None]:
        """Call a process once for each payload, at most `in_flight` at a time.

        Results come as they finish, or in order; an item's error is in its `MapResult` and does
        not end the others. `on_progress` is told how many are done; `on_item_progress` the place of
        an item and what its handler gave `context.progress`. Leaving the loop cancels what is in
        flight.
        """

        async def ask(index: int, payload: Any) -> CallResult:
            return await self.call_detailed(
                name,
                payload,
                timeout_s=timeout_s,
                priority=priority,
                on_progress=None if on_item_progress is None else partial(on_item_progress, index),
                result_type=result_type,
            )

        if in_flight < 1:
            raise ConfigError(f"in_flight is {in_flight}, must be 1 or more")
        mapping = Mapping(
            ask, payloads, in_flight=in_flight, ordered=ordered, on_progress=on_progress
        )
        return mapping.results()

    # Inside.

    @property
    def _node(self) -> RunningNode:
        return self._life.node


def _sections(given: dict[str, Any]) -> dict[str, Any]:
    """`discovery_config=…` as the section `discovery`."""
    for key in given:
        if not key.endswith("_config"):
            raise ConfigError(
                f"MeshNetwork takes no argument {key!r}; sections are written discovery_config=…"
            )
    return {
        key.removesuffix("_config"): section
        for key, section in given.items()
        if section is not None
    }
