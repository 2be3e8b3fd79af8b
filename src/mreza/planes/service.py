"""The service plane: calls of ours, work for others, and the short way between the two."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import msgspec

from mreza.balancing.balancer import Balancer
from mreza.config.load_balancer import Strategy
from mreza.config.mesh import MeshConfig
from mreza.errors import PayloadError
from mreza.ids import NodeId
from mreza.machine import Alarm, earliest
from mreza.planes.answers import SendResponse
from mreza.planes.calls import Calls, SendRequest
from mreza.planes.effects import (
    CancelRequest,
    InboundRequests,
    InboundResponses,
    RequestsReturned,
)
from mreza.planes.work import Work
from mreza.processes.handlers import Registry
from mreza.qos import Priority
from mreza.wire.packet import IDEMPOTENCY_KEY_MAX, Failure

__all__ = ["SendRequest", "SendResponse", "ServicePlane"]

_ADDRESSED = frozenset((SendRequest, CancelRequest, SendResponse))
"What may be for ourselves."


class ServicePlane:
    """Calls of this node and work for others, joined.

    Effects: SendRequest, CancelRequest and SendResponse to other nodes, RunHandler, CancelHandler,
    CallProgress, Resolve, WorkLost.

    The driver answers each RunHandler with `finished` once its handler has ended, cancelled or not,
    and tells `not_sent` when the data plane raises for a SendRequest.
    """

    def __init__(
        self,
        *,
        me: NodeId,
        instance: int,
        offering: Callable[[str], tuple[NodeId, ...]],
        path_to: Callable[[NodeId], tuple[NodeId, ...]],
        config: MeshConfig,
        balancer: Balancer | None = None,
        rng: Random | None = None,
        stream_epoch: int = 0,
        role_of: Callable[[NodeId], str] = lambda _: "",
        effects: list[Any] | None = None,
        alarm: Alarm | None = None,
    ) -> None:
        """`role_of` tells the role in a node's certificate.

        What it asks for goes to `effects`, where given, in place of a list of its own.
        """
        self.me = me
        self.instance = instance
        self.registry = Registry(role=role_of(me))
        self._offering = offering
        self._role_of = role_of
        self.retired = False
        "It takes no more work."
        self._stream_epoch = stream_epoch
        self._config = config
        self._inner: list[Any] = []
        "What calls and work ask for, before it is known whether it concerns another node."
        self._effects: list[Any] = [] if effects is None else effects
        self._work = Work(registry=self.registry, config=config, effects=self._inner, alarm=alarm)
        self._calls = Calls(
            me=me,
            offering=self._allowed,
            path_to=path_to,
            registry=self.registry,
            balancer=balancer or _balancer_of(config, rng),
            config=config,
            effects=self._inner,
            alarm=alarm,
        )

    @property
    def balancer(self) -> Balancer:
        """Who picks workers; may be replaced, work in flight stays with the one before."""
        return self._calls.workers.balancer

    @balancer.setter
    def balancer(self, balancer: Balancer) -> None:
        self._calls.workers.balancer = balancer

    # Inputs: calls of ours.

    def call(
        self,
        process: str,
        payload: msgspec.Raw,
        *,
        node: NodeId | None = None,
        timeout_s: float | None = None,
        priority: int = Priority.NORMAL,
        key: str | None = None,
        headers: dict[str, str] | None = None,
        idempotent: bool = False,
        idempotency_key: str = "",
        progress: bool = False,
        target_is_handler: bool = False,
        strategy: Strategy | str | None = None,
        hedge: bool | float = False,
        now: float,
    ) -> int:
        """Have `process` run on a node that offers it, or `node`'s handler; Resolve follows.

        `progress`: CallProgress may come before. `hedge`: if the process is idempotent, ask a
        second node when the answer is late, that is after so many seconds or (True) when 95 % of
        answers would have come.

        Raises:
            ConfigError, PayloadError: what was asked can never be done.
        """
        if len(idempotency_key) > IDEMPOTENCY_KEY_MAX:
            size = len(idempotency_key)
            raise PayloadError(f"idempotency_key of {size} characters, limit {IDEMPOTENCY_KEY_MAX}")
        call_id = self._calls.call(
            process,
            payload,
            node=node,
            timeout_s=self._config.messaging.timeout_s if timeout_s is None else timeout_s,
            priority=priority,
            key=key or idempotency_key or None,
            headers=headers,
            idempotent=idempotent,
            idempotency_key=idempotency_key,
            progress=progress,
            to_handler=target_is_handler,
            strategy=strategy,
            hedge=hedge,
            now=now,
        )
        self._settle(now)
        return call_id

    def cancel(self, call_id: int) -> None:
        """Nobody waits for the outcome of a call: there will be no Resolve."""
        self._calls.cancel(call_id)
        # It needs no time: nothing begins, and nobody is answered.
        self._settle(0.0)

    def receive_responses(self, batch: InboundResponses, *, now: float) -> None:
        """Answers arrived."""
        for response in batch.responses:
            self._calls.receive(batch.source, response, now=now)
        self._settle(now)

    def requests_returned(self, returned: RequestsReturned, *, now: float) -> None:
        """Requests of ours are sent no longer, because their destination restarted."""
        self._calls.returned(returned.destination, returned.request_ids, now=now)
        self._settle(now)

    def wants(self, request_id: int) -> bool:
        """Whether a SendRequest shall still be sent, whatever was heard since it was asked for."""
        return self._calls.wants(request_id)

    def not_sent(self, request_id: int, error: Exception, *, now: float) -> None:
        """The data plane raised `error` for this request: it was never sent."""
        self._calls.not_sent(request_id, error, now=now)
        self._settle(now)

    def numbered(self, request_id: int, message: tuple[int, int, int, int]) -> None:
        """The data plane numbered a request: (stream epoch, priority, sequence, place)."""
        self._calls.numbered(request_id, message)

    # Inputs: work for others.

    def receive_requests(self, batch: InboundRequests, *, now: float) -> None:
        """Requests arrived."""
        self._work.requester_epoch(batch.source, batch.stream_epoch)
        for place, request in enumerate(batch.requests):
            message = (batch.stream_epoch, batch.priority, batch.sequence, place)
            self._work.admit(batch.source, message, request, now=now)
        self._settle(now)

    def receive_cancel(
        self, source: NodeId, *, stream_epoch: int, request_id: int, now: float
    ) -> None:
        """A requester no longer waits for the answer to a request."""
        self._work.cancel(source, stream_epoch=stream_epoch, request_id=request_id)
        self._settle(now)

    def finished(
        self, run_id: int, *, result: bytes | None, failure: Failure | None, status: int, now: float
    ) -> None:
        """A handler has ended; `result` as msgpack if the status is OK, else `failure`."""
        self._work.finished(run_id, result=result, failure=failure, status=status, now=now)
        self._settle(now)

    def progress(self, run_id: int, value: msgspec.Raw, *, now: float) -> None:
        """A handler tells how far it is."""
        self._work.progress(run_id, value, now=now)
        self._settle(now)

    def measured(
        self, *, cpu: float | None, memory: float | None, loop_lag_s: float | None
    ) -> None:
        """How busy this machine is, for the answers to come; at most once a second."""
        self._work.own_load.measured(cpu=cpu, memory=memory, loop_lag_s=loop_lag_s)

    def close(self, *, now: float) -> None:
        """Take no more work; who waits is told to go elsewhere."""
        self.retired = True
        self._work.close()
        self._settle(now)

    # Inputs: what happens in the mesh.

    def node_doubted(self, node: NodeId, reason: str) -> None:
        """A member cannot be reached, for this reason; or it can be again, if that is empty."""
        self._calls.workers.doubt(node, reason)

    def node_lost(self, node: NodeId, *, cause: str, now: float) -> None:
        """A member failed, left or was revoked."""
        self._work.forget(node)
        self._calls.node_lost(node, cause, now=now)
        self._settle(now)

    def peer_restarted(self, node: NodeId, *, same_process: bool, now: float) -> None:
        """A node has another epoch; if it is the same process it still knows what it was asked."""
        if not same_process:
            self._calls.restarted(node, now=now)
            self._settle(now)

    def offers_changed(self, *, now: float) -> None:
        """Somebody's offers (ours, too) or routes changed."""
        self._work.registry_changed()
        self._calls.offers_changed(now=now)
        self._settle(now)

    def advance(self, *, now: float) -> None:
        """Resolve what is too late."""
        self._calls.advance(now=now)
        self._settle(now)
        self._work.advance(now=now)
        self._settle(now)

    # Outputs.

    def next_deadline(self) -> float | None:
        return earliest(self._calls.next_deadline(), self._work.next_deadline())

    def drain(self) -> list[Any]:
        """The effects for the driver, in order."""
        effects = self._effects.copy()
        self._effects.clear()
        return effects

    @property
    def stats(self) -> dict[str, int]:
        """Gauges, and requests turned away since the start."""
        return {
            "calls_in_flight": len(self._calls),
            "calls_waiting": self._calls.waiting,
            "work_running": self._work.running,
            "work_waiting": self._work.waiting,
            "work_refused": self._work.refused,
        }

    # Rules.

    def _settle(self, now: float) -> None:
        """Carry what is between us and ourselves; the rest is for others."""
        inner, me, effects = self._inner, self.me, self._effects
        # It grows meanwhile: what follows from an effect comes behind it.
        for effect in inner:
            if type(effect) in _ADDRESSED and effect.destination == me:
                self._take_ourselves(effect, now)
            else:
                effects.append(effect)
        inner.clear()

    def _take_ourselves(self, effect: Any, now: float) -> None:
        match effect:
            case SendRequest(_, request, priority):
                message = (self._stream_epoch, priority, request.id, 0)
                self._calls.numbered(request.id, message)
                self._work.admit(self.me, message, request, now=now)
            case CancelRequest(_, request_id):
                epoch = self._stream_epoch
                self._work.cancel(self.me, stream_epoch=epoch, request_id=request_id)
            case SendResponse(_, response):
                self._calls.receive(self.me, response, now=now)

    def _allowed(self, process: str) -> tuple[NodeId, ...]:
        """Who offers it and, as far as we know its roles, may."""
        nodes = self._offering(process)
        roles = self.registry.roles_of(process)
        return tuple(n for n in nodes if self._role_of(n) in roles) if roles else nodes


def _balancer_of(config: MeshConfig, rng: Random | None) -> Balancer:
    balancer = config.load_balancer
    return Balancer(
        strategy=balancer.strategy,
        threshold=balancer.threshold,
        per_process=balancer.per_process,
        load_max_age_s=balancer.load_max_age_s,
        rng=rng,
    )
