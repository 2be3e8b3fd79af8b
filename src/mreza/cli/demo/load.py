"""`mreza demo --load`: twice the work that four workers can do, in four priorities.

Workers are processes of their own, with room for a second of work; the requests come at random
times, whatever becomes of those before, as those of many users do. This process is a node, too, and
asks.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from mreza.cli.admission import make_mesh
from mreza.cli.demo.load_tally import LoadTally
from mreza.cli.demo.load_view import LiveLoad, LoadView, PlainLoad
from mreza.cli.demo.nodes import DemoNode
from mreza.cli.demo.signals import run_to_the_end
from mreza.cli.demo.worker import MEAN_S, SERVICE
from mreza.cli.logs import set_up_logs
from mreza.cli.output import show_json
from mreza.cli.problems import DONE, FAILED
from mreza.config.discovery import DiscoveryConfig
from mreza.config.load_balancer import LoadBalancerConfig, Strategy
from mreza.config.mesh import MeshConfig
from mreza.config.security import SecurityConfig
from mreza.errors import MeshError
from mreza.node.mesh import MeshNetwork
from mreza.qos import Priority

WORKERS = 4
SERVICE_MEAN_S = 0.02
WARM_UP_S = 2.0
WARM_UP_LOAD = 1.3
"Times what the workers could do if a sleep took no longer than it says: they are never idle."
OVERLOAD = 2.0
CALL_TIMEOUT_S = 15.0
UPDATE_S = 0.125
SHARES = {Priority.LOW: 0.6, Priority.NORMAL: 0.1, Priority.HIGH: 0.2, Priority.CRITICAL: 0.1}
"Of what is offered. HIGH and CRITICAL together are three fifths of what the workers can do."
BOUNDED = {"MREZA_PROCESSES__WAIT_S": "1", MEAN_S: str(SERVICE_MEAN_S)}
"Full after a second of work, not ten: the demo is short."


@dataclass(frozen=True)
class LoadOptions:
    """What was said on the command line."""

    seconds: float = 10.0
    as_json: bool = False


def run_load(options: LoadOptions) -> int:
    """Run the demo; 0 when all promises were kept."""
    set_up_logs(None, "error")
    view = LoadView(Console(stderr=options.as_json))
    return run_to_the_end(LoadDemo(options, view).run)


class LoadDemo:
    """One run."""

    def __init__(self, options: LoadOptions, view: LoadView) -> None:
        self._options = options
        self._view = view
        self._chance = random.Random(7)  # noqa: S311 - when requests come, not a secret

    async def run(self) -> int:
        """Everything; the exit status."""
        self._view.note(
            f"{WORKERS} workers, each doing one request at a time; {OVERLOAD:g} × more than they "
            "can do is asked of them"
        )
        async with AsyncExitStack() as stack:
            folder = tempfile.TemporaryDirectory(prefix="mreza-demo-", ignore_cleanup_errors=True)
            stack.callback(folder.cleanup)
            state = Path(folder.name) / "state"
            workers = [
                DemoNode(f"worker-{number}", Path(folder.name), state=state)
                for number in range(1, WORKERS + 1)
            ]
            stack.push_async_callback(_end, workers)
            mesh = await stack.enter_async_context(await self._set_up(state, workers))
            for worker in workers:
                await mesh.wait_for(worker.name)
            nominal = WORKERS / SERVICE_MEAN_S
            warm = LoadTally(capacity_per_s=nominal)
            await self._offer(mesh, warm, rate_per_s=WARM_UP_LOAD * nominal, seconds=WARM_UP_S)
            capacity = warm.goodput_per_s
            self._view.step(
                f"with as much as they can do, they do {capacity:.0f} requests a second"
            )
            rate = OVERLOAD * capacity
            self._view.note(
                f"{rate:.0f} a second for {self._options.seconds:g} s: "
                + ", ".join(f"{100 * share:.0f} % {rank.name}" for rank, share in SHARES.items())
            )
            tally = LoadTally(capacity_per_s=capacity)
            with self._view.watch(tally) as live:
                watching = asyncio.create_task(_keep_current(live), name="demo-watch")
                try:
                    await self._offer(
                        mesh, tally, rate_per_s=rate, seconds=self._options.seconds, shares=SHARES
                    )
                finally:
                    watching.cancel()
                    await asyncio.gather(watching, return_exceptions=True)
        self._view.outcome(tally)
        if self._options.as_json:
            show_json(tally.to_json())
        return FAILED if tally.broken_promises() else DONE

    async def _set_up(self, state: Path, workers: list[DemoNode]) -> MeshNetwork:
        make_mesh(state, mesh="demo", name="asker")
        for worker in workers:
            await worker.start(app="mreza.cli.demo.worker:offer_service", peers=None, env=BOUNDED)
            self._view.step(f"{worker.name} runs: pid {worker.pid}, listens on {worker.address}")
        # Not `load`: what the environment says is meant for the user's own nodes.
        return MeshNetwork(
            config=MeshConfig(
                name="asker",
                listen="127.0.0.1:0",
                security=SecurityConfig(state=state),
                discovery=DiscoveryConfig(lan=False, mdns=False),
                load_balancer=LoadBalancerConfig(strategy=Strategy.LEAST_LOADED),
            )
        )

    async def _offer(
        self,
        mesh: MeshNetwork,
        tally: LoadTally,
        *,
        rate_per_s: float,
        seconds: float,
        shares: dict[Priority, float] | None = None,
    ) -> None:
        """Ask at so many random times a second, for so long, and wait for all answers."""
        ranks, weights = zip(*(shares or {Priority.NORMAL: 1.0}).items(), strict=True)
        began = at = time.monotonic()

        async def ask(number: int, rank: Priority) -> None:
            asked_at = time.monotonic()
            error: Exception | None = None
            try:
                await mesh.call(SERVICE, number, timeout_s=CALL_TIMEOUT_S, priority=rank)
            except MeshError as failure:
                error = failure
            now = time.monotonic()
            tally.ended(rank, took_s=now - asked_at, at_s=now - began, error=error)

        number = 0
        async with asyncio.TaskGroup() as group:
            while (at := at + self._chance.expovariate(rate_per_s)) < began + seconds:
                await asyncio.sleep(max(0.0, at - time.monotonic()))
                (rank,) = self._chance.choices(ranks, weights)
                tally.offered(rank)
                group.create_task(ask(number, rank), name=f"demo-ask-{number}")
                number += 1


async def _keep_current(live: LiveLoad | PlainLoad) -> None:
    while True:
        live.update()
        await asyncio.sleep(UPDATE_S)


async def _end(workers: list[DemoNode]) -> None:
    for worker in workers:
        worker.terminate()
    for worker in workers:
        await worker.end()
