"""A node that only answers what the control socket asks, from values that a test sets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from mreza.errors import UnknownNode
from mreza.events import Event, LinkUp, MemberState
from mreza.ids import MessageId, NodeId
from mreza.messaging.message import Message, Receipt
from mreza.node.event_hub import EventHub
from mreza.node.views import CallResult, LinkInfo, MemberInfo, RouteInfo, TraceHop
from mreza.qos import Priority

ME = NodeId(b"m" * 16)
PEER = NodeId(b"p" * 16)


class FakeNode:
    """As much of a MeshNetwork as the command line sees."""

    def __init__(self) -> None:
        self.hub = EventHub()
        self.calls: list[tuple[Any, ...]] = []
        self.error: Exception | None = None
        self.result: Any = "done"
        self.hold: asyncio.Event | None = None
        "When set: every call waits for it."
        self.cancelled = 0
        self.left: list[str] = []
        self.still_running = [2, 1, 0]
        "What a node that finishes its work tells."
        self.members = [
            MemberInfo(ME, "a", MemberState.ALIVE, "", 12.5, (), ("127.0.0.1:1",), "0.1.0", True),
            MemberInfo(PEER, "b", MemberState.SUSPECT, "silent", 0.2, ("x",), (), "0.1.0"),
        ]
        self.links = [LinkInfo(PEER, "b", "up", 0.25, 96, True, "127.0.0.1:2", "TLSv1.3")]
        self.routes = [RouteInfo(PEER, "b", PEER, "b", 96, 1)]

    @property
    def event_history(self) -> list[Event]:
        return self.hub.history

    def events(self) -> AsyncIterator[Event]:
        return self.hub.listen()

    def status(self) -> dict[str, Any]:
        return {"node": str(ME), "name": "a", "health": None}

    def snapshot(self) -> dict[str, Any]:
        return {"forwarded_envelopes": 3}

    def send(self, node: str, payload: Any, *, priority: Priority) -> None:
        self.calls.append(("send", node, payload, priority))

    async def send_message(self, message: Message) -> Receipt:
        self.calls.append(("send_message", message))
        return Receipt(MessageId(ME, 1, 2, 3, 4), PEER, (ME, PEER), 1, 0.5, self.result)

    async def ping(self, node: str, *, timeout_s: float) -> list[float | None]:
        self.calls.append(("ping", node, timeout_s))
        if node != "b":
            raise UnknownNode(f"no node {node!r}")
        return [0.001]

    async def trace(self, node: str, *, timeout_s: float) -> list[TraceHop]:
        self.calls.append(("trace", node, timeout_s))
        return [TraceHop(PEER, "b", 0.002), TraceHop(ME, "z", None)]

    async def leave(self, reason: str) -> None:
        self.left.append(reason)

    async def finish_work(self, timeout_s: float, *, on_progress: Callable[[int], None]) -> int:
        self.calls.append(("finish_work", timeout_s))
        for running in self.still_running:
            on_progress(running)
        return self.still_running[-1]

    async def call_detailed(
        self,
        name: str,
        payload: Any,
        *,
        timeout_s: float | None,
        priority: Priority,
        node: str | None,
        key: str | None,
    ) -> CallResult:
        self.calls.append(("call", name, payload, timeout_s, priority, node, key))
        try:
            if self.hold is not None:
                await self.hold.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error is not None:
            raise self.error
        return CallResult(self.result, PEER, 0.25, 1)


def link_up(label: str) -> LinkUp:
    """An event, told apart by its label."""
    return LinkUp(at=1.0, peer=PEER, label=label, address="127.0.0.1:2", dialed=True)
