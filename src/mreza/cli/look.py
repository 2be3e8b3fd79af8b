"""Commands that look: status, nodes, links, routes, events, ping, trace."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mreza.cli.options import Json, LocalNode, State, Via, local_node, state_directory, teach
from mreza.cli.problems import FAILED

if TYPE_CHECKING:
    from mreza.node.control_protocol import Request


def add_to(app: typer.Typer) -> None:
    """Put these commands under `mreza`."""
    app.command(
        help=teach(
            "What this node says of itself.",
            "mreza status",
            "mreza status --node edge-2 --json",
            more="Its id, its mesh, its certificate, its counters.",
        )
    )(status)
    app.command(
        help=teach(
            "The members of the mesh, and what they offer.",
            "mreza nodes",
            "mreza nodes --json | jq -r '.[] | select(.state == \"alive\") | .name'",
        )
    )(nodes)
    app.command(
        help=teach(
            "This node's links: to whom, how far, who dialed.",
            "mreza links",
        )
    )(links)
    app.command(
        help=teach(
            "The way to every node that can be reached.",
            "mreza routes",
            more="Through which neighbor, over how many links, at what cost.",
        )
    )(routes)
    app.command(
        help=teach(
            "What happened: members and links that came and went, refusals, losses.",
            "mreza events",
            "mreza events --follow            go on until Ctrl-C",
            "mreza events --follow --json     one JSON object a line",
        )
    )(events)
    app.command(
        help=teach(
            "Round trips through the mesh to a node.",
            "mreza ping edge-2",
            "mreza ping edge-2 -c 100 -i 0.1 --json",
            more="The node is given by name or id. Exits 1 if no answer came.",
        )
    )(ping)
    app.command(
        help=teach(
            "The path to a node, with the time of each hop.",
            "mreza trace edge-2",
            more="Each time comes from that hop's answer. Exits 1 if the node itself gave none.",
        )
    )(trace)


def status(
    context: typer.Context, state: State = None, node: LocalNode = None, as_json: Json = False
) -> None:
    """Show a node's status."""
    from mreza.cli.output import say, show_json
    from mreza.cli.problems import one_line
    from mreza.cli.tables import status_rows
    from mreza.node.control_protocol import Status

    found = _ask(context, state, node, Status())
    if as_json:
        show_json(found)
        return
    rows = status_rows(found)
    width = max(len(key) for key, _ in rows)
    for key, value in rows:
        say(f"{key.ljust(width)}  {one_line(value)}")


def nodes(
    context: typer.Context, state: State = None, node: LocalNode = None, as_json: Json = False
) -> None:
    """Show the members."""
    from mreza.cli.tables import NODE_COLUMNS, node_rows
    from mreza.node.control_protocol import Nodes

    found = _ask(context, state, node, Nodes())
    _show(found, NODE_COLUMNS, node_rows(found), as_json=as_json, empty="no members known")


def links(
    context: typer.Context, state: State = None, node: LocalNode = None, as_json: Json = False
) -> None:
    """Show the links."""
    from mreza.cli.tables import LINK_COLUMNS, link_rows
    from mreza.node.control_protocol import Links

    found = _ask(context, state, node, Links())
    _show(found, LINK_COLUMNS, link_rows(found), as_json=as_json, empty="no links")


def routes(
    context: typer.Context, state: State = None, node: LocalNode = None, as_json: Json = False
) -> None:
    """Show the routes."""
    from mreza.cli.tables import ROUTE_COLUMNS, route_rows
    from mreza.node.control_protocol import Routes

    found = _ask(context, state, node, Routes())
    _show(found, ROUTE_COLUMNS, route_rows(found), as_json=as_json, empty="no routes")


def events(
    context: typer.Context,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what happens from now on.")
    ] = False,
    last: Annotated[
        int | None,
        typer.Option(
            "--last",
            "-n",
            min=0,
            metavar="N",
            help="Show at most N past events. Default: all that are remembered.",
            show_default=False,
        ),
    ] = None,
    state: State = None,
    node: LocalNode = None,
    as_json: Json = False,
) -> None:
    """Show events."""
    from mreza.cli.client import open_client
    from mreza.cli.output import say
    from mreza.cli.tables import event_line
    from mreza.node.control_protocol import Events

    async def show() -> None:
        client = await open_client(state_directory(context, state), local_node(context, node))
        async with client:
            async for event in client.events(Events(follow=follow, last=last)):
                say(json.dumps(event, ensure_ascii=False) if as_json else event_line(event))

    asyncio.run(show())


def ping(
    context: typer.Context,
    target: Annotated[str, typer.Argument(metavar="NODE", help="A node's name or id.")],
    count: Annotated[
        int, typer.Option("-c", "--count", min=1, max=1_000_000, help="How many pings.")
    ] = 4,
    interval: Annotated[
        float, typer.Option("-i", "--interval", min=0.0, max=3600.0, help="Seconds between pings.")
    ] = 1.0,
    timeout: Annotated[
        float, typer.Option("--timeout", min=0.001, max=3600.0, help="Patience for each ping.")
    ] = 5.0,
    state: State = None,
    via: Via = None,
    as_json: Json = False,
) -> None:
    """Measure round trips."""
    from mreza.cli.client import GRACE_S, open_client
    from mreza.cli.output import say, show_json
    from mreza.cli.tables import milliseconds, ping_summary
    from mreza.node.control_protocol import Ping

    times: list[float | None] = []

    async def measure() -> None:
        client = await open_client(state_directory(context, state), local_node(context, via))
        async with client:
            for number in range(count):
                if number:
                    await asyncio.sleep(interval)
                time_s = await client.ask(
                    Ping(node=target, timeout_s=timeout), timeout_s=timeout + GRACE_S
                )
                times.append(time_s)
                if not as_json:
                    outcome = f"no answer within {timeout:g} s"
                    if time_s is not None:
                        outcome = milliseconds(time_s * 1000)
                    say(f"{target} #{number + 1}: {outcome}")

    try:
        asyncio.run(measure())
    except KeyboardInterrupt:
        # As with ping(8): an interrupted series has a summary, too.
        if not times:
            raise
    summary = ping_summary(times)
    if as_json:
        show_json(summary)
    else:
        rtt = summary["rtt_ms"]
        spread = ", ".join(f"{name} {milliseconds(value)}" for name, value in rtt.items())
        say(f"{summary['sent']} sent, {summary['received']} answered; {spread}")
    if not summary["received"]:
        raise typer.Exit(FAILED)


def trace(
    context: typer.Context,
    target: Annotated[str, typer.Argument(metavar="NODE", help="A node's name or id.")],
    state: State = None,
    via: Via = None,
    as_json: Json = False,
) -> None:
    """Show the path to a node."""
    from mreza.cli.tables import TRACE_COLUMNS, trace_rows
    from mreza.node.control_protocol import Trace

    # Every hop of 32 may take the node's own patience in the worst case.
    found = _ask(context, state, via, Trace(node=target), timeout_s=60.0)
    rows = trace_rows(found["path"])
    _show(found, TRACE_COLUMNS, rows, as_json=as_json, empty="no hops")
    if not found["path"] or found["path"][-1]["rtt_ms"] is None:
        raise typer.Exit(FAILED)


def _ask(
    context: typer.Context,
    state: State,
    node: LocalNode,
    request: Request,
    *,
    timeout_s: float | None = None,
) -> Any:
    from mreza.cli.client import ANSWER_TIMEOUT_S, open_client

    async def ask() -> Any:
        client = await open_client(state_directory(context, state), local_node(context, node))
        async with client:
            return await client.ask(request, timeout_s=timeout_s or ANSWER_TIMEOUT_S)

    return asyncio.run(ask())


def _show(
    found: Any,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    as_json: bool,
    empty: str,
) -> None:
    from mreza.cli.output import show_json, show_table

    if as_json:
        show_json(found)
    else:
        show_table(columns, rows, empty=empty)
