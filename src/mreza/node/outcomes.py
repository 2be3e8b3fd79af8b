"""Calls that wait for their outcome: each one future, resolved by the service plane."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from mreza.clock import Clock
from mreza.errors import MeshError, PayloadError
from mreza.ids import MessageId, NodeId
from mreza.messaging.message import Receipt
from mreza.node.logs import Log
from mreza.node.remote_errors import remote_error
from mreza.node.views import CallResult
from mreza.planes.effects import CallProgress, Resolve

OnProgress = Callable[[Any], None]
"Called on the event loop with what the handler gave to `context.progress`."
_ANYTHING = msgspec.msgpack.Decoder()
_log = Log("mreza")


class Outcome:
    """A call that succeeded."""

    def __init__(self, me: NodeId, resolve: Resolve, latency_s: float) -> None:
        if resolve.node is None:
            raise MeshError("a call succeeded without a node")
        self._me = me
        self._resolve = resolve
        self._node = resolve.node
        self._latency_s = latency_s

    def _result(self, kind: Any) -> Any:
        try:
            if kind is Any:
                return _ANYTHING.decode(self._resolve.result)
            return msgspec.msgpack.decode(self._resolve.result, type=kind)
        except msgspec.MsgspecError as error:
            raise PayloadError(f"the result does not fit {kind!r}: {error}") from error

    def call_result(self, kind: Any = Any) -> CallResult:
        """The result, decoded as `kind`."""
        resolve = self._resolve
        return CallResult(
            self._result(kind), self._node, self._latency_s, resolve.attempts, resolve.call_id
        )

    def receipt(self) -> Receipt:
        """The receipt of `send_message`."""
        epoch, priority, sequence, place = self._resolve.message or (0, 0, 0, 0)
        return Receipt(
            message_id=MessageId(self._me, epoch, priority, sequence, place),
            node=self._node,
            path=self._resolve.path,
            attempts=self._resolve.attempts,
            latency_s=self._latency_s,
            result=self._result(Any),
        )


class Waiting:
    """The futures of all calls in flight."""

    def __init__(self, me: NodeId, *, clock: Clock, cancel: Callable[[int], None]) -> None:
        self._me = me
        self._clock = clock
        self._cancel = cancel
        self._futures: dict[int, asyncio.Future[Resolve]] = {}
        self._listeners: dict[int, OnProgress] = {}

    def __len__(self) -> int:
        return len(self._futures)

    async def outcome(self, call_id: int, on_progress: OnProgress | None = None) -> Outcome:
        """Wait for one call; cancelling this cancels the call, wherever it runs."""
        started = self._clock.monotonic()
        future: asyncio.Future[Resolve] = asyncio.get_running_loop().create_future()
        self._futures[call_id] = future
        if on_progress is not None:
            self._listeners[call_id] = on_progress
        try:
            resolve = await future
        except asyncio.CancelledError:
            self._cancel(call_id)
            raise
        finally:
            self._futures.pop(call_id, None)
            self._listeners.pop(call_id, None)
        error = resolve.error
        if resolve.failure is not None:
            node = "" if resolve.node is None else resolve.node.short
            error = remote_error(resolve.failure, node=node)
        if error is not None:
            if isinstance(error, MeshError):
                error.call_id = call_id
            raise error
        return Outcome(self._me, resolve, self._clock.monotonic() - started)

    def resolve(self, effect: Resolve) -> None:
        """The service plane knows how a call ended."""
        future = self._futures.get(effect.call_id)
        if future is not None and not future.done():
            future.set_result(effect)

    def progressed(self, effect: CallProgress) -> None:
        """A worker tells how far a call is."""
        listener = self._listeners.get(effect.call_id)
        if listener is None:
            return
        try:
            listener(msgspec.msgpack.decode(effect.value))
        except Exception:  # noqa: BLE001 - what a program does with it must not end the turn
            _log.warning("on_progress_failed", call=effect.call_id, exc_info=True)

    def fail_all(self, error: Exception) -> None:
        """The node closes: nobody waits for ever."""
        for future in self._futures.values():
            if not future.done():
                future.set_exception(error)
