"""A process that is stopped and goes on later: busy is not dead, nothing is lost or done twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

from mreza import LinkConfig, LinkDown, MemberState, MeshNetwork, Message, MessageType
from tests.support.eventually import eventually_async
from tests.support.meshes import offers, sees
from tests.support.processes import Processes

WORKER = "tests.support.apps:worker"
SILENT_AFTER_S = 1.0
IN_FLIGHT = 32


async def test_a_node_that_was_frozen_goes_on_where_it_was(
    processes: Processes, state_dir: Path
) -> None:
    settings = {
        "MREZA_LINK__SILENT_AFTER_S": str(SILENT_AFTER_S),
        "MREZA_LINK__PROBE_INTERVAL_S": "0.2",
    }
    b = processes.up("b", state=state_dir, app=WORKER, env=settings)
    # Silence is noticed from the first probe on, not only once a handshake would have timed out.
    link = LinkConfig(silent_after_s=SILENT_AFTER_S, probe_interval_s=0.2, handshake_timeout_s=60.0)
    async with MeshNetwork(name="a", link_config=link) as a:
        await offers(a, "b", "sleep")
        call = asyncio.create_task(a.call("sleep", 0.5, timeout_s=60))
        assert await a.call("double", 4, node="b") == 8
        b.freeze()
        messages = [
            asyncio.create_task(
                a.send_message(
                    Message(type=MessageType.DATA, payload=number, destination="b", timeout_s=60)
                )
            )
            for number in range(IN_FLIGHT)
        ]
        await eventually_async(lambda: not a.links, "the link counts as lost")
        (lost,) = [event for event in a.event_history if isinstance(event, LinkDown)]
        assert lost.cause == "silent"
        assert {m.state for m in a.members if m.name == "b"} == {MemberState.SUSPECT}
        assert not any(message.done() for message in messages)
        b.thaw()
        receipts = await asyncio.gather(*messages)
        await sees(a, "b")
        assert [receipt.result for receipt in receipts] == list(range(IN_FLIGHT))
        assert await call == 0.5
        handled = Counter(line.split()[0] for line in b.output("messages").decode().splitlines())
        assert handled == {str(receipt.message_id): 1 for receipt in receipts}
        assert a.node_id not in (receipt.node for receipt in receipts)
