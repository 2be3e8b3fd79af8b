"""Nodes in a line: the ends reach each other through those between, who learn nothing."""

from __future__ import annotations

import json
import os
from pathlib import Path

from mreza import DiscoveryConfig, MeshNetwork, TopologyConfig
from mreza.errors import DecodeError
from mreza.node.control_protocol import Call
from mreza.wire.envelope import Envelope, decode_envelope
from mreza.wire.frame import FrameType
from tests.support.apps import records
from tests.support.eventually import eventually, eventually_async
from tests.support.meshes import sees
from tests.support.processes import NodeProcess, Processes, done, mreza

WORKER = "tests.support.apps:worker"
MARKER = b"<the marker that relays must not see>"
PROCESS_NAME = "repeat-after-me"


def line_of(
    processes: Processes, state: Path, names: str, *, apps: dict[str, str] | None = None
) -> list[NodeProcess]:
    """Nodes where each has links to the ones before and after it, and to nobody else."""
    nodes: list[NodeProcess] = []
    for name in names:
        app = (apps or {}).get(name, WORKER)
        peers = [nodes[-1].listen] if nodes else []
        nodes.append(processes.up(name, state=state, peers=peers, only_peers=True, app=app))
    for node in nodes:
        node.sees(*names)
    return nodes


def test_trace_shows_each_hop_with_its_own_time_and_calls_reach_the_far_end(
    processes: Processes, state_dir: Path
) -> None:
    a, b, c = line_of(processes, state_dir, "abc")
    assert a.peers() == {"b"}
    assert c.peers() == {"b"}
    assert b.peers() == {"a", "c"}

    traced = json.loads(done(mreza("trace", "c", "--via", "a", "--json", state=state_dir)))
    assert [hop["name"] for hop in traced["path"]] == ["b", "c"]
    assert [hop["node"] for hop in traced["path"]] == [b.node_id, c.node_id]
    assert all(0 < hop["rtt_ms"] < 20_000 for hop in traced["path"])

    command = ("call", "who", "--node", "c", "--via", "a", "--json")
    answered = json.loads(done(mreza(*command, state=state_dir)))
    assert answered["result"]["name"] == "c"
    assert answered["result"]["pid"] == c.pid
    assert answered["node"] == c.node_id


def test_five_hops_in_six_processes_each_relay_forwards_every_envelope(
    processes: Processes, state_dir: Path
) -> None:
    nodes = line_of(processes, state_dir, "abcdef")
    first, relays, last = nodes[0], nodes[1:-1], nodes[-1]

    traced = json.loads(done(mreza("trace", "f", "--via", "a", "--json", state=state_dir)))
    assert [hop["name"] for hop in traced["path"]] == list("bcdef")
    assert all(hop["rtt_ms"] > 0 for hop in traced["path"])

    before = [node.snapshot() for node in nodes]
    payload = os.urandom(512 * 1024)
    answer = first.ask(Call(process=PROCESS_NAME, data=payload, node="f"))
    assert answer["node"] == last.node_id

    def risen() -> list[int]:
        now = [node.snapshot() for node in nodes]
        sent = [now[i]["sent_envelopes"] - before[i]["sent_envelopes"] for i in (0, len(nodes) - 1)]
        forwarded = [
            now[i]["forwarded_envelopes"] - before[i]["forwarded_envelopes"]
            for i in range(1, len(nodes) - 1)
        ]
        return [sum(sent), *forwarded]

    # Acknowledgements may still be on their way: the figures meet when all has arrived.
    eventually(lambda: len(set(risen())) == 1, f"all forwarded what was sent: {risen()}")
    assert risen()[0] >= 2 * len(payload) // (64 * 1024)
    assert len(relays) == 4


def between(frames: list[bytes], one: bytes, other: bytes) -> list[tuple[Envelope, bytes]]:
    """The envelopes from one of these nodes to the other among the frames."""
    found = []
    for frame in frames:
        kind, body = frame[0], frame[1:]
        if kind == FrameType.ENVELOPE:
            try:
                envelope = decode_envelope(body)
            except DecodeError as error:
                raise AssertionError("a relay sent what is no envelope") from error
            if {bytes(envelope.source), *map(bytes, envelope.destinations)} == {one, other}:
                found.append((envelope, body))
    return found


async def test_a_relay_sends_nothing_of_what_it_carries_in_clear(
    processes: Processes, state_dir: Path
) -> None:
    b = processes.up("b", state=state_dir, only_peers=True, app="tests.support.apps:relay_recorder")
    c = processes.up(
        "c",
        state=state_dir,
        peers=[b.listen],
        only_peers=True,
        app="tests.support.apps:open_recorder",
    )
    payload = b"".join(os.urandom(8 * 1024) + MARKER for _ in range(160))
    assert len(payload) >= 1024 * 1024
    async with MeshNetwork(
        name="a",
        discovery_config=DiscoveryConfig(peers=(b.listen,)),
        topology_config=TopologyConfig(only_peers=True),
    ) as a:
        await sees(a, "b", "c")
        assert {link.name for link in a.links} == {"b"}
        echoed = await a.call(PROCESS_NAME, payload, node="c", result_type=bytes)
        assert echoed == payload
        me, far = bytes(a.node_id), next(bytes(m.id) for m in a.members if m.name == "c")
        # The last frame of the answer is recorded before it is sent, so all is there already.
        carried = between(records(b.output("sent")), me, far)
        opened = await eventually_async(lambda: records(c.output("opened")), "c opens packets")

    there = [body for envelope, body in carried if envelope.source == me]
    back = [body for envelope, body in carried if envelope.source == far]
    for bodies in (there, back):
        assert len(bodies) > 0
        assert sum(map(len, bodies)) >= len(payload), "random bytes cannot have been made smaller"
    name = PROCESS_NAME.encode()
    assert not any(MARKER in body or name in body for _, body in carried)

    assert any(MARKER in packet for packet in opened)
    assert any(name in packet for packet in opened)
