"""Settings of processes: named handlers that do work."""

from __future__ import annotations

import os

from pydantic import Field

from mreza.config.base import Config, Count, Seconds


def _default_threads() -> int:
    return min(32, (os.cpu_count() or 1) + 4)


def _default_pool_processes() -> int:
    return os.cpu_count() or 1


class ProcessesConfig(Config):
    """Bounds of the work a node takes on."""

    inbox_requests: Count = 1024
    """Requests waiting for one process; beyond, the answer is Overloaded.
    Default: a second at 1,000/s."""
    wait_s: Seconds = 10.0
    """Seconds that a request may wait here for its turn. As many as will be served in that time are
    a node's capacity: callers look elsewhere when its threshold is reached, and hear Overloaded
    when all nodes are above. Default: a third of the time that a call waits by default."""
    threads: Count = Field(default_factory=_default_threads)
    """Threads for plain functions, all processes together.
    Default: min(32, CPUs + 4), as in `concurrent.futures`."""
    pool_processes: Count = Field(default_factory=_default_pool_processes)
    """Operating-system processes for `executor="process"`, all together; started when needed.
    Default: one for each CPU."""
    remembered_results: Count = 10_000
    """Results of work with an idempotency key that a worker keeps, to answer when asked again.
    Default: ten minutes at 16/s."""
    remembered_bytes: Count = 64 * 1024 * 1024
    "The same in bytes; the oldest are forgotten first. Default: one result of the largest size."
    remember_s: Seconds = 600.0
    "Seconds for which they are kept. Default: longer than most who retry keep trying."
