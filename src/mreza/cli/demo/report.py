"""What the demo amounts to, in rows and sentences."""

from __future__ import annotations

from pathlib import Path

from mreza.cli.demo.story import Story
from mreza.cli.demo.tally import NodeTally, Tally
from mreza.cli.tables import counted, size

COMPLAINTS_SHOWN = 10
NODE_COLUMNS = ("node", "pid", "part", "files", "share", "busy", "forwarded", "restarts")
NAME_SHOWN = 20
"So many letters of a function's name, which has to stand in a line."


def node_rows(tally: Tally, story: Story) -> list[list[str]]:
    """One row for each node: who it is, what it did, what it forwarded, how often it was killed."""
    first = next(iter(tally.nodes.values()))
    return [
        [
            node.name,
            "killed" if node.name in story.down else str(node.pids[-1]),
            "sends" if node is first else "far end" if node.behind_a_relay else "relay",
            "-" if node is first else f"{node.files:,}",
            "-" if node is first else f"{100 * tally.share(node):.0f} %",
            f"{node.busy_s:.1f} s",
            _envelopes(node),
            str(node.restarts) if node.restarts else "-",
        ]
        for node in tally.nodes.values()
    ]


def _envelopes(node: NodeTally) -> str:
    count = node.forwarded_envelopes
    return f"{count:,} ({size(node.forwarded_bytes)})" if count else "-"


LOSS_COLUMNS = ("killed", "part", "at", "noticed after", "tasks moved", "back after")


def loss_rows(story: Story) -> list[list[str]]:
    """One row for each node that was killed, and how the mesh took it."""
    return [
        [
            loss.node,
            loss.part,
            f"{loss.killed_s:.1f} s",
            _after(loss.noticed_s, loss.killed_s),
            str(loss.moved),
            _after(loss.back_s, loss.killed_s),
        ]
        for loss in story.losses
    ]


def _after(moment_s: float | None, began_s: float) -> str:
    return "never" if moment_s is None else f"{moment_s - began_s:.1f} s"


WAY_COLUMNS = ("rerouted", "at", "before", "after")


def way_rows(story: Story) -> list[list[str]]:
    """One row for each change of a way from the sender."""
    return [
        [way.node, f"{way.at_s:.1f} s", way.way(way.before), way.way(way.after)]
        for way in story.reroutings
    ]


SLOWEST_COLUMNS = ("seconds", "size", "lines", "functions", "longest function", "node", "file")


def slowest_rows(tally: Tally) -> list[list[str]]:
    """The files that took most time, slowest first."""
    rows = []
    for one in sorted(tally.slowest, reverse=True):
        found = one.measurement
        longest = (
            f"{_cut(found['longest'])} ({found['longest_lines']})" if found["longest"] else "-"
        )
        rows.append(
            [
                f"{one.seconds:.3f}",
                size(found["bytes"]),
                str(found["lines"]),
                found["error"] or str(found["functions"]),
                longest,
                one.node,
                shortened(one.path),
            ]
        )
    return rows


def _cut(name: str) -> str:
    return name if len(name) <= NAME_SHOWN else f"{name[: NAME_SHOWN - 1]}…"


def shortened(path: str) -> str:
    """The end of a path, which tells files apart: at most three parts."""
    parts = Path(path).parts
    return path if len(parts) <= 3 else "/".join(("…", *parts[-3:]))


def complaints(tally: Tally) -> list[str]:
    """What did not go well, the worst first; so many that they can be read."""
    found = [
        *(f"differs: {text}" for text in tally.differing),
        *(f"failed: {text}" for text in tally.failed),
        *(f"not sent: {text}" for text in tally.skipped),
    ]
    shown = found[:COMPLAINTS_SHOWN]
    return [*shown, f"and {len(found) - len(shown)} more"] if len(found) > len(shown) else shown


def verdict(tally: Tally, story: Story, *, seconds: float) -> list[str]:
    """What it all amounts to."""
    total_bytes = sum(node.bytes for node in tally.nodes.values())
    found_all = f"{counted(tally.lines, 'line')} and {counted(tally.functions, 'function')}"
    files = counted(tally.agreed, "file")
    lines = [f"{found_all} in {files} ({size(total_bytes)}) in {seconds:.1f} s"]
    if tally.longest is not None:
        found = tally.longest.measurement
        lines[0] += (
            f"; longest function: {found['longest']}, {found['longest_lines']:,} lines, "
            f"in {shortened(tally.longest.path)}"
        )
    if tally.measured:
        crossed, measured = tally.crossed, tally.measured
        share = 100 * crossed / measured
        lines.append(
            f"{crossed:,} of {counted(measured, 'file')} ({share:.1f} %) were measured by nodes "
            "that node-1 reaches only over others"
        )
    lines += _accidents(story)
    if tally.all_agreed:
        skipped = f"; {counted(len(tally.skipped), 'file')} not sent" if tally.skipped else ""
        agreed = "one result agrees" if tally.agreed == 1 else f"all {tally.agreed:,} results agree"
        lines.append(f"{agreed} with what was computed without the mesh{skipped}")
    else:
        lines.append(
            f"NOT all agree: {len(tally.differing)} differ, {len(tally.failed)} failed, "
            f"{len(tally.skipped)} were not sent, {tally.total - tally.settled} were not reached, "
            f"{tally.agreed} agree"
        )
    return lines


def _accidents(story: Story) -> list[str]:
    if story.calm:
        return []
    if story.survived:
        killed, moved = counted(len(story.losses), "node"), counted(story.moved, "task")
        ways = counted(len(story.reroutings), "change")
        return [f"{killed} killed and back: {moved} moved, {ways} of way, nothing lost"]
    survived = sum(loss.survived for loss in story.losses)
    return [f"NOT all losses were survived: {survived} of 2"]
