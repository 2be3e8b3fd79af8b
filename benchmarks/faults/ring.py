"""Figures of six nodes in a ring with two chords, 5 ms a wire."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from benchmarks.faults.figures import Measured
from benchmarks.faults.surroundings import burners, quiet_net, report
from tests.support.netns import Net, Wire
from tests.support.netns.members import Flow, Load, Member, all_see_all
from tests.support.netns.shapes import (
    RING_WIRES,
    ring_with_chords,
    start_one,
    whole,
    wires_to,
)

FAST = ("--profile", "fast")
SETTLE_S = 3.0
"Between two faults, so that no back-off of one is measured with the next."
IDLE_S = 15.0
LOSSY_S = 60.0
BURN_S = 30.0
ROUTES_EVERY_S = 0.25
LOAD_PER_S = 1000.0
LOAD_MINUTES = 10.0


class Ring:
    """The six nodes, made whole between the runs."""

    def __init__(self, net: Net, *, options: tuple[str, ...] = ()) -> None:
        self.net = net
        self.options = options
        self.members = ring_with_chords(net, options=options)
        self.a, self.d = self.members["a"], self.members["d"]

    @property
    def everybody(self) -> list[Member]:
        return list(self.members.values())

    def whole(self) -> None:
        whole(self.net, self.members)
        time.sleep(SETTLE_S)

    def wire(self, number: int) -> Wire:
        """A wire on the way from a to d: in turn the first, the second and the third."""
        wires = wires_to(self.net, self.a, "d")
        return wires[number % len(wires)]

    def relay(self) -> Member:
        """The first node between a and d."""
        first = wires_to(self.net, self.a, "d")[0]
        return next(self.members[end.name] for end in first.ends if end.name != "a")

    def wires_of(self, member: Member) -> list[Wire]:
        return [wire for wire in self.net.wires.values() if member.host in wire.ends]

    def restart(self, member: Member) -> None:
        """After a kill."""
        member.process = start_one(
            member.host, self.net.hosts, RING_WIRES, options=self.options, wait=True
        )
        all_see_all(self.everybody)


@contextmanager
def ring(folder: Path, *, options: tuple[str, ...] = ()) -> Iterator[Ring]:
    with quiet_net(folder) as net:
        yield Ring(net, options=options)


def strike(wire: Wire, fault: str) -> float:
    """Let it happen; when it did."""
    match fault:
        case "one-way":
            return wire.cut_one_way(wire.ends[0])
        case "visible":
            return wire.refuse()
        case "unplugged":
            return wire.unplug()
        case _:
            return wire.cut()


def flow(folder: Path, runs: int, key: str) -> list[Measured]:
    """Something happens to a wire on the way, until probes flow again."""
    figures = []
    with ring(folder, options=FAST if key.endswith("-fast") else ()) as mesh:
        probes = Flow(mesh.a, mesh.d)
        for number in range(runs):
            mesh.whole()
            since = strike(mesh.wire(number), key)
            figures.append(1000 * probes.again(since))
            report(key, number, figures[-1], mesh.everybody, since)
    return [Measured(key, tuple(figures))]


def receipts(folder: Path, runs: int, _: str) -> list[Measured]:
    """Under 1,000 msg/s with receipts, a wire, a relay or its host goes."""
    wrong, slowest = [], []
    faults = ("silent", "visible", "relay", "host")
    with ring(folder) as mesh:
        for number in range(max(runs, len(faults))):
            fault = faults[number % len(faults)]
            mesh.whole()
            load = Load(mesh.a, mesh.d, per_s=LOAD_PER_S)
            time.sleep(1.0)
            since = time.monotonic()
            relay = mesh.relay()
            match fault:
                case "relay":
                    relay.process.kill()
                case "host":
                    for wire in mesh.wires_of(relay):
                        wire.cut()
                    relay.process.kill()
                case _:
                    strike(mesh.wire(number), fault)
            time.sleep(2.0)
            outcome = load.stop()
            wrong.append(float(outcome.lost_or_doubled))
            slowest.append(1000 * outcome.slowest_s)
            shown = [member for member in mesh.everybody if member.process.running]
            report(f"receipts ({fault}; {outcome.sent} sent; slowest {slowest[-1]:.0f} ms)",
                   number, wrong[-1], shown, since)  # fmt: skip
            for wire in mesh.net.wires.values():
                wire.mend()
            if not relay.process.running:
                mesh.restart(relay)
    return [Measured("receipts", tuple(wrong)), Measured("receipts-slowest", tuple(slowest))]


def frozen(folder: Path, runs: int, _: str) -> list[Measured]:
    """A relay stands still for 2 s, 5 s, and 15 s."""
    found: dict[str, list[float]] = {}
    with ring(folder) as mesh:
        probes = Flow(mesh.a, mesh.d)
        for number in range(max(runs, 3)):
            seconds = (2.0, 5.0, 15.0)[number % 3]
            mesh.whole()
            relay = mesh.relay()
            others = [member for member in mesh.everybody if member is not relay]
            since = time.monotonic()
            relay.process.freeze()
            found.setdefault("frozen-flow", []).append(1000 * probes.again(since))
            time.sleep(max(0.0, since + seconds - time.monotonic()))
            thawed = time.monotonic()
            relay.process.thaw()
            for member in others:
                member.process.sees(relay.name)
            back = max(
                (event.at - thawed for member in others
                 for event in member.events("member_changed", since=thawed, new="alive")),
                default=0.0,
            )  # fmt: skip
            failed = [
                len(member.events("member_changed", since=since, new="failed")) for member in others
            ]
            if seconds < 15.0:
                found.setdefault("frozen-back", []).append(1000 * back)
                found.setdefault("frozen-failed", []).append(float(max(failed)))
            else:
                found.setdefault("frozen-15-back", []).append(1000 * back)
                found.setdefault("frozen-15", []).append(float(max(failed)))
            report(f"frozen {seconds:g} s, back {1000 * back:.0f} ms, failed {failed}", number,
                   found["frozen-flow"][-1], mesh.everybody, since)  # fmt: skip
    return [Measured(key, tuple(figures)) for key, figures in found.items()]


def burn(folder: Path, _runs: int, key: str) -> list[Measured]:
    """A handler burns CPU in a thread: how often its node was held to have failed."""
    with ring(folder) as mesh:
        since = time.monotonic()
        mesh.a.ask("burn", BURN_S)
        time.sleep(BURN_S)
        failed = sum(
            len(member.events("member_changed", since=since, new="failed"))
            for member in mesh.everybody
        )
        report(key, 0, failed, mesh.everybody, since)
    return [Measured(key, (float(failed),))]


def lossy(folder: Path, _runs: int, _key: str) -> list[Measured]:
    """20 % of the frames of one wire on the way are lost for a minute."""
    with ring(folder) as mesh:
        mesh.whole()
        load = Load(mesh.a, mesh.d, per_s=100)
        since = time.monotonic()
        wire = mesh.wire(1)
        wire.lose(0.2)
        changes, before = 0, None
        while time.monotonic() < since + LOSSY_S:
            hop = next(
                route["next_hop_name"] for route in mesh.a.routes() if route["name"] == mesh.d.name
            )
            changes += before not in (None, hop)
            before = hop
            time.sleep(ROUTES_EVERY_S)
        outcome = load.stop()
        report(f"lossy ({outcome.sent} sent, lost or doubled {outcome.lost_or_doubled})", 0,
               changes, mesh.everybody, since)  # fmt: skip
    return [
        Measured("lossy-routes", (float(changes),)),
        Measured("lossy-receipts", (float(outcome.lost_or_doubled),)),
    ]


def loaded(folder: Path, _runs: int, _key: str, *, minutes: float = LOAD_MINUTES) -> list[Measured]:
    """The machine has twice as much to do as it can, with 50 ms probes."""
    with ring(folder, options=FAST) as mesh:
        load = Load(mesh.a, mesh.d, per_s=50)
        links = len(RING_WIRES)
        since = time.monotonic()
        with burners(4):
            time.sleep(60.0 * minutes)
            outcome = load.stop()
        whole(mesh.net, mesh.members)
        downs = [
            (event.at, member, event.fields["label"])
            for member in mesh.everybody
            for event in member.events("link_down", since=since)
        ]
        backs = [
            1000 * (member.events("link_up", since=at, label=peer)[0].at - at)
            for at, member, peer in downs
        ]
        failed = sum(
            len(member.events("member_changed", since=since, new="failed"))
            for member in mesh.everybody
        )
        report(f"load ({outcome.sent} sent)", 0, len(downs), mesh.everybody, since)
    # Both ends of a link hear that it is down.
    per_hour = len(downs) / 2 / links * 60.0 / minutes
    return [
        Measured("load-failed", (float(failed),)),
        Measured("load-downs", (per_hour,)),
        Measured("load-back", tuple(backs) or (0.0,)),
        Measured("load-lost", (float(outcome.lost_or_doubled),)),
    ]


def idle(folder: Path, runs: int, _key: str) -> list[Measured]:
    """What 50 ms probes cost when nothing else happens."""
    frames, octets, cpu = [], [], []
    with ring(folder, options=FAST) as mesh:
        mesh.whole()
        processes = [psutil.Process(member.process.pid) for member in mesh.everybody]
        for _ in range(runs):
            wires = list(mesh.net.wires.values())
            before = [wire.counted for wire in wires]
            spent = [sum(process.cpu_times()[:2]) for process in processes]
            begun = time.monotonic()
            time.sleep(IDLE_S)
            seconds = time.monotonic() - begun
            after = [wire.counted for wire in wires]
            now = [sum(process.cpu_times()[:2]) for process in processes]
            through = [
                (new[way].frames - old[way].frames, new[way].bytes - old[way].bytes)
                for old, new in zip(before, after, strict=True)
                for way in (0, 1)
            ]
            frames.append(sum(one for one, _ in through) / len(wires) / seconds)
            octets.append(sum(one for _, one in through) / len(wires) / seconds)
            used = [100 * (b - a) / seconds for a, b in zip(spent, now, strict=True)]
            cpu.append(max(used))
    return [
        Measured("idle-frames", tuple(frames)),
        Measured("idle-bytes", tuple(octets)),
        Measured("idle-cpu", tuple(cpu)),
    ]
