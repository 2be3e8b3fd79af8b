"""Ping and trace: questions that another node's planes answer without its application."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from mreza.clock import Clock
from mreza.ids import NodeId
from mreza.qos import Priority
from mreza.wire.envelope import HOP_LIMIT, EnvelopeKind
from mreza.wire.packet import Control, ControlKind


class ControlSender(Protocol):
    """The part of the data plane that probes need."""

    def send_control(
        self,
        destination: NodeId,
        control: Control,
        *,
        priority: int = ...,
        kind: int = ...,
        hop_limit: int = ...,
    ) -> None: ...


class Probes:
    """Pings in flight. Each is a future with a deadline; late answers fall on the floor."""

    def __init__(self, sender: ControlSender, *, clock: Clock, wake: Callable[[], None]) -> None:
        self._sender = sender
        self._clock = clock
        self._wake = wake
        self._waiting: dict[int, asyncio.Future[NodeId]] = {}
        self._number = 0

    def answered(self, source: NodeId, control: Control) -> None:
        """A PONG or EXPIRED_HERE came."""
        future = self._waiting.pop(control.number, None)
        if future is not None and not future.done():
            future.set_result(source)

    async def ask(
        self, destination: NodeId, *, timeout_s: float, hop_limit: int = HOP_LIMIT
    ) -> tuple[NodeId, float] | None:
        """Who answered and after how many seconds, or None. With a low hop limit: a relay."""
        self._number += 1
        number = self._number
        future: asyncio.Future[NodeId] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        started = self._clock.monotonic()
        self._sender.send_control(
            destination,
            Control(kind=ControlKind.PING, number=number, stamp_us=int(started * 1e6)),
            priority=Priority.CRITICAL,
            kind=EnvelopeKind.TRACE if hop_limit < HOP_LIMIT else EnvelopeKind.SEALED,
            hop_limit=hop_limit,
        )
        self._wake()
        try:
            async with asyncio.timeout(timeout_s):
                source = await future
        except TimeoutError:
            return None
        finally:
            self._waiting.pop(number, None)
        return source, self._clock.monotonic() - started
