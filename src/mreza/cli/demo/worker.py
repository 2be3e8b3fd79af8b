"""What the demo's nodes register: `mreza up --app mreza.cli.demo.worker:offer_work`."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import TYPE_CHECKING, TypedDict

from mreza.cli.demo.measure import Measurement, measure, prepare

if TYPE_CHECKING:
    from mreza.node.mesh import MeshNetwork

PROCESS = "demo.measure"
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
