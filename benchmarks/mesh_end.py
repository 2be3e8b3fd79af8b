"""Our end: one node, used through the public API alone."""

from __future__ import annotations

import asyncio
import itertools
import time
from pathlib import Path
from typing import Any

from benchmarks.timing import SAMPLE_S, WAIT_S, timed
from mreza import (
    DiscoveryConfig,
    MemberState,
    MeshNetwork,
    Message,
    MessageType,
    NodeId,
    OutboxFull,
    ReceivedMessage,
    SecurityConfig,
    TopologyConfig,
)

BATCH_BYTES = 64 * 1024
"Sent between two looks at the clock."


class MeshEnd:
    """Sender, relay or receiver."""

    def __init__(self) -> None:
        self._received = 0
        self._pong: asyncio.Future[None] | None = None
        self._mesh: MeshNetwork
        self._to: NodeId

    async def open(
        self, *, name: str, state: str, peers: list[str], only_peers: bool, expect: list[str]
    ) -> dict[str, Any]:
        """Start the node; with `expect`, wait until it sees these alive."""
        mesh = self._mesh = MeshNetwork(
            name=name,
            listen="127.0.0.1:0",
            discovery_config=DiscoveryConfig(peers=tuple(peers), lan=False, mdns=False),
            security_config=SecurityConfig(state=Path(state)),
            topology_config=TopologyConfig(only_peers=only_peers),
        )
        mesh.on_message(self._count)

        @mesh.process("echo")
        async def echo(payload: bytes) -> bytes:
            return payload

        await mesh.initialize()
        async with asyncio.timeout(WAIT_S):
            while not set(expect) <= self._alive():  # noqa: ASYNC110 - not measured
                await asyncio.sleep(SAMPLE_S)
        return {"address": str(mesh.listen_addresses[0])}

    async def close(self) -> None:
        await self._mesh.close()

    async def aim(self, *, name: str) -> None:
        """Send to this node from now on."""
        self._to = next(member.id for member in self._mesh.members if member.name == name)

    # The receiver.

    async def count(self, *, size: int) -> None:
        """Count messages from now on, from zero; the size is for peers that see only bytes."""
        del size
        self._received = 0
        self._mesh.on_message(self._count)

    async def echo(self) -> None:
        """Send each message back from now on."""
        self._mesh.on_message(self._send_back)

    async def received(self, *, count: int) -> dict[str, Any]:
        """Wait until so many have come; when was that?"""
        async with asyncio.timeout(WAIT_S):
            while self._received < count:  # noqa: ASYNC110 - an event would cost each message
                await asyncio.sleep(SAMPLE_S)
        return {"received": self._received, "at": time.monotonic()}

    def _count(self, _: ReceivedMessage[bytes]) -> None:
        self._received += 1

    def _send_back(self, message: ReceivedMessage[bytes]) -> None:
        self._mesh.send(message.source, message.payload)

    # The sender.

    async def one_way(self, *, size: int, seconds: float) -> dict[str, Any]:
        """Send for so long, as fast as the outbox takes."""
        mesh, to, payload = self._mesh, self._to, bytes(size)
        send, batch = mesh.send, range(max(1, BATCH_BYTES // size))
        sent = 0
        started = time.monotonic()
        while time.monotonic() - started < seconds:
            try:
                for _ in batch:
                    send(to, payload)
                    sent += 1
            except OutboxFull:
                await mesh.drain(to)
            await asyncio.sleep(0)
        return {"sent": sent, "at": started}

    async def round_trips(self, *, size: int, seconds: float) -> dict[str, Any]:
        """A message there and one back, one after the other."""
        mesh, to, payload = self._mesh, self._to, bytes(size)
        loop = asyncio.get_running_loop()
        mesh.on_message(self._ponged)

        async def once() -> None:
            self._pong = loop.create_future()
            mesh.send(to, payload)
            await self._pong

        return await timed(once, seconds)

    async def receipts(self, *, size: int, seconds: float) -> dict[str, Any]:
        """`send_message` to the other's message handler, one after the other."""
        message = Message(type=MessageType.DATA, payload=bytes(size), destination=self._to)

        async def once() -> None:
            await self._mesh.send_message(message)

        return await timed(once, seconds)

    async def calls(self, *, size: int, seconds: float) -> dict[str, Any]:
        """`call`, one after the other."""
        payload = bytes(size)

        async def once() -> None:
            await self._mesh.call("echo", payload, node=self._to)

        return await timed(once, seconds)

    async def calls_many(self, *, size: int, seconds: float, in_flight: int) -> dict[str, Any]:
        """`call` with so many in flight."""
        payload, numbers = bytes(size), itertools.count()
        started = time.monotonic()

        async def caller() -> None:
            while time.monotonic() - started < seconds:
                await self._mesh.call("echo", payload, node=self._to)
                next(numbers)

        async with asyncio.TaskGroup() as group:
            for _ in range(in_flight):
                group.create_task(caller())
        return {"messages": next(numbers), "seconds": time.monotonic() - started}

    def _ponged(self, _: ReceivedMessage[bytes]) -> None:
        if self._pong is not None and not self._pong.done():
            self._pong.set_result(None)

    def _alive(self) -> set[str]:
        return {m.name for m in self._mesh.members if m.state is MemberState.ALIVE}
