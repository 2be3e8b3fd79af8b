"""Figures of nodes with default settings on one LAN."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.faults.figures import Measured
from benchmarks.faults.surroundings import quiet_net, report
from tests.support.netns import Lan
from tests.support.netns.members import APP, Member, all_see_all, known_to, wait_until
from tests.support.netns.shapes import on_a_lan

SETTLE_S = 3.0
SPLIT_S = 60.0
NODES_RESTARTED = 50
LONG_S = 120.0


@contextmanager
def lan(folder: Path, count: int) -> Iterator[tuple[Lan, list[Member]]]:
    with quiet_net(folder) as net:
        yield on_a_lan(net, count)


def killed(folder: Path, runs: int, key: str) -> list[Measured]:
    """`kill -9` of a node until all others have heard that it is unreachable, and failed."""
    count = int(key.rpartition("-")[2])
    unreachable, failed = [], []
    with lan(folder, count) as (_, members):
        for number in range(runs):
            time.sleep(SETTLE_S)
            victim = members[1 + number % (count - 1)]
            others = [member for member in members if member is not victim]
            since = time.monotonic()
            victim.process.kill()
            known = known_to(others, victim.name, "suspect", since=since, timeout_s=LONG_S)
            unreachable.append(1000 * max(known.values()))
            known = known_to(others, victim.name, "failed", since=since, timeout_s=LONG_S)
            failed.append(1000 * max(known.values()))
            report(f"{key} (failed {failed[-1]:.0f})", number, unreachable[-1], others, since)
            victim.process = victim.host.up(app=APP)
            all_see_all(members, timeout_s=LONG_S)
    return [
        Measured(f"killed-{count}", tuple(unreachable)),
        Measured(f"failed-{count}", tuple(failed)),
    ]


def left_and_joined(folder: Path, runs: int, _key: str) -> list[Measured]:
    """A node says goodbye and comes back."""
    left, joined = [], []
    with lan(folder, 8) as (_, members):
        *others, one = members
        for number in range(runs):
            time.sleep(SETTLE_S)
            since = time.monotonic()
            one.leave()
            left.append(1000 * max(known_to(others, one.name, "left", since=since).values()))
            report("left", number, left[-1], others, since)
            one.process.wait()
            time.sleep(SETTLE_S)
            one.process = one.host.up(app=APP)
            since = one.events("app_started")[0].at
            known = known_to(others, one.name, "alive", since=since, timeout_s=LONG_S)
            joined.append(1000 * max(known.values()))
            report("joined", number, joined[-1], members, since)
            all_see_all(members)
    return [Measured("left", tuple(left)), Measured("joined", tuple(joined))]


def split(folder: Path, runs: int, _key: str, *, seconds: float = SPLIT_S) -> list[Measured]:
    """A LAN of eight is split in two halves for a minute, and heals."""
    unreachable, named, events, healed = [], [], [], []
    with lan(folder, 8) as (switch, members):
        halves = members[::2], members[1::2]
        for number in range(runs):
            time.sleep(SETTLE_S)
            since = switch.split([member.host for member in halves[1]])
            unreachable.append(1000 * max(
                at
                for here, there in (halves, halves[::-1])
                for member in there
                for at in known_to(
                    here, member.name, "suspect", since=since, timeout_s=LONG_S
                ).values()
            ))  # fmt: skip
            report("split", number, unreachable[-1], members, since)
            time.sleep(max(0.0, since + seconds - time.monotonic()))
            partitions = [partitions_heard(member, since) for member in members]
            events.append(float(max(map(len, partitions))))
            if all(partitions):
                named.append(1000 * (max(times[0] for times in partitions) - since))
            since = switch.heal()
            healed.append(1000 * wait_for_all(members, since))
            report("healed", number, healed[-1], members, since)
    found = [("split", unreachable), ("partition-events", events), ("healed", healed)]
    if len(named) == runs:
        found.append(("partition", named))
    return [Measured(key, tuple(figures)) for key, figures in found]


def partitions_heard(member: Member, since: float) -> list[float]:
    """When its program heard of a partition."""
    return [
        event.at
        for event in member.events(since=since)
        if "partition" in event.name and "heal" not in event.name and "end" not in event.name
    ]


def wait_for_all(members: Sequence[Member], since: float) -> float:
    """Seconds from `since` until the last node heard that the last other is alive again."""
    all_see_all(members, timeout_s=LONG_S)
    return max(
        (
            event.at - since
            for member in members
            for event in member.events("member_changed", since=since, new="alive")
        ),
        default=0.0,
    )


def first_message(folder: Path, runs: int, key: str) -> list[Measured]:
    """From `initialize()` of the second node on a LAN until its first message is answered."""
    figures = []
    with quiet_net(folder) as net:
        # Another one each time: what either remembers of the other is not discovery.
        hosts = net.more_hosts(["first", *(f"second-{number}" for number in range(runs))])
        net.lan("lan", hosts)
        first = Member(hosts[0], hosts[0].up(app=APP))
        for number in range(runs):
            host = hosts[1 + number]
            second = Member(host, host.up(app=APP, env={"NETNS_FIRST": "first"}))
            wait_until(lambda one=second: one.events("first_answer"), "it is answered")  # type: ignore[misc]
            since = second.events("app_started")[0].at
            figures.append(1000 * (second.events("first_answer")[0].at - since))
            report(key, number, figures[-1], (first, second), since)
            second.leave()
            second.process.wait()
            time.sleep(SETTLE_S)
    return [Measured(key, tuple(figures))]


def restarted(folder: Path, _runs: int, key: str) -> list[Measured]:
    """Fifty nodes of one LAN are killed and started again, all at once."""
    with lan(folder, NODES_RESTARTED) as (_, members):
        time.sleep(SETTLE_S)
        for member in members:
            member.process.process.kill()
        for member in members:
            member.process.wait()
        since = time.monotonic()
        for member in members:
            member.process = member.host.up(app=APP, wait=False)
        for member in members:
            member.process.ready(timeout_s=LONG_S)
        ready = time.monotonic() - since
        took = wait_for_all(members, since)
        dials = [
            float(len(member.events("link_up", dialed=True)) + len(member.events("peer_refused")))
            for member in members
        ]
        report(f"{key} (all ready after {ready:.1f} s)", 0, 1000 * took, members[:2], since)
    return [Measured(key, (1000 * took,)), Measured("restart-50-dials", (max(dials),))]
