"""`mreza map`: one call for each file, many at a time, with a progress bar on a terminal."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mreza.cli.options import (
    Json,
    Priority,
    PriorityChoice,
    Raw,
    State,
    Timeout,
    Via,
    local_node,
    state_directory,
    teach,
)

if TYPE_CHECKING:
    from mreza.node.mapping import MapResult
    from mreza.node.views import CallResult

CONNECTIONS_MAX = 16
"To the node's control socket, which answers one request after another on each."
DEFAULT_TIMEOUT_S = 30.0


def add_to(app: typer.Typer) -> None:
    """Put this command under `mreza`."""
    app.command(
        name="map",
        help=teach(
            "Have a process do work for each of many files, on all nodes that offer it.",
            "mreza map count-words --bytes *.txt",
            "mreza map resize jobs/*.json --in-flight 8",
            "mreza map measure --bytes src/*.py --json > results.json",
            more="Each file is one payload: JSON, or with --bytes its content as it is. Exits 1 "
            "unless all succeeded; what succeeded is printed all the same.",
        ),
    )(map_files)


def map_files(
    context: typer.Context,
    process: Annotated[str, typer.Argument(metavar="PROCESS", help="Its name.")],
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="One payload each.")],
    raw: Raw = False,
    in_flight: Annotated[
        int,
        typer.Option("--in-flight", min=1, max=CONNECTIONS_MAX, help="So many at a time."),
    ] = CONNECTIONS_MAX,
    priority: Priority = PriorityChoice.NORMAL,
    timeout: Timeout = None,
    state: State = None,
    via: Via = None,
    as_json: Json = False,
) -> None:
    """Have work done for each file."""
    from mreza.cli.output import say, show_json, show_table

    started = time.monotonic()
    with _progress(len(files)) as on_progress:
        results = asyncio.run(
            _map(
                state_directory(context, state),
                local_node(context, via),
                process,
                files,
                raw=raw,
                in_flight=in_flight,
                priority=priority,
                timeout_s=timeout,
                on_progress=on_progress,
            )
        )
    seconds = round(time.monotonic() - started, 3)
    failed = sum(result.error is not None for result in results)
    if as_json:
        show_json({"results": [_as_json(result) for result in results], "seconds": seconds})
    else:
        rows = [_as_row(result) for result in results]
        show_table(("input", "node", "attempts", "result"), rows, empty="no files")
        say(f"{len(results) - failed} of {len(results)} done in {seconds:.1f} s")
    if failed:
        raise typer.Exit(1)


async def _map(
    state: Path,
    node: str | None,
    process: str,
    files: list[Path],
    *,
    raw: bool,
    in_flight: int,
    priority: PriorityChoice,
    timeout_s: float | None,
    on_progress: Callable[[int], None],
) -> list[MapResult]:
    from mreza.cli.client import GRACE_S, Client, NodeTrouble, open_client
    from mreza.cli.payloads import read_payload
    from mreza.cli.problems import CommandFailed
    from mreza.errors import MeshError, Overloaded
    from mreza.ids import NodeId
    from mreza.node.control_protocol import Call
    from mreza.node.mapping import Mapping
    from mreza.node.views import CallResult

    clients: list[Client] = []

    async def ask(_: int, path: Path) -> CallResult:
        client = clients.pop()
        try:
            content = read_payload(f"@{path}", raw=raw)
            request = Call(
                process=process,
                payload=content.value,
                data=content.data,
                node=None,
                key=None,
                priority=priority.value,
                timeout_s=timeout_s,
            )
            patience_s = (timeout_s or DEFAULT_TIMEOUT_S) + GRACE_S
            answer = await client.ask(request, timeout_s=patience_s)
        except NodeTrouble as error:
            kind = Overloaded if error.trouble.type == "Overloaded" else MeshError
            raise kind(error.trouble.text) from error
        except CommandFailed as error:
            raise MeshError(str(error)) from error
        finally:
            clients.append(client)
        return CallResult(
            answer["result"], NodeId.parse(answer["node"]), answer["latency_s"], answer["attempts"]
        )

    async with contextlib.AsyncExitStack() as stack:
        clients += [
            await stack.enter_async_context(await open_client(state, node))
            for _ in range(min(in_flight, len(files)))
        ]
        mapping = Mapping(ask, files, in_flight=len(clients), ordered=True, on_progress=on_progress)
        return [result async for result in mapping.results()]


def _as_json(result: MapResult) -> dict[str, Any]:
    outcome = {"result": result.value} if result.error is None else {"error": str(result.error)}
    node = None if result.node is None else str(result.node)
    return {"input": str(result.payload), **outcome, "node": node, "attempts": result.attempts}


def _as_row(result: MapResult) -> tuple[str, str, str, str]:
    import json

    shown = json.dumps(result.value) if result.error is None else f"failed: {result.error}"
    node = "-" if result.node is None else result.node.short
    return str(result.payload), node, str(result.attempts), shown


@contextlib.contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal's standard error; nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("files", total=total)
        yield lambda done: progress.update(task, completed=done)
