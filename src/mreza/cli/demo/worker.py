"""What the demos' nodes register: `mreza up --app mreza.cli.demo.worker:offer_work`."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import threading
import time
from typing import TYPE_CHECKING, TypedDict

from mreza.cli.demo.measure import Measurement, measure, prepare

if TYPE_CHECKING:
    from mreza.node.mesh import MeshNetwork

PROCESS = "demo.measure"
SERVICE = "demo.serve"
MEAN_S = "DEMO_MEAN_S"
"Environment variable: seconds that one request takes on average."
FALSIFY = "DEMO_FALSIFY_SHA256"
"Environment variable: lie once about the file with this SHA-256. The demo must notice."


class Report(TypedDict):
    """A measurement and who took it."""

    measurement: Measurement
    pid: int
    seconds: float
    "Processor time of the thread that measured."


def offer_work(mesh: MeshNetwork) -> None:
    """Register the process that measures files."""
    end_with_parent()
    prepare()
    lies = [wanted] if (wanted := os.environ.get(FALSIFY)) else []

    @mesh.process(PROCESS, executor="thread", concurrency=1, idempotent=True)
    def measure_file(source: bytes) -> Report:
        started = time.thread_time()
        measurement = measure(source)
        if measurement["sha256"] in lies:
            lies.remove(measurement["sha256"])
            measurement["lines"] += 1
        return Report(
            measurement=measurement, pid=os.getpid(), seconds=time.thread_time() - started
        )


def offer_service(mesh: MeshNetwork) -> None:
    """Register a process that takes its time, as a device or a database does, one at a time."""
    end_with_parent()
    mean_s = float(os.environ[MEAN_S])
    chance = random.Random(os.getpid())  # noqa: S311 - how long a request takes

    @mesh.process(SERVICE, concurrency=1, idempotent=True)
    async def serve(number: int) -> int:
        await asyncio.sleep(chance.expovariate(1.0 / mean_s))
        return number


def only_send(mesh: MeshNetwork) -> None:  # noqa: ARG001 - what an app receives
    """Register nothing: this node has others do the work."""
    end_with_parent()


def end_with_parent() -> None:
    """Stop this process when the demo goes away, even if killed: our stdin ends then."""

    def watch() -> None:
        # Not sys.stdin: a thread that holds its lock would disturb the interpreter's end.
        while os.read(0, 1024):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="demo-watch-parent", daemon=True).start()
