"""Six real nodes in a ring with two chords, 5 ms a wire: whatever goes, messages go around it."""

from __future__ import annotations

import time

import pytest

from tests.support.netns import Net
from tests.support.netns.members import Flow, Load, Member, wait_until
from tests.support.netns.shapes import wait_for_no_link, wires_to

Ring = dict[str, Member]
pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def flow(ring: Ring) -> Flow:
    return Flow(ring["a"], ring["d"])


@pytest.mark.parametrize("hop", [0, 1])
def test_probes_flow_around_a_wire_that_swallows_everything(
    net: Net, ring: Ring, flow: Flow, hop: int
) -> None:
    wire = wires_to(net, ring["a"], "d")[hop]
    cut = wire.cut()
    flow.again(cut)
    wait_for_no_link(*(ring[end.name] for end in wire.ends))
    assert wire not in wires_to(net, ring["a"], "d")
    assert not ring["a"].events("member_changed", since=cut, new="failed")
    flow.stop()


@pytest.mark.parametrize("hop", [0, 2])
def test_probes_flow_around_a_wire_that_refuses(net: Net, ring: Ring, flow: Flow, hop: int) -> None:
    wire = wires_to(net, ring["a"], "d")[hop]
    cut = wire.refuse()
    flow.again(cut)
    first, second = wire.ends
    for member, peer in ((first, second), (second, first)):
        heard = ring[member.name].hears("link_down", since=cut, label=peer.name)
        assert heard.fields["cause"] in {"reset", "closed"}
    flow.stop()


def test_probes_flow_around_unplugged_cables(net: Net, ring: Ring, flow: Flow) -> None:
    wire = wires_to(net, ring["a"], "d")[0]
    flow.again(wire.unplug())
    flow.stop()


def test_a_wire_that_works_one_way_carries_nothing_for_either_side(
    net: Net, ring: Ring, flow: Flow
) -> None:
    wire = wires_to(net, ring["a"], "d")[0]
    flow.again(wire.cut_one_way(wire.ends[0]))
    wait_for_no_link(*(ring[end.name] for end in wire.ends))
    assert wire not in wires_to(net, ring["a"], "d")
    assert wire.counted[1].frames > 0
    flow.stop()


def test_no_receipt_is_lost_or_work_doubled_when_a_wire_or_a_relay_goes(
    net: Net, ring: Ring
) -> None:
    a, d = ring["a"], ring["d"]
    load = Load(a, d, per_s=200)
    time.sleep(0.5)  # not a wait for something, here and below: each state lasts this long
    wire = wires_to(net, a, "d")[1]
    wire.cut()
    time.sleep(1.5)
    wire.mend()
    relay = next(ring[end.name] for end in wires_to(net, a, "d")[0].ends if end.name != "a")
    relay.process.freeze()
    time.sleep(1.5)
    relay.process.thaw()
    time.sleep(0.5)
    outcome = load.stop()
    assert outcome.sent > 400
    assert outcome.lost_or_doubled == 0, outcome


def test_a_lossy_wire_loses_no_receipt(net: Net, ring: Ring) -> None:
    wire = wires_to(net, ring["a"], "d")[1]
    wire.lose(0.2)
    load = Load(ring["a"], ring["d"], per_s=100)
    time.sleep(6.0)  # not a wait for something: the loss lasts this long
    outcome = load.stop()
    assert outcome.sent > 300
    assert outcome.lost_or_doubled == 0, outcome
    assert sum(way.lost for way in wire.counted) > 0


def test_handlers_that_burn_cpu_leave_their_node_a_member(ring: Ring) -> None:
    begun = time.monotonic()
    ring["e"].ask("burn", 5.0)
    wait_until(lambda: time.monotonic() > begun + 5.0, "the CPU was burnt")
    for member in ring.values():
        assert not member.events("member_changed", since=begun, label="e", new="failed")
