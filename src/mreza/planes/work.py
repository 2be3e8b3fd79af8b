"""The worker's side of requests: admitted, waiting, running, answered.

Every request is answered once, except to a requester that has lost its memory or its patience. A
run keeps its place among those that run at a time until its handler has really ended, cancelled or
not: a thread cannot be stopped.
"""

from __future__ import annotations

import enum
from typing import Any

import msgspec

from mreza.config.mesh import MeshConfig
from mreza.errors import PayloadError
from mreza.ids import NodeId
from mreza.planes.deadlines import Deadlines
from mreza.planes.effects import CancelHandler, RunHandler
from mreza.processes.failures import bounded
from mreza.processes.handlers import Registry
from mreza.processes.request_queue import RequestQueue
from mreza.wire.packet import (
    FAILURE,
    HEADERS_MAX,
    REQUEST_TARGET_MAX,
    Failure,
    Request,
    Response,
    Status,
)

HANDLER = ""
"Target of messages with a receipt: the `on_message` handler."
HANDLER_CONCURRENCY = 64
"""Messages whose senders wait for a receipt, handled at a time: two handlers that send each other
messages must not wait for each other's turn. Plain `send` messages are handled one by one, in order."""
NOTHING = b"\xc0"
"None as msgpack."
RETRY_AFTER_MIN_S = 0.05
RETRY_AFTER_MAX_S = 10.0
DURATION_GAIN = 0.125
"Weight of a new sample in the mean duration (RFC 6298's alpha)."


class SendResponse(msgspec.Struct, frozen=True):
    """Answer a request. `stream_epoch` is the requester's: a restarted one does not want it."""

    destination: NodeId
    response: Response
    priority: int
    stream_epoch: int


class _State(enum.Enum):
    WAITING = enum.auto()
    RUNNING = enum.auto()
    CANCELLED = enum.auto()
    "Answered or not wanted, but its handler has not ended yet."


class _Run:
    """One admitted request."""

    __slots__ = ("deadline", "message", "request", "run_id", "source", "started_at", "state")

    def __init__(
        self,
        run_id: int,
        source: NodeId,
        message: tuple[int, int, int, int],
        request: Request,
        deadline: float,
    ) -> None:
        self.run_id = run_id
        self.source = source
        self.message = message
        self.request = request
        self.deadline = deadline
        self.state = _State.WAITING
        self.started_at = 0.0

    @property
    def priority(self) -> int:
        return self.message[1]


class _Line:
    """One process: who waits and how many run."""

    __slots__ = ("mean_s", "queue", "running")

    def __init__(self, limit: int) -> None:
        self.queue = RequestQueue(limit)
        self.running = 0
        self.mean_s = 0.0


class Work:
    """Takes requests, lets at most so many run at a time, answers all.

    At most `ProcessesConfig.inbox_requests` wait for one process, and for all together payloads of
    `MessagingConfig.reassembly_bytes`; beyond, the answer is OVERLOADED with the time after which
    to try again. Effects: RunHandler, CancelHandler, SendResponse.
    """

    def __init__(self, *, registry: Registry, config: MeshConfig, effects: list[Any]) -> None:
        self._registry = registry
        self._limit = config.processes.inbox_requests
        self._threads = config.processes.threads
        self._bytes_limit = config.messaging.reassembly_bytes
        self._effects = effects
        self._runs: dict[int, _Run] = {}
        self._lines: dict[str, _Line] = {}
        self._deadlines = Deadlines()
        self._epochs: dict[NodeId, int] = {}
        "The newest stream epoch of each requester."
        self._next_run = 1
        self._bytes = 0
        self._closing = False
        self.refused = 0

    # Inputs.

    def admit(
        self, source: NodeId, message: tuple[int, int, int, int], request: Request, *, now: float
    ) -> int | None:
        """A request arrived, from here or elsewhere. The number of its run, if it was admitted."""
        target = request.target
        spec = self._registry.get(target)
        if self._closing:
            self._refuse(source, message, request, Status.CLOSING, "the node is closing")
        elif request.timeout_ms <= 0:
            self._refuse(source, message, request, Status.EXPIRED, "the deadline has passed")
        elif target != HANDLER and spec is None:
            name = target[:REQUEST_TARGET_MAX]
            text = f"this node does not offer process {name!r}"
            self._refuse(source, message, request, Status.NO_SUCH_PROCESS, text)
        elif request.headers is not None and len(request.headers) > HEADERS_MAX:
            text = f"a request has at most {HEADERS_MAX} headers, not {len(request.headers)}"
            self._refuse(source, message, request, Status.BAD_PAYLOAD, text)
        else:
            return self._join(source, message, request, now)
        return None

    def requester_epoch(self, source: NodeId, stream_epoch: int) -> None:
        """Requests come from this life of the requester: nobody waits for an earlier one's."""
        old = self._epochs.get(source)
        if old is None or stream_epoch > old:
            self._epochs[source] = stream_epoch
        if old is not None and stream_epoch > old:
            for run in list(self._runs.values()):
                if run.source == source and run.message[0] < stream_epoch:
                    self._orphan(run)

    def forget(self, source: NodeId) -> None:
        """A node is lost: its epoch needs no place here."""
        self._epochs.pop(source, None)

    def finished(
        self, run_id: int, *, result: bytes | None, failure: Failure | None, status: int, now: float
    ) -> None:
        """A handler ended: once for every RunHandler, also after CancelHandler."""
        run = self._runs.pop(run_id, None)
        if run is None or run.state is _State.WAITING:
            return
        self._deadlines.discard(run_id)
        line = self._lines[run.request.target]
        line.running -= 1
        line.mean_s += DURATION_GAIN * (now - run.started_at - line.mean_s)
        if run.state is _State.RUNNING:
            outcome = _done(result) if status == Status.OK else _failed(status, failure)
            self._answer(run.source, run.message, run.request.id, outcome)
        self._start_next(run.request.target, line, now)

    def cancel(self, run_id: int) -> None:
        """The requester, on this very node, no longer waits."""
        run = self._runs.get(run_id)
        if run is not None:
            self._orphan(run)

    def registry_changed(self) -> None:
        """Processes came or went: nobody waits for one that went."""
        for target, line in self._lines.items():
            if target != HANDLER and target not in self._registry:
                for run_id in line.queue.clear():
                    text = f"this node no longer offers process {target!r}"
                    self._turn_away(self._runs[run_id], Status.NO_SUCH_PROCESS, text)

    def close(self) -> None:
        """Take no more work and send away who waits; what runs may end."""
        self._closing = True
        for line in self._lines.values():
            for run_id in line.queue.clear():
                self._turn_away(self._runs[run_id], Status.CLOSING, "the node is closing")

    def advance(self, *, now: float) -> None:
        """Answer who waited too long, and stop work that nobody waits for."""
        for run_id in self._deadlines.take_due(now=now):
            run = self._runs[run_id]
            if run.state is _State.WAITING:
                self._lines[run.request.target].queue.remove(run_id, priority=run.priority)
                text = "the deadline passed while the request waited; it did not run"
                self._turn_away(run, Status.EXPIRED, text)
            else:
                self._stop(run, now)

    # Outputs.

    def next_deadline(self) -> float | None:
        return self._deadlines.next()

    @property
    def running(self) -> int:
        return sum(line.running for line in self._lines.values())

    @property
    def waiting(self) -> int:
        return sum(len(line.queue) for line in self._lines.values())

    # Rules.

    def _join(
        self, source: NodeId, message: tuple[int, int, int, int], request: Request, now: float
    ) -> int | None:
        line = self._lines.get(request.target)
        if line is None:
            line = self._lines[request.target] = _Line(self._limit)
        size = len(request.payload)
        run_id = self._next_run
        crowded = self._bytes + size > self._bytes_limit and self._bytes > 0
        if crowded or not line.queue.put(run_id, priority=message[1]):
            who = repr(request.target) if request.target else "the message handler"
            failure = Failure(
                type_name="Overloaded",
                message=f"{len(line.queue)} requests wait for {who}",
                retry_after_ms=round(self._retry_after_s(request.target, line) * 1000),
            )
            self.refused += 1
            self._answer(source, message, request.id, _failed(Status.OVERLOADED, failure))
            return None
        self._next_run += 1
        deadline = now + request.timeout_ms / 1000
        self._runs[run_id] = _Run(run_id, source, message, request, deadline)
        self._bytes += size
        self._deadlines.set(run_id, deadline)
        self._start_next(request.target, line, now)
        return run_id

    def _start_next(self, target: str, line: _Line, now: float) -> None:
        spec = self._registry.get(target)
        if target == HANDLER:
            limit = HANDLER_CONCURRENCY
        elif spec is None:
            return
        else:
            limit = spec.limit(threads=self._threads)
        while line.running < limit and (run_id := line.queue.take()) is not None:
            run = self._runs[run_id]
            self._bytes -= len(run.request.payload)
            if run.deadline <= now:
                del self._runs[run_id]
                self._deadlines.discard(run_id)
                text = "the deadline passed while the request waited; it did not run"
                self._refuse(run.source, run.message, run.request, Status.EXPIRED, text)
                continue
            line.running += 1
            run.state = _State.RUNNING
            run.started_at = now
            if spec is None:
                # A message was delivered: it is handled to its end, sender waiting or not.
                self._deadlines.discard(run_id)
            elif spec.timeout_s is not None and now + spec.timeout_s < run.deadline:
                run.deadline = now + spec.timeout_s
                self._deadlines.set(run_id, run.deadline)
            self._effects.append(
                RunHandler(run_id, run.request, run.source, run.message, run.deadline)
            )

    def _stop(self, run: _Run, now: float) -> None:
        run.state = _State.CANCELLED
        self._effects.append(CancelHandler(run.run_id))
        # Who asked knows its own deadline; only a handler's shorter one is news.
        seconds = now - run.started_at
        text = f"process {run.request.target!r} was stopped after {seconds:.3g} s"
        failure = Failure(type_name="TimeoutError", message=text)
        self._answer(run.source, run.message, run.request.id, _failed(Status.FAILED, failure))

    def _orphan(self, run: _Run) -> None:
        """Nobody waits for this any more. A message is handled all the same."""
        if run.request.target == HANDLER:
            return
        if run.state is _State.WAITING:
            self._lines[run.request.target].queue.remove(run.run_id, priority=run.priority)
            self._bytes -= len(run.request.payload)
            self._deadlines.discard(run.run_id)
            del self._runs[run.run_id]
        elif run.state is _State.RUNNING:
            run.state = _State.CANCELLED
            self._deadlines.discard(run.run_id)
            self._effects.append(CancelHandler(run.run_id))

    def _turn_away(self, run: _Run, status: Status, text: str) -> None:
        """Answer one that has just left its queue without running."""
        del self._runs[run.run_id]
        self._bytes -= len(run.request.payload)
        self._deadlines.discard(run.run_id)
        self._refuse(run.source, run.message, run.request, status, text)

    def _refuse(
        self,
        source: NodeId,
        message: tuple[int, int, int, int],
        request: Request,
        status: Status,
        text: str,
    ) -> None:
        self.refused += 1
        failure = Failure(type_name=status.name.lower(), message=text)
        self._answer(source, message, request.id, _failed(status, failure))

    def _answer(
        self,
        destination: NodeId,
        message: tuple[int, int, int, int],
        request_id: int,
        outcome: tuple[int, msgspec.Raw],
    ) -> None:
        response = Response(request_id, *outcome)
        self._effects.append(SendResponse(destination, response, message[1], message[0]))

    def _retry_after_s(self, target: str, line: _Line) -> float:
        spec = self._registry.get(target)
        at_a_time = HANDLER_CONCURRENCY if spec is None else spec.limit(threads=self._threads)
        # Half of the line will be gone by then; sooner would only find it full again.
        wait_s = len(line.queue) / 2 * line.mean_s / at_a_time
        return min(max(wait_s, RETRY_AFTER_MIN_S), RETRY_AFTER_MAX_S)


def unsendable(answer: SendResponse, error: PayloadError) -> SendResponse:
    """What the requester hears when the data plane refuses a result for its size."""
    failure = Failure(type_name="PayloadError", message=f"the result cannot be sent: {error}")
    response = Response(answer.response.id, *_failed(Status.BAD_PAYLOAD, failure))
    return msgspec.structs.replace(answer, response=response)


def _done(result: bytes | None) -> tuple[int, msgspec.Raw]:
    return Status.OK, msgspec.Raw(NOTHING if result is None else result)


def _failed(status: int, failure: Failure | None) -> tuple[int, msgspec.Raw]:
    told = bounded(failure or Failure(type_name="Error", message="no reason was given"))
    return status, msgspec.Raw(FAILURE.encode(told))
