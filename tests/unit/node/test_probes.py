"""Pings and traces are questions with a deadline."""

from __future__ import annotations

import asyncio

from mreza.ids import NodeId
from mreza.node.probes import Probes
from mreza.wire.envelope import HOP_LIMIT, EnvelopeKind
from mreza.wire.packet import Control, ControlKind

PEER = NodeId(b"p" * 16)
RELAY = NodeId(b"r" * 16)


class Sender:
    def __init__(self) -> None:
        self.sent: list[tuple[NodeId, Control, int, int]] = []

    def send_control(
        self,
        destination: NodeId,
        control: Control,
        *,
        priority: int = 3,
        kind: int = EnvelopeKind.SEALED,
        hop_limit: int = HOP_LIMIT,
    ) -> None:
        assert priority == 3
        self.sent.append((destination, control, kind, hop_limit))


class Time:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now


def probes() -> tuple[Probes, Sender, Time]:
    sender, time = Sender(), Time()
    return Probes(sender, clock=time, wake=lambda: None), sender, time


async def test_a_pong_gives_the_node_and_the_time() -> None:
    asked, sender, time = probes()
    answer = asyncio.ensure_future(asked.ask(PEER, timeout_s=60))
    await asyncio.sleep(0)
    (destination, control, kind, hop_limit), *_ = sender.sent
    assert (destination, kind, hop_limit) == (PEER, EnvelopeKind.SEALED, HOP_LIMIT)
    time.now += 0.25
    asked.answered(PEER, Control(kind=ControlKind.PONG, number=control.number))
    assert await answer == (PEER, 0.25)


async def test_with_a_low_hop_limit_the_relay_answers() -> None:
    asked, sender, _ = probes()
    answer = asyncio.ensure_future(asked.ask(PEER, timeout_s=60, hop_limit=1))
    await asyncio.sleep(0)
    _, control, kind, hop_limit = sender.sent[0]
    assert (kind, hop_limit) == (EnvelopeKind.TRACE, 1)
    asked.answered(RELAY, Control(kind=ControlKind.EXPIRED_HERE, number=control.number))
    assert await answer == (RELAY, 0.0)


async def test_no_answer_is_none_and_a_late_one_falls_on_the_floor() -> None:
    asked, sender, _ = probes()
    assert await asked.ask(PEER, timeout_s=0.001) is None
    asked.answered(PEER, Control(kind=ControlKind.PONG, number=sender.sent[0][1].number))
    again = asyncio.ensure_future(asked.ask(PEER, timeout_s=60))
    await asyncio.sleep(0)
    assert not again.done()
    again.cancel()
