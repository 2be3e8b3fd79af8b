"""Where runs wait for their turn: a line for each process, and one bound on payloads for all."""

from __future__ import annotations

from mreza.config.mesh import MeshConfig
from mreza.messaging.fair_budget import FairBudget
from mreza.planes.runs import Line, Run
from mreza.processes.handlers import Registry
from mreza.wire.packet import Failure

HANDLER = ""
"Target of messages with a receipt: the `on_message` handler."
HANDLER_CONCURRENCY = 64
"""Messages whose senders wait for a receipt, handled at a time: two handlers that send each other
messages must not wait for each other's turn. Those of plain `send` are handled one by one."""


class Lobby:
    """Lets at most so many run at a time.

    At most `ProcessesConfig.inbox_requests` wait for one process, and for all together payloads of
    `MessagingConfig.reassembly_bytes`, of which one requester gets as much as it leaves to others.
    LOW does not wait if that would take longer than `ProcessesConfig.wait_s`.
    """

    def __init__(self, *, registry: Registry, config: MeshConfig) -> None:
        processes = config.processes
        self._registry = registry
        self._limit = processes.inbox_requests
        self._wait_s = processes.wait_s
        self._threads = processes.threads
        self._pool = processes.pool_processes
        self._lines: dict[str, Line] = {}
        self._waiting: dict[int, Run] = {}
        self._payloads = FairBudget(total=config.messaging.reassembly_bytes)
        self.capacity = 0
        "Requests that all lines together hold without letting one wait for long."
        self.running = 0

    # Inputs.

    def enter(self, run: Run) -> tuple[bool, Run | None]:
        """Let it wait, if it may; and who has given way to it: somebody with less right to wait."""
        target, source, size = run.request.target, run.requester, len(run.request.payload)
        line = self._lines.get(target)
        if line is None:
            line = self._lines[target] = Line(self._limit, wait_s=self._wait_s)
            self.capacity += line.capacity
        if line.is_too_long_for(run.priority, at_a_time=self._at_a_time(target)):
            return False, None
        if not self._payloads.reserve(source, size):
            return False, None
        other: Run | None = None
        if line.queue.is_full:
            number = line.queue.who_gives_way(requester=source, priority=run.priority)
            if number is None:
                self._payloads.release(source, size)
                return False, None
            other = self._waiting[number]
            self.leave(other)
        line.queue.put(run.run_id, requester=source, priority=run.priority)
        self._waiting[run.run_id] = run
        return True, other

    def leave(self, run: Run) -> None:
        """It waits no longer."""
        line = self._lines[run.request.target]
        line.queue.remove(run.run_id, requester=run.requester, priority=run.priority)
        self._forget(run)

    def take(self, target: str) -> Run | None:
        """Whose turn it is, if one more may run; it waits no longer."""
        line = self._lines.get(target)
        if line is None or line.running >= self._at_a_time(target):
            return None
        number = line.queue.take()
        if number is None:
            return None
        run = self._waiting[number]
        self._forget(run)
        return run

    def clear(self, target: str) -> list[Run]:
        """Send away all who wait for it; who they were."""
        line = self._lines.get(target)
        runs = [] if line is None else [self._waiting[number] for number in line.queue.clear()]
        for run in runs:
            self._forget(run)
        return runs

    def began(self, target: str) -> None:
        """One that was taken runs."""
        self._lines[target].running += 1
        self.running += 1

    def ended(self, target: str, took_s: float | None) -> None:
        """It runs no longer; None: it failed."""
        line = self._lines[target]
        before = line.capacity
        line.ended(took_s, at_a_time=self._at_a_time(target))
        self.capacity += line.capacity - before
        self.running -= 1

    # Outputs.

    @property
    def targets(self) -> tuple[str, ...]:
        """What was ever asked for."""
        return tuple(self._lines)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def crowded(self, target: str, priority: int) -> Failure:
        """What is said to who may not wait: when there will be room."""
        line = self._lines[target]
        retry_after_s = line.retry_after_s(priority, at_a_time=self._at_a_time(target))
        who = repr(target) if target else "the message handler"
        return Failure(
            type_name="Overloaded",
            message=f"{len(line.queue)} requests wait for {who}",
            retry_after_ms=round(retry_after_s * 1000),
        )

    # Rules.

    def _forget(self, run: Run) -> None:
        del self._waiting[run.run_id]
        self._payloads.release(run.requester, len(run.request.payload))

    def _at_a_time(self, target: str) -> int:
        spec = self._registry.get(target)
        if spec is not None:
            return spec.limit(threads=self._threads, pool_processes=self._pool)
        return HANDLER_CONCURRENCY if target == HANDLER else 1
