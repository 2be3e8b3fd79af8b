"""The demo from beginning to end: set up, send every file, lose nodes, compare every result."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from mreza.cli.client import Client, NodeTrouble
from mreza.cli.demo.baseline import Baseline
from mreza.cli.demo.files import given_files, installed_files
from mreza.cli.demo.nodes import Detour
from mreza.cli.demo.signals import run_to_the_end
from mreza.cli.demo.story import Story
from mreza.cli.demo.tally import NodeTally, Tally
from mreza.cli.demo.view import LiveProgress, PlainProgress, View
from mreza.cli.demo.worker import FALSIFY, PROCESS
from mreza.cli.output import show_json
from mreza.cli.problems import DONE, FAILED, CommandFailed
from mreza.cli.tables import counted
from mreza.node.control_protocol import Call, Snapshot

IN_FLIGHT = 32
"Files on their way at once: enough that no worker waits for the next one."
CALL_TIMEOUT_S = 60.0
FILE_BYTES_MAX = 60 * 1024 * 1024
"A payload has 64 MiB; what is larger is not a source file."
WATCH_INTERVAL_S = 0.25


@dataclass(frozen=True)
class DemoOptions:
    """What was said on the command line."""

    files: tuple[Path, ...] = ()
    timeout_s: float = 300.0
    calm: bool = False
    "Kill nobody."
    falsify: bool = False
    as_json: bool = False


def run_demo(options: DemoOptions) -> int:
    """Run the demo; 0 when every result agrees."""
    view = View(Console(stderr=options.as_json))
    files = given_files(options.files) if options.files else installed_files()
    return run_to_the_end(Demo(files, options=options, view=view).run)


class Demo:
    """One run."""

    def __init__(self, files: list[Path], *, options: DemoOptions, view: View) -> None:
        self._files = files
        self._options = options
        self._view = view
        self._queue: Iterator[Path] = iter(files)

    async def run(self) -> int:
        """Everything; the exit status."""
        self._view.note(f"{counted(len(self._files), 'file')} to measure on five nodes")
        started = time.monotonic()
        async with Detour(step=self._view.step, env=self._lie()) as mesh, Baseline() as baseline:
            self._view.step(f"set up in {time.monotonic() - started:.1f} s")
            nodes = [
                NodeTally(node.name, node.id, node.pids, mesh.behind_a_relay(node.id))
                for node in mesh.nodes
            ]
            tally = Tally(nodes, total=len(self._files))
            started = time.monotonic()
            story = Story(mesh, tally.total, tell=self._view.happened, calm=self._options.calm)
            if story.calm and not self._options.calm:
                self._view.note("too few files to lose a node in the middle: nobody is killed")
            try:
                async with asyncio.timeout(self._options.timeout_s):
                    await self._work(tally, mesh, baseline, story)
            except TimeoutError:
                limit = self._options.timeout_s
                self._view.note(f"gave up after {limit:g} s; --timeout allows more")
            seconds = time.monotonic() - started
            self._view.outcome(tally, story, seconds=seconds)
            if self._options.as_json:
                show_json(tally.to_json(seconds=seconds) | story.to_json())
            return DONE if tally.all_agreed and story.survived else FAILED

    async def _work(self, tally: Tally, mesh: Detour, baseline: Baseline, story: Story) -> None:
        before = {node.pid: _forwarded(await node.ask(Snapshot())) for node in mesh.nodes}
        with self._view.progress(tally, story) as progress:
            watching = [
                asyncio.create_task(self._watch(tally, mesh, before, progress), name="demo-watch"),
                asyncio.create_task(story.listen(), name="demo-events"),
                asyncio.create_task(story.watch_ways(), name="demo-ways"),
            ]
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(story.run(), name="demo-story")
                    for number in range(min(IN_FLIGHT, len(self._files))):
                        client = await mesh.sender.client()
                        group.create_task(
                            self._send_files(client, tally, baseline, story),
                            name=f"demo-send-{number}",
                        )
            except* CommandFailed as failures:
                raise failures.exceptions[0] from None
            finally:
                for task in watching:
                    task.cancel()
                await asyncio.gather(*watching, return_exceptions=True)
                await self._look(tally, mesh, before)

    async def _send_files(
        self, client: Client, tally: Tally, baseline: Baseline, story: Story
    ) -> None:
        """Send one file after the other through the first node, until there is none left."""
        async with client:
            for path in self._queue:
                await story.admit()
                try:
                    source = read_source(path)
                except (OSError, ValueError) as error:
                    tally.skipped.append(f"{path}: {getattr(error, 'strerror', None) or error}")
                    continue
                expecting = asyncio.ensure_future(baseline.measure(source))
                try:
                    answer = await client.ask(
                        Call(process=PROCESS, data=source, timeout_s=CALL_TIMEOUT_S),
                        timeout_s=CALL_TIMEOUT_S + 5.0,
                    )
                except NodeTrouble as error:
                    tally.failed.append(f"{path}: {error}")
                    continue
                finally:
                    expected = await expecting
                tally.add(
                    str(path), node=answer["node"], report=answer["result"], expected=expected
                )

    async def _watch(
        self,
        tally: Tally,
        mesh: Detour,
        before: Mapping[int, tuple[int, int]],
        progress: LiveProgress | PlainProgress,
    ) -> None:
        """Keep the picture current."""
        while True:
            await self._look(tally, mesh, before)
            progress.update()
            await asyncio.sleep(WATCH_INTERVAL_S)

    async def _look(
        self, tally: Tally, mesh: Detour, before: Mapping[int, tuple[int, int]]
    ) -> None:
        """Ask each node that runs what it has forwarded since the work began."""
        for node in mesh.nodes:
            pid = node.pid
            with contextlib.suppress(CommandFailed, OSError):
                envelopes, size = _forwarded(await node.ask(Snapshot()))
                already = before.get(pid, (0, 0))
                tally.nodes[node.id].forwarded[pid] = envelopes - already[0], size - already[1]

    def _lie(self) -> dict[str, str]:
        """The environment that makes a worker lie about one file, if that was asked for."""
        if not self._options.falsify:
            return {}
        for path in sorted(self._files, key=_size_of, reverse=True):
            with contextlib.suppress(OSError, ValueError):
                digest = hashlib.sha256(read_source(path)).hexdigest()
                self._view.note(f"a worker will lie about {path}; the demo must notice")
                return {FALSIFY: digest}
        return {}


def _forwarded(snapshot: Mapping[str, int]) -> tuple[int, int]:
    """Envelopes and bytes."""
    return snapshot["forwarded_envelopes"], snapshot["forwarded_bytes"]


def read_source(path: Path) -> bytes:
    """The bytes of a file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no regular file, or too large for one payload.
    """
    if not path.is_file():
        raise ValueError("not a regular file")
    if path.stat().st_size > FILE_BYTES_MAX:
        raise ValueError(f"larger than {FILE_BYTES_MAX} bytes")
    return path.read_bytes()


def _size_of(path: Path) -> int:
    try:
        return os.stat(path).st_size  # noqa: PTH116 - a path that may vanish meanwhile
    except OSError:
        return -1
