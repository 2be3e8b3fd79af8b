"""The `on_message` inbox: batches in, one handler call per message, credit back at the end."""

from __future__ import annotations

import asyncio
import inspect
import typing
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from mreza.errors import ConfigError, PayloadError
from mreza.ids import NodeId
from mreza.messaging.message import ReceivedMessage
from mreza.planes.effects import InboundData
from mreza.qos import Priority
from mreza.token_bucket import TokenBucket

MessageHandler = Callable[[ReceivedMessage[Any]], Awaitable[Any] | Any]

CLOSE_TIMEOUT_S = 1.0
"How long a message handler gets to notice that the node closes."
MESSAGE_INBOX = 0
"The inbox of `on_message`; this node has no other."
REPORTS_PER_S = 20.0
"Failures told, each a log line with a traceback; a burst of five seconds' worth. More are counted."
_ANY = msgspec.msgpack.Decoder(list[Any])
_RAWS = msgspec.msgpack.Decoder(list[msgspec.Raw])


def payload_type_of(handler: MessageHandler) -> Any:
    """The T of a first parameter annotated `ReceivedMessage[T]`; Any without an annotation."""
    try:
        parameters = list(inspect.signature(handler, eval_str=True).parameters.values())
    except (NameError, TypeError, ValueError) as error:
        raise ConfigError(f"cannot read the annotations of {handler!r}: {error}") from error
    if not parameters:
        raise ConfigError(
            f"{handler!r} takes no argument; a message handler takes one, the message"
        )
    annotation = parameters[0].annotation
    if typing.get_origin(annotation) is ReceivedMessage:
        return typing.get_args(annotation)[0]
    return Any


class Inbox:
    """Batches waiting for the message handler. Bounded by the credit that senders get for it."""

    def __init__(
        self,
        *,
        consumed: Callable[[NodeId, int, int], None],
        failed: Callable[[NodeId, BaseException], None],
        dropped: Callable[[int], None],
    ) -> None:
        self._consumed = consumed
        self._failed = failed
        self._dropped = dropped
        self._batches: deque[InboundData] = deque()
        self._ready = asyncio.Event()
        self._handler: MessageHandler | None = None
        self._is_async = False
        self._decoder: msgspec.msgpack.Decoder[list[Any]] = _ANY
        self._one: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(Any)
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self._reports = TokenBucket(rate_per_s=REPORTS_PER_S, burst=5 * REPORTS_PER_S)
        self.unreported = 0
        "Failures that were not told, for want of patience."
        self.bytes_waiting = 0

    @property
    def has_handler(self) -> bool:
        return self._handler is not None

    def set_handler(self, handler: MessageHandler) -> None:
        """Use this function from now on; its annotation chooses the payload's type."""
        kind = payload_type_of(handler)
        self._decoder = _ANY if kind is Any else msgspec.msgpack.Decoder(list[kind])  # type: ignore[valid-type]
        self._one = msgspec.msgpack.Decoder(kind)
        self._is_async = inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(
            getattr(handler, "__call__", None)  # noqa: B004 - an object with an async __call__
        )
        self._handler = handler

    def start(self) -> None:
        """Start the one task that calls the handler."""
        self._task = asyncio.create_task(self._run(), name="mreza-inbox")

    async def close(self) -> None:
        """Stop calling the handler; what waits is dropped.

        A handler that does not let itself be cancelled is left alone after a moment.
        """
        self._closed = True
        self._batches.clear()
        if self._task is not None:
            task, self._task = self._task, None
            task.cancel()
            await asyncio.wait((task,), timeout=CLOSE_TIMEOUT_S)

    def put(self, batch: InboundData) -> None:
        """A batch arrived."""
        if self._handler is None or batch.inbox != MESSAGE_INBOX:
            self._dropped(1)
            self._consumed(batch.source, batch.inbox, batch.credit_bytes)
            return
        self._batches.append(batch)
        self.bytes_waiting += batch.credit_bytes
        self._ready.set()

    async def answer(self, message: ReceivedMessage[Any], raw: msgspec.Raw) -> Any:
        """Handle one message whose sender waits for the result."""
        if self._handler is None:
            raise LookupError("this node has no on_message handler")
        try:
            message.payload = self._one.decode(raw)
        except Exception as error:
            raise PayloadError(
                f"the payload does not fit the handler's annotation: {error}"
            ) from error
        result = self._handler(message)
        return await result if inspect.isawaitable(result) else result

    async def _run(self) -> None:
        while not self._closed:
            while not self._batches:
                self._ready.clear()
                await self._ready.wait()
            batch = self._batches.popleft()
            try:
                await self._handle(batch)
            finally:
                self.bytes_waiting -= batch.credit_bytes
                self._consumed(batch.source, batch.inbox, batch.credit_bytes)
            await asyncio.sleep(
                0
            )  # A plain handler never suspends: let the loop breathe between batches.

    async def _handle(self, batch: InboundData) -> None:
        handler = self._handler
        if handler is None:
            return
        source, priority = batch.source, Priority(batch.priority)
        batch_id = (batch.stream_epoch, batch.priority, batch.sequence)
        is_async = self._is_async
        for place, payload in enumerate(self._payloads(batch)):
            message = ReceivedMessage(source, payload, priority, batch_id, place)
            try:
                if is_async:
                    await handler(message)
                else:
                    handler(message)
            except asyncio.CancelledError as error:
                if self._is_cancelled():
                    raise
                # Not ours: the handler awaited something that somebody else has cancelled.
                self._report(source, error)
            except (Exception, SystemExit) as error:  # noqa: BLE001 - a handler's failure is an event, not ours
                self._report(source, error)
            if self._closed:
                return

    def _payloads(self, batch: InboundData) -> list[Any]:
        # What a member sends, or what a user's type raises on seeing it, must not end this task.
        try:
            return self._decoder.decode(batch.body)
        except Exception:  # noqa: BLE001 - see above
            return self._one_by_one(batch)

    def _one_by_one(self, batch: InboundData) -> list[Any]:
        """Those that fit; of the others one word for the whole batch, however many they are."""
        fitting: list[Any] = []
        try:
            raws = _RAWS.decode(batch.body)
        except Exception as error:  # noqa: BLE001 - as above
            self._report(batch.source, error)
            return fitting
        first: Exception | None = None
        for raw in raws:
            try:
                fitting.append(self._one.decode(raw))
            except Exception as error:  # noqa: BLE001 - as above
                first = first or error
        if first is not None:
            first.add_note(f"{len(raws) - len(fitting)} of {len(raws)} messages of a batch")
            self._report(batch.source, first)
        return fitting

    def _report(self, source: NodeId, error: BaseException) -> None:
        """Tell of a failure, unless there are so many that telling costs more than handling."""
        if not self._reports.take(now=asyncio.get_running_loop().time()):
            self.unreported += 1
            return
        self._failed(source, error)

    def _is_cancelled(self) -> bool:
        """It is this task that shall end, not something that a handler waited for."""
        task = asyncio.current_task()
        return task is not None and task.cancelling() > 0
