"""Nets that keep their logs to themselves, load for the machine, and timelines of events."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.support.netns import Net
from tests.support.netns.members import Member

TIMELINE_MAX = 12
"Events shown of the beginning, and of the end."


@contextlib.contextmanager
def quiet_net(folder: Path) -> Iterator[Net]:
    """A net whose nodes' logs are shown only if a measurement failed."""
    net = Net(folder)
    kept = io.StringIO()
    try:
        yield net
    except BaseException:
        kept.write("failed")
        raise
    finally:
        failed = bool(kept.getvalue())
        with contextlib.redirect_stdout(sys.stderr if failed else io.StringIO()):
            net.close()


@contextlib.contextmanager
def burners(count: int) -> Iterator[None]:
    """So many processes that never rest."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def report(key: str, run: int, figure: float, members: Iterable[Member], since: float) -> None:
    """One run, and what the nodes heard in it: what to look at when a figure is bad."""
    heard = [
        (event.at - since, member.name, event.name, event.fields)
        for member in members
        for event in member.events(since=since)
    ]
    lines = [
        f"{1000 * at:9.1f} ms {name:6} {event} "
        + " ".join(str(fields[key]) for key in ("label", "new", "cause", "code") if key in fields)
        for at, name, event, fields in sorted(heard, key=lambda one: one[0])
    ]
    if len(lines) > 2 * TIMELINE_MAX:
        lines[TIMELINE_MAX:-TIMELINE_MAX] = ["…"]
    print(f"{key} run {run + 1}: {figure:.1f}", *lines, sep="\n    ", file=sys.stderr, flush=True)
