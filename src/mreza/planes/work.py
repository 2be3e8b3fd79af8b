"""The worker's side of requests: admitted, waiting, running, answered.

Every request is answered once, except to a requester that has lost its memory or its patience. A
run keeps its place among those that run at a time until its handler has really ended, cancelled or
not: a thread cannot be stopped.

Requests with an idempotency key: equal ones of one requester share one run, and a result that is
there is answered again and not made again. Such a run outlives its requester's restart: it comes
back and asks.
"""

from __future__ import annotations

from typing import Any

import msgspec

from mreza.config.mesh import MeshConfig
from mreza.ids import NodeId
from mreza.machine import Alarm, earliest
from mreza.planes.answers import Outcome, SendResponse, done, failed, refused
from mreza.planes.deadlines import Deadlines
from mreza.planes.effects import CancelHandler, RunHandler
from mreza.planes.lobby import HANDLER, Lobby
from mreza.planes.own_load import OwnLoad
from mreza.planes.runs import Run, RunKey, State, Waiter
from mreza.processes.handlers import ProcessSpec, Registry
from mreza.processes.remembered import Remembered
from mreza.wire.packet import (
    HEADERS_MAX,
    REQUEST_TARGET_MAX,
    Failure,
    Request,
    Response,
    Status,
)

WAITERS_MAX = 256
"Requests with one key that wait for one run: all of one requester, which asks again and again."
WITHDRAWN_MAX = 1024
"Cancelled requests that have not arrived yet, remembered; the oldest gives way."
PROGRESS_INTERVAL_S = 0.05
"A run reports its progress at most so often. What it says in between is skipped, but for the last."
_EXPIRED = "the deadline passed while the request waited; it did not run"


class Work:
    """Takes requests, runs them in their turn, answers all.

    What may not wait in the `Lobby` is answered OVERLOADED, with the time after which to try again.
    Effects: RunHandler, CancelHandler, SendResponse.
    """

    def __init__(
        self,
        *,
        registry: Registry,
        config: MeshConfig,
        effects: list[Any],
        alarm: Alarm | None = None,
    ) -> None:
        processes = config.processes
        self._registry = registry
        self._lobby = Lobby(registry=registry, config=config)
        self._effects = effects
        self._runs: dict[int, Run] = {}
        self._asked: dict[tuple[NodeId, int, int], Run] = {}
        "Every request that will be answered; see `Waiter.asked`."
        self._keyed: dict[RunKey, Run] = {}
        self._remembered: Remembered[RunKey] = Remembered(
            count_max=processes.remembered_results,
            bytes_max=processes.remembered_bytes,
            keep_s=processes.remember_s,
        )
        self._withdrawn: dict[tuple[NodeId, int, int], None] = {}
        self.own_load = OwnLoad()
        self._deadlines = Deadlines(alarm)
        self._news = Deadlines(alarm)
        self._epochs: dict[NodeId, int] = {}
        "The newest stream epoch of each requester."
        self._next_run = 1
        self._closing = False
        self.refused = 0

    # Inputs.

    def admit(
        self, source: NodeId, message: tuple[int, int, int, int], request: Request, *, now: float
    ) -> None:
        """A request arrived, from here or elsewhere."""
        target = request.target
        waiter = Waiter(source, message, request.id, request.progress)
        if self._withdrawn and waiter.asked in self._withdrawn:
            del self._withdrawn[waiter.asked]
        elif self._closing:
            self._refuse(waiter, Status.CLOSING, "the node is closing")
        elif request.timeout_ms <= 0:
            self._refuse(waiter, Status.EXPIRED, "the deadline has passed")
        elif target != HANDLER and target not in self._registry:
            text = self._registry.why_not(target[:REQUEST_TARGET_MAX])
            self._refuse(waiter, Status.NO_SUCH_PROCESS, text)
        elif request.headers is not None and len(request.headers) > HEADERS_MAX:
            text = f"a request has at most {HEADERS_MAX} headers, not {len(request.headers)}"
            self._refuse(waiter, Status.BAD_PAYLOAD, text)
        elif target == HANDLER or not request.idempotency_key:
            self._join(waiter, request, None, now)
        else:
            self._do_once(waiter, request, now)

    def requester_epoch(self, source: NodeId, stream_epoch: int) -> None:
        """Requests come from this life of the requester: nobody waits for an earlier one's."""
        old = self._epochs.get(source)
        if old is None or stream_epoch > old:
            self._epochs[source] = stream_epoch
        if old is not None and stream_epoch > old:
            for run in list(self._runs.values()):
                for waiter in list(run.waiters):
                    if waiter.source == source and waiter.message[0] < stream_epoch:
                        self._leaves(run, waiter, returns=run.key is not None)

    def forget(self, source: NodeId) -> None:
        """A node is lost: its epoch needs no place here."""
        self._epochs.pop(source, None)

    def cancel(self, source: NodeId, *, stream_epoch: int, request_id: int) -> None:
        """The requester no longer waits. If this has overtaken its request, that will not run."""
        asked = (source, stream_epoch, request_id)
        run = self._asked.get(asked)
        if run is not None:
            self._leaves(run, next(w for w in run.waiters if w.asked == asked), returns=False)
            return
        while len(self._withdrawn) >= WITHDRAWN_MAX:
            del self._withdrawn[next(iter(self._withdrawn))]
        self._withdrawn[asked] = None

    def progress(self, run_id: int, value: msgspec.Raw, *, now: float) -> None:
        """A handler says how far it is."""
        run = self._runs.get(run_id)
        if run is None or run.state is not State.RUNNING:
            return
        run.news = value
        if run.news_at <= now:
            self._report(run, now)
        else:
            self._news.set(run_id, run.news_at)

    def finished(
        self, run_id: int, *, result: bytes | None, failure: Failure | None, status: int, now: float
    ) -> None:
        """A handler ended: once for every RunHandler, also after CancelHandler."""
        run = self._runs.get(run_id)
        if run is None or run.state is State.WAITING:
            return
        target = run.request.target
        self._lobby.ended(target, None if status == Status.FAILED else now - run.started_at)
        if run.state is State.RUNNING:
            if run.key is not None and status == Status.OK:
                self._remembered.put(run.key, bytes(done(result)[1]), now=now)
            self._report(run, now)
        self._end(run)
        self._conclude(run, done(result) if status == Status.OK else failed(status, failure))
        self._start_next(target, now)

    def registry_changed(self) -> None:
        """Processes came or went: nobody waits for one that went."""
        for target in self._lobby.targets:
            if target != HANDLER and target not in self._registry:
                text = f"this node no longer offers process {target!r}"
                self._turn_away(target, Status.NO_SUCH_PROCESS, text)

    def close(self) -> None:
        """Take no more work and send away who waits; what runs may end."""
        self._closing = True
        for target in self._lobby.targets:
            self._turn_away(target, Status.CLOSING, "the node is closing")

    def advance(self, *, now: float) -> None:
        """Answer who waited too long, stop work that nobody waits for, report progress."""
        for run_id in self._news.take_due(now=now):
            self._report(self._runs[run_id], now)
        for run_id in self._deadlines.take_due(now=now):
            run = self._runs[run_id]
            if run.state is State.WAITING:
                self._lobby.leave(run)
                self._expire(run)
            else:
                self._stop(run, now)

    # Outputs.

    def next_deadline(self) -> float | None:
        return earliest(self._deadlines.next(), self._news.next())

    @property
    def running(self) -> int:
        return self._lobby.running

    @property
    def waiting(self) -> int:
        return self._lobby.waiting

    # Rules: in.

    def _do_once(self, waiter: Waiter, request: Request, now: float) -> None:
        key = (waiter.source, request.target, request.idempotency_key)
        result = self._remembered.get(key, now=now)
        if result is not None:
            self._answer(waiter, done(result))
            return
        run = self._keyed.get(key)
        if run is None:
            self._join(waiter, request, key, now)
            return
        if len(run.waiters) >= WAITERS_MAX:
            self._refuse(waiter, Status.OVERLOADED, f"{WAITERS_MAX} requests wait for this work")
            return
        run.waiters.append(waiter)
        self._asked[waiter.asked] = run
        limit_s = self._time_limit_s(run)
        deadline = now + request.timeout_ms / 1000
        if limit_s is not None:
            deadline = min(deadline, run.started_at + limit_s)
        if deadline > run.deadline:
            run.deadline = deadline
            self._deadlines.set(run.run_id, deadline)

    def _join(self, waiter: Waiter, request: Request, key: RunKey | None, now: float) -> None:
        run_id = self._next_run
        deadline = now + request.timeout_ms / 1000
        run = Run(run_id, waiter, request, deadline=deadline, key=key)
        has_place, gave_way = self._lobby.enter(run)
        if gave_way is not None:
            crowded = self._lobby.crowded(request.target, gave_way.priority)
            self._decline(gave_way, failed(Status.OVERLOADED, crowded))
        if not has_place:
            self.refused += 1
            crowded = self._lobby.crowded(request.target, run.priority)
            self._answer(waiter, failed(Status.OVERLOADED, crowded))
            return
        self._next_run += 1
        self._runs[run_id] = run
        self._asked[waiter.asked] = run
        if key is not None:
            self._keyed[key] = run
        self._deadlines.set(run_id, deadline)
        self._start_next(request.target, now)

    def _start_next(self, target: str, now: float) -> None:
        spec = self._registry.get(target)
        if target != HANDLER and spec is None:
            return
        while (run := self._lobby.take(target)) is not None:
            if run.deadline <= now:
                self._expire(run)
            else:
                self._start(run, spec, now)

    def _start(self, run: Run, spec: ProcessSpec | None, now: float) -> None:
        self._lobby.began(run.request.target)
        run.state = State.RUNNING
        run.started_at = now
        if spec is None:
            # A message was delivered: it is handled to its end, sender waiting or not.
            self._deadlines.discard(run.run_id)
        elif spec.timeout_s is not None and now + spec.timeout_s < run.deadline:
            run.deadline = now + spec.timeout_s
            self._deadlines.set(run.run_id, run.deadline)
        first = run.waiters[0]
        self._effects.append(
            RunHandler(run.run_id, run.request, first.source, first.message, run.deadline)
        )

    # Rules: out.

    def _stop(self, run: Run, now: float) -> None:
        """Its time is over."""
        # Who asked knows its own deadline; only a handler's shorter one is news.
        seconds = now - run.started_at
        text = f"process {run.request.target!r} was stopped after {seconds:.3g} s"
        self._conclude(run, failed(Status.FAILED, Failure(type_name="TimeoutError", message=text)))
        self._abandon(run)

    def _leaves(self, run: Run, waiter: Waiter, *, returns: bool) -> None:
        """One who asked does not wait any more. A message is handled all the same."""
        if run.request.target == HANDLER:
            return
        run.waiters.remove(waiter)
        self._asked.pop(waiter.asked, None)
        if run.waiters or returns:
            return
        if run.state is State.WAITING:
            self._lobby.leave(run)
            self._end(run)
        else:
            self._abandon(run)

    def _abandon(self, run: Run) -> None:
        """It runs for nobody."""
        run.state = State.CANCELLED
        self._unkey(run)
        self._deadlines.discard(run.run_id)
        self._news.discard(run.run_id)
        self._effects.append(CancelHandler(run.run_id))

    def _expire(self, run: Run) -> None:
        self._decline(run, refused(Status.EXPIRED, _EXPIRED))

    def _turn_away(self, target: str, status: Status, text: str) -> None:
        for run in self._lobby.clear(target):
            self._decline(run, refused(status, text))

    def _decline(self, run: Run, outcome: Outcome) -> None:
        """Answer one that has just left its line without running."""
        self.refused += 1
        self._conclude(run, outcome)
        self._end(run)

    def _refuse(self, waiter: Waiter, status: Status, text: str) -> None:
        self.refused += 1
        self._answer(waiter, refused(status, text))

    def _report(self, run: Run, now: float) -> None:
        if run.news is None:
            return
        for waiter in run.waiters:
            if waiter.progress:
                self._answer(waiter, (Status.PROGRESS, run.news), tell_load=False)
        run.news = None
        run.news_at = now + PROGRESS_INTERVAL_S

    def _conclude(self, run: Run, outcome: Outcome) -> None:
        """Answer all who still wait for it."""
        waiters, run.waiters = run.waiters, []
        for waiter in waiters:
            # A requester that numbers two requests alike has only one entry.
            self._asked.pop(waiter.asked, None)
            self._answer(waiter, outcome)

    def _answer(self, waiter: Waiter, outcome: Outcome, *, tell_load: bool = True) -> None:
        load = (
            self.own_load.told(in_flight=len(self._runs), capacity=self._lobby.capacity)
            if tell_load
            else None
        )
        response = Response(waiter.request_id, *outcome, load)
        message = waiter.message
        self._effects.append(SendResponse(waiter.source, response, message[1], message[0]))

    def _end(self, run: Run) -> None:
        del self._runs[run.run_id]
        self._unkey(run)
        self._deadlines.discard(run.run_id)
        self._news.discard(run.run_id)

    def _unkey(self, run: Run) -> None:
        if run.key is not None and self._keyed.get(run.key) is run:
            del self._keyed[run.key]

    def _time_limit_s(self, run: Run) -> float | None:
        spec = self._registry.get(run.request.target)
        return None if spec is None or run.state is State.WAITING else spec.timeout_s
