"""The life of one MeshNetwork: not yet started, running, closed, or stopped by itself."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from mreza.balancing.balancer import Balancer
from mreza.config.mesh import MeshConfig
from mreza.errors import NotRunning
from mreza.node.control_socket import ControlledNode, ControlSocket
from mreza.node.listening import control_socket_path
from mreza.node.running import RunningNode

STOP_TIMEOUT_S = 5.0
"For the last words of a node that must not go on."

Registration = Callable[[RunningNode], None]


class Life:
    """Starts the node and its control socket, ends both, and says why there is none."""

    def __init__(self, config: MeshConfig, served: ControlledNode) -> None:
        """`served` is what the control socket asks."""
        self._config = config
        self._served = served
        self._running: RunningNode | None = None
        self._control: ControlSocket | None = None
        self._registrations: list[Registration] = []
        self._pid = os.getpid()
        self._closed = asyncio.Event()
        self._starting: asyncio.Task[None] | None = None
        self._starters = 0
        "How many wait for the start."
        self._stopping: asyncio.Task[None] | None = None
        self.error: Exception | None = None
        "Why the node stopped by itself."

    @property
    def running(self) -> RunningNode | None:
        """The node, if it runs."""
        return self._running

    @property
    def node(self) -> RunningNode:
        """The node.

        Raises:
            NotRunning: not yet, no longer, or in another process.
        """
        running = self._running
        if running is None:
            if self.error is not None:
                raise NotRunning(f"the node stopped: {self.error}") from self.error
            raise NotRunning(
                "the node does not run; `await mesh.initialize()` or `async with` first"
            )
        if self._pid != os.getpid():
            raise NotRunning(
                f"this MeshNetwork belongs to process {self._pid}; after a fork make a new one"
            )
        return running

    def register(self, registration: Registration) -> None:
        """Tell the node now, if it runs, and whenever it starts."""
        self._registrations.append(registration)
        if self._running is not None:
            registration(self.node)

    async def start(self, balancer: Balancer) -> None:
        """Open the node and its control socket; nothing happens if it runs already.

        Who asks while it starts waits for the same start. It is given up when nobody waits for it
        any more.

        Raises:
            NotRunning: it was closed, perhaps while it started.
            DuplicateIdentity: another process runs as this node.
            StateError, AdmissionError: as `RunningNode.open`.
        """
        if self._running is not None:
            return
        if self._closed.is_set():
            raise NotRunning("this MeshNetwork was closed; make a new one")
        starting = self._starting
        if starting is None:
            starting = asyncio.create_task(self._start(balancer), name="mreza-start")
            self._starting = starting
            starting.add_done_callback(self._started)
        self._starters += 1
        try:
            await asyncio.wait((starting,))
        except asyncio.CancelledError:
            if self._starters == 1:
                await self._give_up_start()
            raise
        finally:
            self._starters -= 1
        if starting.cancelled():
            raise NotRunning("this MeshNetwork was closed while it started; make a new one")
        starting.result()

    async def _start(self, balancer: Balancer) -> None:
        self._pid = os.getpid()
        running = await RunningNode.open(self._config, balancer=balancer, stopped=self._stopped)
        try:
            for register in self._registrations:
                register(running)
            await running.start()
            path = control_socket_path(running.state_directory, os.environ)
            control = ControlSocket(self._served, path)
            await control.open()
        except BaseException:
            await running.close(timeout_s=1.0)
            raise
        self._control = control
        if self.error is not None:
            # It met its double while it started.
            await self._shut(running, STOP_TIMEOUT_S)
            raise self.error
        self._running = running

    def _started(self, starting: asyncio.Task[None]) -> None:
        self._starting = None
        if not starting.cancelled():
            starting.exception()  # told to all who waited; there may be none

    async def _give_up_start(self) -> None:
        """End a start that is under way, and wait until it has cleared away."""
        starting = self._starting
        if starting is not None:
            starting.cancel()
            await asyncio.wait((starting,))

    async def close(self, timeout_s: float) -> None:
        """Say goodbye to neighbors and stop; returns within `timeout_s` whatever happens."""
        await self._give_up_start()
        running, self._running = self._running, None
        if running is not None and self._pid == os.getpid():
            self._stop(running, timeout_s)
        if self._stopping is None:
            self._closed.set()
            return
        await asyncio.wait((self._stopping,))
        self._stopping.result()

    def killed(self, error: Exception) -> None:
        """Its process is no more (a simulated one): nobody is told, and nothing is written."""
        self.error = error
        running, self._running, self._control = self._running, None, None
        if running is not None:
            running.program.close(NotRunning(str(error)))
            running.hub.close()
        self._closed.set()

    async def wait_closed(self) -> None:
        """Wait until `close` is over, or the node has stopped by itself."""
        await self._closed.wait()

    async def _shut(self, running: RunningNode, timeout_s: float) -> None:
        control, self._control = self._control, None
        if control is not None:
            await control.close()
        await running.close(timeout_s=timeout_s)

    def _stopped(self, error: Exception) -> None:
        """The node cannot go on (called on the event loop)."""
        self.error = error
        running, self._running = self._running, None
        if running is None:
            self._closed.set()
            return
        self._stop(running, STOP_TIMEOUT_S)

    def _stop(self, running: RunningNode, timeout_s: float) -> None:
        """In a task of its own: whoever closes may be a handler, which closing cancels."""
        self._stopping = asyncio.create_task(self._shut(running, timeout_s), name="mreza-stop")
        self._stopping.add_done_callback(lambda _: self._closed.set())
