"""`python -m benchmarks`: measure, print a table, and write JSON if asked."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import os
import platform
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.figures import Case, Measured, Summary, summarize
from benchmarks.peers import PACKAGES, PEERS, is_installed
from benchmarks.systems import System, all_systems

KIB = 1024
OURS, RELAYED = "mreza", "mreza, one relay"
BLOCKS, BATCHES, STREAMS = "tls-blocks", "tls-batches", "tls-streams"

CASES = (
    Case("128 B one way", "one_way", 128, (OURS, BLOCKS, BATCHES, STREAMS)),
    Case("64 KiB one way", "one_way", 64 * KIB, (OURS, BLOCKS, BATCHES, STREAMS)),
    Case("128 B one way, one relay", "one_way", 128, (RELAYED, BLOCKS, BATCHES, STREAMS)),
    Case("64 KiB one way, one relay", "one_way", 64 * KIB, (RELAYED, BLOCKS, BATCHES, STREAMS)),
    Case("128 B ping-pong", "round_trips", 128, (OURS, BLOCKS, STREAMS), "us"),
    Case("128 B ping-pong, one relay", "round_trips", 128, (RELAYED, BLOCKS, STREAMS), "us"),
    Case("128 B send_message", "receipts", 128, (OURS,), "us"),
    Case("128 B call", "calls", 128, (OURS, *PEERS), "us"),
    Case("128 B call, 100 in flight", "calls_many", 128, (OURS, STREAMS, *PEERS)),
)
"A relay is compared with a direct raw connection."
LIKE_PING_PONG = ("receipts", "calls")
"What TLS alone does not have is compared with its ping-pong, measured beside it."


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of one measurement")
    parser.add_argument("--short", action="store_true", help="one round of 0.1 s: does it run?")
    parser.add_argument("--only", metavar="TEXT", help="cases whose name contains this")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all figures here")
    given = parser.parse_args()
    if given.short:
        given.rounds, given.seconds = 1, 0.1
    if given.rounds < 1 or given.seconds <= 0:
        parser.error("rounds and seconds must be positive")
    return given


def with_peers(case: Case) -> Case:
    """The libraries that are installed, and ping-pong of raw TLS beside what it does not have."""
    there = tuple(name for name in case.systems if name not in PEERS or is_installed(name))
    if case.do in LIKE_PING_PONG:
        there = (there[0], BLOCKS, STREAMS, *there[1:])
    return dataclasses.replace(case, systems=there)


def missing_peers(cases: list[Case]) -> list[str]:
    """Peers of these cases that cannot be measured here."""
    wanted = {name for case in cases for name in case.systems}
    return [name for name in PEERS if name in wanted and not is_installed(name)]


def as_peer(case: Case, system: str) -> Case:
    """What this system does for the case."""
    if case.do in LIKE_PING_PONG and system in (BLOCKS, STREAMS):
        return dataclasses.replace(case, do="round_trips")
    return case


async def measure(
    cases: list[Case], systems: dict[str, System], *, rounds: int, seconds: float
) -> list[Summary]:
    """Every round measures every case; within a case the systems take turns in who is first."""
    runs: dict[str, dict[str, list[Measured]]] = {
        case.name: {system: [] for system in case.systems} for case in cases
    }
    for case in cases:
        for name in case.systems:
            await systems[name].run(as_peer(case, name), seconds=min(seconds, 0.3))  # warm up
    for number in range(rounds):
        for case in cases:
            order = case.systems if number % 2 == 0 else case.systems[::-1]
            for name in order:
                measured = await systems[name].run(as_peer(case, name), seconds=seconds)
                runs[case.name][name].append(measured)
            print(f"round {number + 1} of {rounds}: {case.name}", file=sys.stderr)
    return [summary for case in cases for summary in summarize(case, runs[case.name])]


def table(summaries: list[Summary]) -> Table:
    made = Table("what", "system", title="medians over rounds (least – most)")
    for heading in ("figure", "", "CPU µs/msg", "p99 µs", "ours / this"):
        made.add_column(heading, justify="right", no_wrap=True)
    previous = ""
    for row in summaries:
        if previous and row.case != previous:
            made.add_section()
        cpu = " + ".join(
            f"{role} {row.cpu_us[role]:.2f}"
            for role in ("near", "relay", "far")
            if role in row.cpu_us
        )
        figure = f"{row.median:,.0f} {'µs' if row.unit == 'us' else 'msg/s'}"
        if row.unit != "us" and row.size >= KIB:
            figure += f" = {row.median * row.size / 1e6:,.0f} MB/s"
        made.add_row(
            row.case if row.case != previous else "",
            row.system,
            figure,
            f"{row.least:,.0f} – {row.most:,.0f}",
            cpu,
            "" if row.p99_us is None else f"{row.p99_us:,.0f}",
            "" if row.ratio is None else f"{row.ratio:.3f}",
        )
        previous = row.case
    return made


def surroundings() -> dict[str, Any]:
    """What the figures depend on, without naming the machine."""
    control = Path("/proc/sys/net/ipv4/tcp_congestion_control")
    return {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cores": os.cpu_count(),
        "congestion_control": control.read_text().strip() if control.exists() else None,
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Of what we need, and of the peers that are there."""
    names = ["cryptography", "msgspec", "uvloop"]
    names += [PACKAGES[peer] for peer in PEERS if is_installed(peer)]
    return {name: version(name) for name in names}


async def main() -> None:
    given = arguments()
    chosen = [case for case in CASES if not given.only or given.only in case.name]
    if not chosen:
        raise SystemExit(f"no case contains {given.only!r}: {', '.join(c.name for c in CASES)}")
    for name in missing_peers(chosen):
        print(
            f"{name}: not measured: not installed (make bench-peers), or not on this system",
            file=sys.stderr,
        )
    cases = [with_peers(case) for case in chosen]
    wanted = {system for case in cases for system in case.systems}
    with tempfile.TemporaryDirectory(prefix="mreza-bench-") as folder:
        async with all_systems(Path(folder), wanted) as systems:
            summaries = await measure(cases, systems, rounds=given.rounds, seconds=given.seconds)
    Console(width=None if sys.stdout.isatty() else 150).print(table(summaries))
    if given.json is not None:
        figures = {
            "rounds": given.rounds,
            "seconds": given.seconds,
            **surroundings(),
            "results": [dataclasses.asdict(summary) for summary in summaries],
        }
        given.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    asyncio.run(main())
