"""`kill -9` of the only relay while messages are under way; what must hold afterwards."""

from __future__ import annotations

import asyncio
import collections
from pathlib import Path
from typing import NamedTuple

from mreza import DiscoveryConfig, MeshNetwork, Message, MessageType, Receipt, TopologyConfig
from tests.support.eventually import eventually_async
from tests.support.meshes import sees
from tests.support.processes import NodeProcess, Processes, free_port

IN_FLIGHT = 64
DOWN_S = 2.0
TIMEOUT_S = 30.0
WORKER = "tests.support.apps:worker"


class Outcome(NamedTuple):
    """What one run saw."""

    receipts: int
    slowest_s: float


class Line:
    """A, in this process, – B – C, which log what they handle."""

    def __init__(self, processes: Processes, state: Path) -> None:
        self._processes = processes
        self._state = state
        self._b_listen = f"127.0.0.1:{free_port()}"
        self._b = self._start_b()
        self._c = processes.up(
            "c", state=state, peers=[self._b_listen], only_peers=True, app=WORKER
        )
        self._numbers = 0
        self._receipts: dict[int, Receipt] = {}

    def mesh(self) -> MeshNetwork:
        """A, not yet initialized."""
        return MeshNetwork(
            name="a",
            discovery_config=DiscoveryConfig(peers=(self._b_listen,)),
            topology_config=TopologyConfig(only_peers=True),
        )

    async def kill_the_relay(self, a: MeshNetwork) -> Outcome:
        """64 in flight, B killed and back after 2 s: all receipts come, nothing runs twice."""
        await sees(a, "b", "c")
        first = self._numbers
        killed = asyncio.Event()
        senders = [
            asyncio.create_task(self._send_until(a, killed), name=f"sender-{number}")
            for number in range(IN_FLIGHT)
        ]
        try:
            await eventually_async(
                lambda: len(self._receipts) >= first + 20 * IN_FLIGHT or _failed(senders),
                "messages flow",
            )
            self._b.kill()
            await asyncio.sleep(DOWN_S)  # not a wait for something: the outage lasts this long
            killed.set()
            self._b = await asyncio.to_thread(self._start_b)
            await asyncio.gather(*senders)
        finally:
            for sender in senders:
                sender.cancel()
            await asyncio.gather(*senders, return_exceptions=True)
        return await self._check(first)

    async def _send_until(self, a: MeshNetwork, killed: asyncio.Event) -> None:
        """One message after the other, and one more after B is gone."""
        last = False
        while not last:
            last = killed.is_set()
            self._numbers += 1
            number = self._numbers
            self._receipts[number] = await a.send_message(
                Message(
                    type=MessageType.DATA,
                    payload=number,
                    destination="c",
                    timeout_s=TIMEOUT_S,
                )
            )

    async def _check(self, first: int) -> Outcome:
        """C's own log has each message of this run exactly once, under the id in its receipt."""
        receipts = {n: r for n, r in self._receipts.items() if n > first}
        assert len(receipts) == self._numbers - first
        handled = collections.Counter(
            tuple(line.split()[:2]) for line in self._c.output("messages").decode().splitlines()
        )
        numbers = collections.Counter(int(number) for _, number in handled.elements())
        twice = [number for number, times in numbers.items() if times != 1]
        assert not twice, f"handled more than once: {twice[:10]}"
        missing = [
            number
            for number, receipt in receipts.items()
            if handled[str(receipt.message_id), str(number)] != 1
        ]
        assert not missing, f"not in C's log under the receipt's id: {missing[:10]}"
        assert all(receipt.result == number for number, receipt in receipts.items())
        return Outcome(
            receipts=len(receipts),
            slowest_s=max(receipt.latency_s for receipt in receipts.values()),
        )

    def _start_b(self) -> NodeProcess:
        return self._processes.up(
            "b", state=self._state, listen=self._b_listen, only_peers=True, app=WORKER
        )


def _failed(tasks: list[asyncio.Task[None]]) -> bool:
    return any(task.done() for task in tasks)
