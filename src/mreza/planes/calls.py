"""The requester's side of calls: given to a worker, given to another, resolved once.

A call ends at its deadline at the latest. Before that it waits while nobody offers its process or
no path leads to its node. It goes elsewhere when a worker refuses it, or is lost before anything of
the request was sent, or is lost and it may run twice. One that may run twice is also given to a
second node when the first is slow, if asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from mreza.balancing.balancer import Balancer
from mreza.balancing.lease import Lease
from mreza.config.load_balancer import Strategy, strategy_of
from mreza.config.mesh import MeshConfig
from mreza.errors import Overloaded
from mreza.ids import NodeId
from mreza.machine import Alarm, earliest
from mreza.planes.attempts import Attempts
from mreza.planes.call import Attempt, Call, check_call
from mreza.planes.call_errors import failure_in, lost_error, refusal_error, too_late
from mreza.planes.deadlines import Deadlines
from mreza.planes.effects import CallProgress, CancelRequest, Resolve, WorkLost
from mreza.planes.waiting_calls import WaitingCalls
from mreza.planes.workers import Workers
from mreza.processes.handlers import Registry
from mreza.wire.packet import Failure, Load, Request, Response, Status

LOSSES_MAX = 3
"Work that so many workers did not survive is not given to another: it may be what kills them."


class SendRequest(msgspec.Struct, frozen=True):
    """Have a node do something."""

    destination: NodeId
    request: Request
    priority: int


class Calls:
    """All calls of this node that are not resolved.

    Effects: SendRequest, CancelRequest, CallProgress, Resolve, WorkLost.

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
        alarm: Alarm | None = None,
    ) -> None:
        self._me = me
        self._path_to = path_to
        self.workers = Workers(
            me=me,
            offering=offering,
            path_to=path_to,
            registry=registry,
            balancer=balancer,
            inbox_requests=config.processes.inbox_requests,
        )
        self._effects = effects
        self._calls: dict[int, Call] = {}
        self._attempts = Attempts()
        self._waiting = WaitingCalls(bytes_max=config.messaging.outbox_bytes)
        self._deadlines = Deadlines(alarm)
        self._hedges = Deadlines(alarm)
        "When a second node is to be asked, by call."
        self._next_call = 1

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
        self.workers.balancer.check(process, strategy)
        call = Call(
            self._next_call,
            "" if to_handler else process,
            payload,
            node=node,
            deadline=now + timeout_s,
            timeout_s=timeout_s,
            priority=int(priority),
            key=key,
            headers=headers or None,
            strategy=None if strategy is None else strategy_of(strategy),
            hedge=hedge,
            idempotent=idempotent,
            idempotency_key=idempotency_key,
            progress=progress,
            to_handler=to_handler,
        )
        self._next_call += 1
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
            self.workers.learn(source, response.load, now)
            self._withdraw_but(attempt)
            self._resolve(call, attempt, result=response.payload)
        elif attempt.is_out:
            self._refused(attempt, response.status, failure_in(response), response.load, now)

    def wants(self, request_id: int) -> bool:
        """False if this request is wanted no more: its node restarted before it was sent."""
        attempt = self._attempts.get(request_id)
        return attempt is not None and attempt.is_out

    def not_sent(self, request_id: int, error: Exception, *, now: float) -> None:
        """The data plane did not take a request (its outbox is full): it was never sent."""
        attempt = self._attempts.get(request_id)
        if attempt is None or not attempt.is_out:
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
        found = (self._attempts.get(request_id) for request_id in request_ids)
        had = [a for a in found if a is not None and a.is_out and a.node == node]
        self._lose(node, had, "restarted", now, gone=False)

    def node_lost(self, node: NodeId, cause: str, *, now: float) -> None:
        """A member failed or left. A message for it waits: the node may come back and answer."""
        work = [attempt for attempt in self._attempts.at(node) if not attempt.call.to_handler]
        self._lose(node, work, cause, now, gone=True)
        self.workers.lost(node)

    def restarted(self, node: NodeId, *, now: float) -> None:
        """A node has lost its memory, and with it what it was asked."""
        for call in self._calls.values():
            if node in call.refused:
                call.refused.remove(node)
        self._lose(node, self._attempts.at(node), "restarted", now, gone=False)
        self.offers_changed(now=now)

    def offers_changed(self, *, now: float) -> None:
        """Offers or routes changed: somebody may be there for calls that wait."""
        for call in self._waiting.all():
            if call.refused and not call.to_handler:
                offering = self.workers.of(call.process)
                call.refused = [node for node in call.refused if node in offering]
            self._place(call, now)

    def advance(self, *, now: float) -> None:
        """Resolve calls whose deadline has come. Their workers know it, and need not be told."""
        for call_id in self._deadlines.take_due(now=now):
            call = self._calls[call_id]
            error = too_late(call, can_reach=self.workers.can_reach)
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
            choice = self.workers.choose(call, now=now)
        except Overloaded as error:
            self._resolve(call, call.attempts[-1] if call.attempts else None, error=error)
            return
        if choice is None:
            full = self._waiting.put(call)
            if full is not None:
                self._resolve(call, None, error=full)
            return
        self._waiting.remove(call)
        self._send(call, *choice, now)
        delay_s = call.hedge
        if delay_s is True:
            delay_s = self.workers.balancer.hedge_delay_s(call.process) or False
        if delay_s is not False and call.current is not None and call.current.idempotent:
            self._hedges.set(call.call_id, now + delay_s)

    def _send(self, call: Call, node: NodeId, lease: Lease | None, now: float) -> None:
        """Give a call to this node."""
        idempotent = self.workers.is_idempotent(call, node)
        request = self._attempts.begin(call, node, lease, idempotent=idempotent, now=now)
        self._effects.append(SendRequest(node, request, call.priority))

    def _hedge(self, call: Call, now: float) -> None:
        """The answer is late: ask another node as well, if retries are not used up."""
        if call.current is None or call.rival is not None or call.node is not None:
            return
        choice = self.workers.second(call, asked=call.current.node, now=now)
        if choice is not None:
            call.rival = call.current
            self._send(call, *choice, now)

    def _refused(
        self, attempt: Attempt, status: int, failure: Failure, load: Load | None, now: float
    ) -> None:
        """The worker answered, and it was not a result."""
        call = attempt.call
        if status == Status.LOST:
            text = f"node {attempt.node.short} lost {call.describe()}: {failure.message}"
            self._lost(attempt, text, now, gone=False, ran=True)
            return
        error = refusal_error(status, failure, attempt.node, call)
        goes_on = self._ended(attempt, error, now, final=status == Status.FAILED)
        if status != Status.FAILED:
            # Who fails at once says that it can hold a thousand times more than who works.
            self.workers.learn(attempt.node, load, now)
        if goes_on:
            return
        waits_for_it = call.to_handler or call.node is not None
        if status == Status.CLOSING:
            # It did not run, and that node takes nothing more in this life.
            call.lost = f"node {attempt.node.short} is closing"
            self._elsewhere(call, attempt.node, now)
        elif (
            status == Status.OVERLOADED
            and not waits_for_it
            and self.workers.balancer.may_retry(call.process, now=now)
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
        if call in self._waiting and call.retry_after_s is not None:
            text = f"every node that offers {call.describe()} is overloaded"
            error = Overloaded(text, retry_after_s=call.retry_after_s)
            self._resolve(call, call.attempts[-1], error=error)

    @staticmethod
    def _gone(attempt: Attempt, cause: str) -> str:
        return f"node {attempt.node.short}, which had {attempt.call.describe()}, is lost ({cause})"

    def _lose(
        self, node: NodeId, attempts: list[Attempt], cause: str, now: float, *, gone: bool
    ) -> None:
        """A node will not answer these; say what became of them."""
        for attempt in attempts:
            text = self._gone(attempt, cause)
            self._lost(attempt, text, now, gone=gone, ran=attempt.was_sent)
        if attempts:
            going_on = sum(attempt.call.call_id in self._calls for attempt in attempts)
            self._effects.append(WorkLost(node, cause, going_on, len(attempts) - going_on))

    def _lost(self, attempt: Attempt, text: str, now: float, *, gone: bool, ran: bool) -> None:
        """The node that had the call will not answer it; `ran`: it may have run there."""
        call = attempt.call
        call.lost = text
        call.losses += ran
        call.may_have_run = call.may_have_run or ran
        error = lost_error(call)
        if self._ended(attempt, error, now):
            return
        call.current = None
        may_run_again = not ran or (attempt.idempotent and call.losses < LOSSES_MAX)
        if not (call.to_handler or may_run_again):
            self._resolve(call, attempt, error=error)
            return
        if gone:
            call.refused.append(attempt.node)
        if ran and not call.to_handler:
            self.workers.balancer.must_retry(call.process, now=now)
        self._place(call, now)

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
        self._waiting.remove(call)
        del self._calls[call.call_id]
        self._deadlines.discard(call.call_id)
        self._hedges.discard(call.call_id)
        self._attempts.forget(call)
