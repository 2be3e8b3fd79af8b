"""What one node pays for the size of its mesh: CPU, traffic and memory from 100 to 10,000 members.

One real node core with twelve links; the records of all others come as their neighbors would pass
them on: refreshes every 300 s, 1 % of the members leaving and 1 % joining a minute, every link
changing its cost now and then. Of the frames that each record causes half come in and half go out,
as on links whose two ends hear of it at the same time from elsewhere. Each size runs in a process
of its own.

    make bench-scale
    python -m benchmarks.scale --sizes 100 1000 --seconds 60
"""

from __future__ import annotations

import argparse
import dataclasses
import heapq
import itertools
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from random import Random

import psutil

from mreza.config.mesh import MeshConfig
from mreza.planes.core import NodeCore
from mreza.planes.effects import SendFrame
from mreza.security.credentials import Credentials
from mreza.sim.crowd import Crowd
from mreza.sim.trust import Trust
from mreza.wire.frame import FrameType
from mreza.wire.records import RECORDS, RECORDS_FRAME_MAX, AgedRecord, Record, RecordsBody

SIZES = (100, 300, 1000, 3000, 10_000)
TICK_S = 0.05
"What is signed anywhere within this time comes in one frame: flooding coalesces."
SETTLE_S = 30.0
"Virtual seconds after learning the mesh that are not measured: timers of routes are quiet then."
WALL = 1_800_000_000.0
CHURN_PER_MIN = 0.01
COST_CHANGES_PER_S = 1 / 600
"For each member: a link whose round-trip time drifts is said anew once in ten minutes."
FRAME_HEADER = 5


@dataclasses.dataclass(frozen=True)
class Paid:
    """One size."""

    members: int
    learn_cpu_s: float
    "To learn a mesh from nothing."
    cpu: float
    "Share of one core while the mesh lives on."
    in_kb_s: float
    out_kb_s: float
    records_s: float
    "Accepted, per second."
    routes_s: float
    "How often routes were computed, per second."
    memory_mb: float
    "That the process grew by with the mesh."


class Meter:
    """A node core on a virtual clock, with its CPU time and traffic."""

    def __init__(self, size: int, *, seed: int) -> None:
        self.rng = Random(seed)
        self.now = 1000.0
        trust = Trust(rng=self.rng, wall=WALL)
        me = trust.identity()
        self.crowd = Crowd(size - 1, me=me, trust=trust, rng=self.rng)
        self.neighbors = list(self.crowd.me.costs)
        self.records = list(self.crowd.everything())
        self.cpu_s = 0.0
        self.bytes_in = self.bytes_out = self.accepted = 0
        self.before = psutil.Process().memory_info().rss
        # What a simulated world checks once for all of its nodes must be paid for here.
        shared = trust.credentials(me, "me")
        own = {field.name: getattr(shared, field.name) for field in dataclasses.fields(Credentials)}
        self.core = NodeCore(
            credentials=Credentials(**own),
            name="me",
            addresses=("192.0.2.1:7467",),
            boot=1,
            config=MeshConfig(),
            rng=self.rng,
            now=self.now,
            wall=WALL,
        )
        for peer in self.neighbors:
            other = self.crowd.nodes[peer]
            self.spend(
                lambda peer=peer, epoch=other.epoch: self.core.link_up(  # type: ignore[misc]
                    peer, peer_epoch=epoch, rtt_s=0.005, now=self.now
                )
            )

    def spend(self, work: Callable[[], object]) -> None:
        began = time.process_time()
        work()
        self.cpu_s += time.process_time() - began

    def turn(self) -> None:
        """As a driver does."""

        def work() -> None:
            self.core.advance(now=self.now)
            self.core.flush(now=self.now)

        self.spend(work)
        for effect in self.core.drain():
            if isinstance(effect, SendFrame):
                self.bytes_out += FRAME_HEADER + len(effect.body)

    def hear(self, records: Iterable[Record], *, copies: int) -> None:
        """Records come over so many links, first over one and at once over the others."""
        peers = self.rng.sample(self.neighbors, copies)
        for frame in frames(records):
            for peer in peers:
                self.bytes_in += FRAME_HEADER + len(frame)
                self.spend(
                    lambda peer=peer, frame=frame: self.core.frame(  # type: ignore[misc]
                        peer, FrameType.RECORDS, frame, now=self.now
                    )
                )
        self.turn()

    def quiet_down(self) -> None:
        """Turns until nothing is left to do at this moment."""
        while (due := self.core.next_deadline()) is not None and due <= self.now:
            self.turn()

    def go_to(self, at: float) -> None:
        """All turns that timers ask for until then."""
        while (due := self.core.next_deadline()) is not None and due < at:
            self.now = max(self.now, due)
            self.turn()
        self.now = at


def frames(records: Iterable[Record]) -> Iterable[bytes]:
    """RECORDS frames as full as they may be."""
    aged: list[AgedRecord] = []
    size = 0
    for record in records:
        length = len(record.body) + 160
        if size + length > RECORDS_FRAME_MAX:
            yield RECORDS.encode(RecordsBody(tuple(aged)))
            aged, size = [], 0
        aged.append(AgedRecord(record, 0.0))
        size += length
    if aged:
        yield RECORDS.encode(RecordsBody(tuple(aged)))


def happenings(
    meter: Meter, *, begin: float, seconds: float
) -> Iterable[tuple[float, Callable[[], list[Record]]]]:
    """What happens in the mesh, in order of time; each kind as often as members make it happen."""
    members, crowd = len(meter.crowd.nodes), meter.crowd
    rates = (
        (members / 300.0, crowd.refresh),
        (members * CHURN_PER_MIN / 60.0, crowd.leave),
        (members * CHURN_PER_MIN / 60.0, crowd.join),
        (members * COST_CHANGES_PER_S, crowd.change_cost),
    )
    return heapq.merge(
        *(moments(meter.rng, rate, begin, seconds, what) for rate, what in rates),
        key=lambda moment: moment[0],
    )


def moments(
    rng: Random, rate: float, begin: float, seconds: float, what: Callable[[], list[Record]]
) -> Iterable[tuple[float, Callable[[], list[Record]]]]:
    at = begin + rng.expovariate(rate)
    while at < begin + seconds:
        yield at, what
        at += rng.expovariate(rate)


def measure(size: int, *, seconds: float, seed: int = 1) -> Paid:
    """Learn a mesh of this size, then live in it for so many virtual seconds."""
    meter = Meter(size, seed=seed)
    for some in _batches(meter.records, 40):
        meter.hear(some, copies=1)
        meter.quiet_down()
    meter.go_to(meter.now + SETTLE_S)
    learn_cpu_s = meter.cpu_s
    memory = psutil.Process().memory_info().rss - meter.before
    if len(meter.core.control.routes) != size - 1:
        raise RuntimeError(f"{len(meter.core.control.routes)} of {size - 1} members are reached")
    meter.cpu_s, meter.bytes_in, meter.bytes_out = 0.0, 0, 0
    computed, begin, signed = meter.core.control.computation.computed, meter.now, 0
    ticks = itertools.groupby(
        happenings(meter, begin=begin, seconds=seconds), key=lambda one: int(one[0] / TICK_S)
    )
    for tick, batch in ticks:
        records = [record for _, what in batch for record in what()]
        newest = {record.slot: record for record in records}
        signed += len(newest)
        meter.go_to(max(meter.now, tick * TICK_S))
        meter.hear(newest.values(), copies=(len(meter.neighbors) + 1) // 2)
    meter.go_to(begin + seconds)
    return Paid(
        members=size,
        learn_cpu_s=learn_cpu_s,
        cpu=meter.cpu_s / seconds,
        in_kb_s=meter.bytes_in / seconds / 1000,
        out_kb_s=meter.bytes_out / seconds / 1000,
        records_s=signed / seconds,
        routes_s=(meter.core.control.computation.computed - computed) / seconds,
        memory_mb=memory / 1e6,
    )


def _batches(records: Sequence[Record], count: int) -> Iterable[Sequence[Record]]:
    return (records[at : at + count] for at in range(0, len(records), count))


def table(rows: Sequence[Paid]) -> str:
    """For people."""
    head = ("members", "CPU", "in kB/s", "out kB/s", "records/s", "routes/s", "MB", "learn, CPU s")
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in rows:
        cells = (
            f"{row.members:,}",
            f"{row.cpu:.1%}",
            f"{row.in_kb_s:.1f}",
            f"{row.out_kb_s:.1f}",
            f"{row.records_s:.1f}",
            f"{row.routes_s:.2f}",
            f"{row.memory_mb:.0f}",
            f"{row.learn_cpu_s:.1f}",
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="What one node pays for the size of its mesh.")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--seconds", type=float, default=60.0, help="virtual seconds of each size")
    parser.add_argument("--one", action="store_true", help="one size, here, as JSON")
    given = parser.parse_args()
    if given.one:
        print(json.dumps(dataclasses.asdict(measure(given.sizes[0], seconds=given.seconds))))
        return
    rows = []
    for size in given.sizes:
        command = [sys.executable, "-m", "benchmarks.scale", "--one", "--sizes", str(size)]
        command += ["--seconds", str(given.seconds)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        rows.append(Paid(**json.loads(done.stdout)))
        print(f"{size:,} members measured", file=sys.stderr, flush=True)
    print(table(rows))


if __name__ == "__main__":
    main()
