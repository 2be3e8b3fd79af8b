"""`mreza up`: one node in the foreground, from `ready` to a clean end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from mreza.cli.app_object import call_app, load_app
from mreza.cli.logs import set_up_logs
from mreza.cli.output import say
from mreza.cli.problems import DONE, CommandFailed
from mreza.config.mesh import MeshConfig
from mreza.errors import DuplicateIdentity
from mreza.io.loop import new_event_loop
from mreza.node.mesh import MeshNetwork
from mreza.node.mesh_folder import find_mesh

CLOSE_TIMEOUT_S = 1.0
"A node says goodbye within a second, so that the process ends within two."

log = structlog.get_logger("mreza")


@dataclass(frozen=True)
class UpOptions:
    """What was said on the command line; None: not said."""

    state: Path
    name: str | None = None
    listen: str | None = None
    advertise: str | None = None
    peers: tuple[str, ...] = ()
    only_peers: bool | None = None
    dns: tuple[str, ...] = ()
    no_lan: bool = False
    no_mdns: bool = False
    app: str | None = None
    profile: str | None = None
    config: Path | None = None
    log_format: str | None = None
    log_level: str = "info"


def configuration(options: UpOptions) -> MeshConfig:
    """Options, then the environment, then the file, then the defaults.

    Raises:
        ConfigError: a setting does not exist or is not allowed.
    """
    given: dict[str, Any] = {
        key: value
        for key in ("name", "listen", "advertise", "profile", "app")
        if (value := getattr(options, key)) is not None
    }
    given["security"] = {"state": options.state}
    discovery: dict[str, Any] = {}
    if options.peers:
        discovery["peers"] = options.peers
    if options.dns:
        discovery["dns"] = options.dns
    if options.no_lan:
        discovery["lan"] = False
    if options.no_mdns:
        discovery["mdns"] = False
    if discovery:
        given["discovery"] = discovery
    if options.only_peers is not None:
        given["topology"] = {"only_peers": options.only_peers}
    return MeshConfig.load(options.config, **given)


def run_up(options: UpOptions) -> int:
    """Run a node until it is told to stop; the exit status."""
    set_up_logs(options.log_format, options.log_level)
    config = configuration(options)
    function = None if config.app is None else load_app(config.app)

    state = config.security.state_directory()
    if find_mesh(state) is None:
        log.info("no mesh here yet: making one", state=str(state), mesh=config.security.mesh)

    async def main() -> int:
        mesh = MeshNetwork(config=config)
        if function is not None:
            await call_app(function, mesh, spec=str(config.app))
        return await run_node(mesh)

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(main())


async def run_node(mesh: MeshNetwork) -> int:
    """Start the node, say `ready`, and wait for a signal or the node's own end.

    Raises:
        CommandFailed: the node stopped by itself, for a reason that is no one's wish.
    """
    stop = asyncio.Event()
    _on_signals(stop)
    stopping = asyncio.create_task(stop.wait(), name="mreza-signal")
    starting = asyncio.create_task(mesh.initialize(), name="mreza-start")
    try:
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            return DONE
        await starting
        listening = ",".join(map(str, mesh.listen_addresses))
        say(f"ready node={mesh.node_id} listen={listening}")
        closed = asyncio.create_task(mesh.wait_closed(), name="mreza-closed")
        try:
            await asyncio.wait({closed, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            closed.cancel()
    finally:
        stopping.cancel()
        starting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(starting, return_exceptions=True)
        await mesh.close(timeout_s=CLOSE_TIMEOUT_S)
    _explain_end(mesh)
    return DONE


def _explain_end(mesh: MeshNetwork) -> None:
    error = mesh.closed_error
    if error is None:
        return
    if isinstance(error, DuplicateIdentity):
        raise CommandFailed(f"DUPLICATE_IDENTITY: {error}") from error
    raise CommandFailed(f"the node stopped: {type(error).__name__}: {error}") from error


def _on_signals(stop: asyncio.Event) -> None:
    """The first SIGINT or SIGTERM closes in order, the second ends the process at once."""
    loop = asyncio.get_running_loop()

    def stopped(number: int) -> None:
        if stop.is_set():
            os._exit(128 + number)
        log.info("stopping", signal=signal.Signals(number).name)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, stopped, number)
        except NotImplementedError:
            # Windows: the interpreter's own handler, which may come a moment later.
            signal.signal(number, lambda number, _: loop.call_soon_threadsafe(stopped, number))
