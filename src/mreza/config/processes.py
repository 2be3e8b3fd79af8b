"""Settings of processes: named handlers that do work."""

from __future__ import annotations

import os

from pydantic import Field

from mreza.config.base import Config, Count


def _default_threads() -> int:
    return min(32, (os.cpu_count() or 1) + 4)


class ProcessesConfig(Config):
    """Bounds of the work a node takes on."""

    inbox_requests: Count = 1024
    """Requests waiting for one process; beyond, the answer is Overloaded.
    Default: a second at 1,000/s."""
    threads: Count = Field(default_factory=_default_threads)
    """Threads for plain functions, all processes together.
    Default: min(32, CPUs + 4), as in `concurrent.futures`."""
