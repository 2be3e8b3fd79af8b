"""The meshes that are measured: a ring with two chords, and a LAN."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from tests.support.netns.hosts import Host
from tests.support.netns.lans import Lan
from tests.support.netns.members import APP, SETTLE_S, Member, all_see_all, wait_until
from tests.support.netns.net import DELAY_S, Net
from tests.support.netns.wires import Wire
from tests.support.processes import AskFailed, NodeProcess

RING = "abcdef"
RING_WIRES = ("ab", "bc", "cd", "de", "ef", "fa", "be", "cf")
"Six nodes, two chords: between any two there is a way that avoids any link and any third node."


def ring_with_chords(
    net: Net, *, options: Sequence[str] = (), delay_s: float = DELAY_S
) -> dict[str, Member]:
    """Six nodes that dial along the wires only; returns when all see all."""
    hosts = {name: net.host(name) for name in RING}
    for wire in RING_WIRES:
        net.wire(hosts[wire[0]], hosts[wire[1]], delay_s=delay_s)
    members = start(hosts, RING_WIRES, options=options)
    all_see_all(list(members.values()))
    return members


def start(
    hosts: dict[str, Host], wires: Sequence[str], *, options: Sequence[str] = ()
) -> dict[str, Member]:
    """A node on each host, which dials its neighbors and nobody else."""
    members = {}
    for name, host in hosts.items():
        members[name] = Member(host, start_one(host, hosts, wires, options=options, wait=False))
    for member in members.values():
        member.process.ready(timeout_s=60.0)
    return members


def start_one(
    host: Host,
    hosts: dict[str, Host],
    wires: Sequence[str],
    *,
    options: Sequence[str] = (),
    wait: bool = True,
) -> NodeProcess:
    """The node of one host; again, after it was killed."""
    peers = [hosts[end] for ends in wires for end in ends if host.name in ends and end != host.name]
    return host.up(peers=peers, only_peers=True, app=APP, options=options, wait=wait)


def on_a_lan(net: Net, count: int, *, options: Sequence[str] = ()) -> tuple[Lan, list[Member]]:
    """Nodes with default settings at one switch; returns when all see all."""
    hosts = net.more_hosts([f"n{number:02}" for number in range(count)])
    lan = net.lan("lan", hosts)
    processes = [host.up(app=APP, options=options, wait=False) for host in hosts]
    members = [Member(host, process) for host, process in zip(hosts, processes, strict=True)]
    for member in members:
        member.process.ready(timeout_s=120.0)
    all_see_all(members, timeout_s=120.0)
    return lan, members


def wires_to(net: Net, source: Member, target: str) -> list[Wire]:
    """The wires on the way now, the first one first; asks until the answer is a way."""

    def found() -> list[Wire] | None:
        try:
            path = source.path(target)
        except AskFailed:  # none answered in time: on the way to be found
            return None
        hops = [frozenset(pair) for pair in itertools.pairwise(path)]
        return [net.wires[hop] for hop in hops] if all(hop in net.wires for hop in hops) else None

    wires: list[Wire] = wait_until(found, f"a way from {source.name} to {target}")
    return wires


def whole(net: Net, members: dict[str, Member]) -> None:
    """Mend every wire and wait until the mesh is as it was when it began."""
    for wire in net.wires.values():
        wire.mend()
        wire.lose(0.0)
    neighbours: dict[str, set[str]] = {name: set() for name in members}
    for wire in net.wires.values():
        first, second = (end.name for end in wire.ends)
        neighbours[first].add(second)
        neighbours[second].add(first)
    for name, member in members.items():
        wait_for_links(member, neighbours[name])
    all_see_all(list(members.values()), timeout_s=SETTLE_S)


def wait_for_links(member: Member, names: set[str]) -> None:
    """Until it has links to just these."""
    wait_until(lambda: up_links(member) == names, f"{member.name} has links to {names}")


def wait_for_no_link(one: Member, other: Member) -> None:
    """Until neither uses its link to the other."""
    wait_until(lambda: other.name not in up_links(one), f"{one.name} gives up {other.name}")
    wait_until(lambda: one.name not in up_links(other), f"{other.name} gives up {one.name}")


def up_links(member: Member) -> set[str]:
    """Names at the other ends of the links that carry traffic."""
    return {link["name"] for link in member.process.ask_links() if link["state"] == "up"}
