"""The requester's side of calls: given to a worker, given to another, resolved once.

A call ends at its deadline at the latest. Before that it waits while nobody offers its process or
no path leads to its node, and goes elsewhere when a worker refuses it or, if it may run twice, is
lost. One that may run twice is also given to a second node when the first is slow, if asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from mreza.balancing.balancer import Balancer
from mreza.balancing.endpoint import NodeLoad
from mreza.balancing.lease import Lease
from mreza.config.load_balancer import Strategy, strategy_of
from mreza.config.mesh import MeshConfig
from mreza.errors import (
    DeadlineExceeded,
    MeshError,
    NoRoute,
    NoSuchProcess,
    OutboxFull,
    Overloaded,
    WorkerLost,
)
from mreza.ids import NodeId
from mreza.machine import earliest
from mreza.planes.call import Attempt, Call, check_call, failure_in, refusal_error
from mreza.planes.deadlines import Deadlines
from mreza.planes.effects import CallProgress, CancelRequest, Resolve
from mreza.processes.handlers import Registry, idempotent_offer
from mreza.wire.packet import Failure, Load, Request, Response, Status

LOSSES_MAX = 3
"Work that so many workers did not survive is not given to another: it may be what kills them."
_TIMEOUT_MS_MAX = 2**31 - 1


class SendRequest(msgspec.Struct, frozen=True):
    """Have a node do something."""

    destination: NodeId
    request: Request
    priority: int


class Calls:
    """All calls of this node that are not resolved.

    Effects: SendRequest, CancelRequest, CallProgress, Resolve.

    Calls that wait for a worker keep at most `MessagingConfig.outbox_bytes` of payload; beyond, a
    call that would have to wait is resolved with OutboxFull.
    """

    def __init__(
        self,
        *,
        me: NodeId,
        offering: Callable[[str], tuple[NodeId, ...]],
        path_to: Callable[[NodeId], tuple[NodeId, ...]],
        registry: Registry,
        balancer: Balancer,
        config: MeshConfig,
        effects: list[Any],
    ) -> None:
        self._me = me
        self._offering = offering
        self._path_to = path_to
        self._registry = registry
        self.balancer = balancer
        self._waiting_limit = config.messaging.outbox_bytes
        self._inbox = config.processes.inbox_requests
        self._effects = effects
        self._calls: dict[int, Call] = {}
        self._attempts: dict[int, Attempt] = {}
        "By request id: of every call not resolved, all of its attempts."
        self._waiting: dict[int, Call] = {}
        self._waiting_bytes = 0
        self._deadlines = Deadlines()
        self._hedges = Deadlines()
        "When a second node is to be asked, by call."
        self._next_call = 1
        self._next_request = 1

    # Inputs.

    def call(
        self,
        process: str,
        payload: msgspec.Raw,
        *,
        node: NodeId | None,
        timeout_s: float,
        priority: int,
        key: str | None,
        headers: dict[str, str] | None,
        idempotent: bool,
        idempotency_key: str = "",
        progress: bool = False,
        to_handler: bool,
        strategy: Strategy | str | None = None,
        hedge: bool | float = False,
        now: float,
    ) -> int:
        """Begin a call; a Resolve with its number follows, in any case."""
        check_call(process, node, timeout_s, headers, hedge=hedge, to_handler=to_handler)
        self.balancer.check(process, strategy)
        call = Call(self._next_call, "" if to_handler else process, payload)
        self._next_call += 1
        call.node, call.key, call.headers = node, key, headers or None
        call.timeout_s, call.deadline = timeout_s, now + timeout_s
        call.priority, call.idempotent, call.to_handler = int(priority), idempotent, to_handler
        call.strategy = None if strategy is None else strategy_of(strategy)
        call.hedge = hedge
        call.idempotency_key, call.progress = idempotency_key, progress
        self._calls[call.call_id] = call
        self._deadlines.set(call.call_id, call.deadline)
        self._place(call, now)
        return call.call_id

    def cancel(self, call_id: int) -> None:
        """Nobody waits for the outcome any more: there will be no Resolve."""
        call = self._calls.get(call_id)
        if call is not None:
            self._withdraw(call.current, call.rival)
            self._forget(call)

    def numbered(self, request_id: int, message: tuple[int, int, int, int]) -> None:
        """The data plane put a request into a batch: (stream epoch, priority, sequence, place)."""
        attempt = self._attempts.get(request_id)
        if attempt is not None:
            attempt.message = message

    def receive(self, source: NodeId, response: Response, *, now: float) -> None:
        """An answer. One that comes from another node than was asked is not looked at."""
        attempt = self._attempts.get(response.id)
        if attempt is None or attempt.node != source:
            return
        call = attempt.call
        if response.status == Status.PROGRESS:
            if call.progress:
                self._effects.append(CallProgress(call.call_id, source, response.payload))
        elif response.status == Status.OK:
            if attempt.lease is not None:
                attempt.lease.succeeded(now - attempt.sent_at, now=now)
            self._learn(source, response.load, now)
            self._withdraw_but(attempt)
            self._resolve(call, attempt, result=response.payload)
        elif _is_out(attempt):
            self._refused(attempt, response.status, failure_in(response), response.load, now)

    def not_sent(self, request_id: int, error: Exception, *, now: float) -> None:
        """The data plane did not take a request (its outbox is full): it was never sent."""
        attempt = self._attempts.get(request_id)
        if attempt is None or not _is_out(attempt):
            return
        call = attempt.call
        if self._ended(attempt, error, now):
            return
        if isinstance(error, Overloaded) and not call.to_handler and call.node is None:
            self._elsewhere(call, attempt.node, now, retry_after_s=error.retry_after_s)
        else:
            self._resolve(call, attempt, error=error)

    def returned(self, node: NodeId, request_ids: list[int], *, now: float) -> None:
        """These were on their way to a node that restarted, and go no further."""
        for request_id in request_ids:
            attempt = self._attempts.get(request_id)
            if attempt is not None and _is_out(attempt) and attempt.node == node:
                self._lost(attempt, self._gone(attempt, "restarted"), now, gone=False)

    def node_lost(self, node: NodeId, cause: str, *, now: float) -> None:
        """A member failed or left. A message for it waits: the node may come back and answer."""
        for attempt in self._given_to(node):
            if not attempt.call.to_handler:
                self._lost(attempt, self._gone(attempt, cause), now, gone=True)
        self.balancer.remove(node)

    def restarted(self, node: NodeId, *, now: float) -> None:
        """A node has lost its memory, and with it what it was asked."""
        for call in self._calls.values():
            if node in call.refused:
                call.refused.remove(node)
        for attempt in self._given_to(node):
            self._lost(attempt, self._gone(attempt, "restarted"), now, gone=False)
        self.offers_changed(now=now)

    def offers_changed(self, *, now: float) -> None:
        """Offers or routes changed: somebody may be there for calls that wait."""
        for call in list(self._waiting.values()):
            if call.refused and not call.to_handler:
                offering = self._candidates(call.process)
                call.refused = [node for node in call.refused if node in offering]
            self._place(call, now)

    def advance(self, *, now: float) -> None:
        """Resolve calls whose deadline has come. Their workers know it, and need not be told."""
        for call_id in self._deadlines.take_due(now=now):
            call = self._calls[call_id]
            error = self._too_late(call)
            for attempt in (call.current, call.rival):
                if attempt is not None and attempt.lease is not None:
                    attempt.lease.failed(error, now=now)
                if attempt is not None and attempt.node == self._me:
                    self._withdraw(attempt)
            self._resolve(call, call.current, error=error)
        for call_id in self._hedges.take_due(now=now):
            self._hedge(self._calls[call_id], now)

    # Outputs.

    def next_deadline(self) -> float | None:
        return earliest(self._deadlines.next(), self._hedges.next())

    def __len__(self) -> int:
        return len(self._calls)

    @property
    def waiting(self) -> int:
        """Calls that nobody could take so far."""
        return len(self._waiting)

    # Rules.

    def _place(self, call: Call, now: float) -> None:
        """Give a call to a node, or let it wait."""
        try:
            choice = self._choose(call, now)
        except Overloaded as error:
            self._resolve(call, call.attempts[-1] if call.attempts else None, error=error)
            return
        size = len(call.payload)
        if choice is None:
            if call.call_id in self._waiting:
                return
            if self._waiting_bytes and self._waiting_bytes + size > self._waiting_limit:
                text = f"{self._waiting_bytes} bytes wait already for nodes that could take them"
                self._resolve(call, None, error=OutboxFull(text))
                return
            self._waiting[call.call_id] = call
            self._waiting_bytes += size
            return
        self._stop_waiting(call)
        self._send(call, *choice, now)
        delay_s = call.hedge
        if delay_s is True:
            delay_s = self.balancer.hedge_delay_s(call.process) or False
        if delay_s is not False and call.current is not None and call.current.idempotent:
            self._hedges.set(call.call_id, now + delay_s)

    def _send(self, call: Call, node: NodeId, lease: Lease | None, now: float) -> None:
        """Give a call to this node."""
        request_id = self._next_request
        self._next_request += 1
        attempt = Attempt(call, request_id, node, lease, now)
        attempt.idempotent = self._is_idempotent(call, node)
        call.current = attempt
        call.attempts.append(attempt)
        self._attempts[request_id] = attempt
        request = Request(
            id=request_id,
            target=call.process,
            payload=call.payload,
            timeout_ms=max(1, min(round((call.deadline - now) * 1000), _TIMEOUT_MS_MAX)),
            idempotent=attempt.idempotent,
            attempt=len(call.attempts),
            key=call.key or "",
            headers=call.headers,
            idempotency_key=call.idempotency_key,
            progress=call.progress,
        )
        self._effects.append(SendRequest(node, request, call.priority))

    def _hedge(self, call: Call, now: float) -> None:
        """The answer is late: ask another node as well, if retries are not used up."""
        if call.current is None or call.rival is not None or call.node is not None:
            return
        asked = [*call.refused, call.current.node]
        candidates = self._candidates(call.process)
        if all(node in asked for node in candidates):
            return
        if not self.balancer.may_retry(call.process, now=now):
            return
        try:
            lease = self._lease(call, candidates, asked, now)
        except Overloaded:
            return
        call.rival = call.current
        self._send(call, lease.node, lease, now)  # type: ignore[arg-type]  # one of the candidates

    def _learn(self, node: NodeId, load: Load | None, now: float) -> None:
        """Tell the balancer how busy a node says it is."""
        if load is not None:
            figures = NodeLoad(
                node,
                in_flight=load.in_flight,
                capacity=load.capacity,
                cpu=None if load.cpu is None else load.cpu / 1000,
                memory=None if load.memory is None else load.memory / 1000,
                loop_lag_s=None if load.loop_lag_us is None else load.loop_lag_us / 1e6,
                # We take the inbox of others to be as long as ours.
                room=load.capacity + self._inbox,
            )
            self.balancer.update(figures, now=now)

    def _choose(self, call: Call, now: float) -> tuple[NodeId, Lease | None] | None:
        if call.to_handler:
            node = call.node
            if node is None or node in call.refused:
                return None
            return (node, None) if self._can_reach(node) else None
        candidates = self._candidates(call.process)
        if call.node is not None:
            if call.node not in candidates or call.node in call.refused:
                return None
            return call.node, self.balancer.lease_on(call.node, process=call.process, now=now)
        if all(node in call.refused for node in candidates):
            return None
        lease = self._lease(call, candidates, call.refused, now)
        return lease.node, lease  # type: ignore[return-value]  # one of the candidates

    def _lease(
        self, call: Call, candidates: tuple[NodeId, ...], exclude: list[NodeId], now: float
    ) -> Lease:
        return self.balancer.acquire(
            call.key,
            exclude,
            among=candidates,
            process=call.process,
            strategy=call.strategy,
            priority=call.priority,
            attempt=len(call.attempts) + 1,
            call=call.call_id,
            now=now,
        )

    def _candidates(self, process: str) -> tuple[NodeId, ...]:
        """Who offers it now; about ourselves nobody knows better than the registry."""
        offering = self._offering(process)
        if (self._me in offering) == (process in self._registry):
            return offering
        others = tuple(node for node in offering if node != self._me)
        return (*others, self._me) if process in self._registry else others

    def _can_reach(self, node: NodeId) -> bool:
        return node == self._me or len(self._path_to(node)) > 0

    def _is_idempotent(self, call: Call, node: NodeId) -> bool:
        if call.idempotent or call.to_handler:
            return call.idempotent
        spec = self._registry.get(call.process)
        if spec is not None and spec.idempotent:
            return True
        return node in self._offering(idempotent_offer(call.process))

    def _refused(
        self, attempt: Attempt, status: int, failure: Failure, load: Load | None, now: float
    ) -> None:
        """The worker answered, and it was not a result."""
        call = attempt.call
        if status == Status.LOST:
            text = f"node {attempt.node.short} lost {call.describe()}: {failure.message}"
            self._lost(attempt, text, now, gone=False)
            return
        error = refusal_error(status, failure, attempt.node, call)
        goes_on = self._ended(attempt, error, now, final=status == Status.FAILED)
        if status != Status.FAILED:
            # Who fails at once says that it can hold a thousand times more than who works.
            self._learn(attempt.node, load, now)
        if goes_on:
            return
        waits_for_it = call.to_handler or call.node is not None
        if status == Status.CLOSING:
            # It did not run, and that node takes nothing more in this life.
            self._elsewhere(call, attempt.node, now)
        elif (
            status == Status.OVERLOADED
            and not waits_for_it
            and self.balancer.may_retry(call.process, now=now)
        ):
            self._elsewhere(call, attempt.node, now, retry_after_s=failure.retry_after_ms / 1000)
        elif status == Status.NO_SUCH_PROCESS and not call.to_handler:
            self._elsewhere(call, attempt.node, now)
        elif status == Status.FAILED:
            self._withdraw_but(attempt)
            self._resolve(call, attempt, failure=failure)
        else:
            self._resolve(call, attempt, error=error)

    def _elsewhere(
        self, call: Call, refused_by: NodeId, now: float, *, retry_after_s: float | None = None
    ) -> None:
        """Ask a node that has not been asked. When all who offer it are full, say so."""
        call.current = None
        call.refused.append(refused_by)
        if retry_after_s is not None:
            call.retry_after_s = min(retry_after_s, call.retry_after_s or retry_after_s)
        self._place(call, now)
        if call.call_id in self._waiting and call.retry_after_s is not None:
            text = f"every node that offers {call.describe()} is overloaded"
            error = Overloaded(text, retry_after_s=call.retry_after_s)
            self._resolve(call, call.attempts[-1], error=error)

    @staticmethod
    def _gone(attempt: Attempt, cause: str) -> str:
        return f"node {attempt.node.short}, which had {attempt.call.describe()}, is lost ({cause})"

    def _lost(self, attempt: Attempt, text: str, now: float, *, gone: bool) -> None:
        """The node that had the call will not answer it."""
        call = attempt.call
        error = WorkerLost(f"{text}; the work may have run", may_have_run=True)
        call.losses += 1
        if self._ended(attempt, error, now):
            return
        call.current = None
        again = call.to_handler or (attempt.idempotent and call.losses < LOSSES_MAX)
        if not again:
            self._resolve(call, attempt, error=error)
            return
        if gone:
            call.refused.append(attempt.node)
        if not call.to_handler:
            self.balancer.must_retry(call.process, now=now)
        self._place(call, now)

    def _given_to(self, node: NodeId) -> list[Attempt]:
        return [
            attempt
            for call in self._calls.values()
            for attempt in (call.current, call.rival)
            if attempt is not None and attempt.node == node
        ]

    def _too_late(self, call: Call) -> MeshError:
        after = f"in {call.timeout_s:g} s"
        attempt = call.current
        pinned = call.node
        if call.to_handler and pinned is not None and not self._can_reach(pinned):
            text = f"no path to node {pinned.short} was found {after}"
            return NoRoute(text + ("; the message may have arrived" if call.attempts else ""))
        if attempt is not None:
            return DeadlineExceeded(
                f"node {attempt.node.short} did not answer {call.describe()} {after}; "
                "it may have run"
            )
        if call.to_handler:
            return DeadlineExceeded(f"the message was not taken {after}")
        if pinned is None:
            return NoSuchProcess(f"no reachable node offered {call.describe()} {after}")
        if self._can_reach(pinned):
            return NoSuchProcess(f"node {pinned.short} did not offer {call.describe()} {after}")
        return NoRoute(f"no path to node {pinned.short} was found {after}")

    def _withdraw_but(self, done: Attempt) -> None:
        """One worker is done; whoever else was asked may stop."""
        call = done.call
        if call.rival is not None:
            self._withdraw(*(out for out in (call.current, call.rival) if out is not done))

    def _withdraw(self, *attempts: Attempt | None) -> None:
        """Their workers may stop. A message is handled all the same."""
        for attempt in attempts:
            if attempt is not None and not attempt.call.to_handler:
                priority = attempt.call.priority
                self._effects.append(CancelRequest(attempt.node, attempt.request_id, priority))

    def _ended(
        self, attempt: Attempt, error: Exception, now: float, *, final: bool = False
    ) -> bool:
        """Note a failure. True: another node is at work on the call, and may still do it."""
        if attempt.lease is not None:
            attempt.lease.failed(error, now=now)
        call = attempt.call
        if call.rival is None or final:
            return False
        if attempt is call.current:
            call.current = call.rival
        call.rival = None
        call.refused.append(attempt.node)
        return True

    def _resolve(
        self,
        call: Call,
        attempt: Attempt | None,
        *,
        result: msgspec.Raw | None = None,
        failure: Failure | None = None,
        error: Exception | None = None,
    ) -> None:
        node = None if attempt is None else attempt.node
        path: tuple[NodeId, ...] = ()
        if node is not None:
            path = (self._me,) if node == self._me else self._path_to(node)
        self._effects.append(
            Resolve(
                call_id=call.call_id,
                node=node,
                attempts=len(call.attempts),
                result=result,
                failure=failure,
                error=error,
                message=None if attempt is None else attempt.message,
                path=path,
            )
        )
        self._forget(call)

    def _forget(self, call: Call) -> None:
        self._stop_waiting(call)
        del self._calls[call.call_id]
        self._deadlines.discard(call.call_id)
        self._hedges.discard(call.call_id)
        for attempt in call.attempts:
            del self._attempts[attempt.request_id]
            if attempt.lease is not None:
                attempt.lease.released()

    def _stop_waiting(self, call: Call) -> None:
        if self._waiting.pop(call.call_id, None) is not None:
            self._waiting_bytes -= len(call.payload)


def _is_out(attempt: Attempt) -> bool:
    """Its node has the call now; not only once, before it was believed lost."""
    return attempt is attempt.call.current or attempt is attempt.call.rival
