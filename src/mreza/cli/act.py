"""Commands that act: send, call, leave, demo."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mreza.cli.options import (
    Json,
    LocalNode,
    Payload,
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
    from mreza.node.control_protocol import Request

DEFAULT_TIMEOUT_S = 30.0
"The node's own default (`MessagingConfig.timeout_s`); here for how long to wait for its answer."


def add_to(app: typer.Typer) -> None:
    """Put these commands under `mreza`."""
    app.command(
        help=teach(
            "Send a message to a node's on_message handler.",
            "mreza send edge-2 --payload '{\"pressure\": 1.2}'",
            "mreza send edge-2 --payload @reading.json --priority high",
            "mreza send edge-2 --bytes --payload @photo.jpg",
            more="Returns when the handler has returned, and prints what.",
        )
    )(send)
    app.command(
        help=teach(
            "Have a process do work somewhere, and print the result as JSON.",
            "mreza call resize --payload '{\"width\": 640}'",
            "mreza call resize --payload @job.json --node edge-2",
            "cat page.html | mreza call count-words --bytes --payload -",
            more="The balancer picks among the nodes that offer it, unless --node says which.",
        )
    )(call)
    app.command(
        help=teach(
            "Tell the mesh that this node leaves on purpose; then stop it.",
            "mreza leave",
            "mreza leave --reason 'moved to another rack'",
        )
    )(leave)
    app.command(
        help=teach(
            "Three nodes on this machine do real work on real files.",
            "mreza demo",
            "mreza demo src/*.py",
            "mreza demo --json > result.json",
            more="Processes a, b and c, linked in a line, parse and measure Python files: without "
            "FILES the whole standard library and all installed packages. Node a sends, b and c "
            "work, and what is for c crosses b. Every result is compared with one computed without "
            "the mesh; exits 1 unless all agree.",
        )
    )(demo)


def send(
    context: typer.Context,
    target: Annotated[str, typer.Argument(metavar="NODE", help="A node's name or id.")],
    payload: Payload = None,
    raw: Raw = False,
    priority: Priority = PriorityChoice.NORMAL,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Return when the message waits to be sent.")
    ] = False,
    timeout: Timeout = None,
    state: State = None,
    via: LocalNode = None,
    as_json: Json = False,
) -> None:
    """Send a message."""
    from mreza.cli.output import say, show_json
    from mreza.cli.payloads import read_payload
    from mreza.node.control_protocol import Send

    content = read_payload(payload, raw=raw)
    request = Send(
        node=target,
        payload=content.value,
        data=content.data,
        priority=priority.value,
        timeout_s=timeout,
        wait=not no_wait,
    )
    receipt = asyncio.run(_ask(context, state, via, request, timeout_s=timeout))
    if as_json:
        show_json(receipt)
    elif receipt is None:
        say(f"waiting to be sent to {target}")
    else:
        say(f"handled by {target} after {receipt['latency_s'] * 1000:.1f} ms")
        if receipt["result"] is not None:
            show_json(receipt["result"])


def call(
    context: typer.Context,
    process: Annotated[str, typer.Argument(metavar="PROCESS", help="Its name.")],
    payload: Payload = None,
    raw: Raw = False,
    node: Annotated[
        str | None,
        typer.Option("--node", metavar="NODE", help="Have this node do it. Default: any that can."),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option("--key", help="What the work is about, for strategies that look at it."),
    ] = None,
    priority: Priority = PriorityChoice.NORMAL,
    timeout: Timeout = None,
    state: State = None,
    via: Via = None,
    as_json: Json = False,
) -> None:
    """Have work done."""
    from mreza.cli.client import NodeTrouble
    from mreza.cli.output import show_json
    from mreza.cli.payloads import read_payload
    from mreza.node.control_protocol import Call

    content = read_payload(payload, raw=raw)
    request = Call(
        process=process,
        payload=content.value,
        data=content.data,
        node=node,
        key=key,
        priority=priority.value,
        timeout_s=timeout,
    )
    try:
        answer = asyncio.run(_ask(context, state, via, request, timeout_s=timeout))
    except NodeTrouble as error:
        if as_json:
            show_json(
                {
                    "error": error.trouble.text,
                    "type": error.trouble.type,
                    "may_have_run": error.trouble.may_have_run,
                    "traceback": error.trouble.traceback,
                }
            )
        raise
    show_json(answer if as_json else answer["result"])


def leave(
    context: typer.Context,
    reason: Annotated[str, typer.Option("--reason", help="Said to the others.")] = "",
    state: State = None,
    node: LocalNode = None,
) -> None:
    """Leave the mesh."""
    from mreza.cli.output import say
    from mreza.node.control_protocol import Leave

    asyncio.run(_ask(context, state, node, Leave(reason=reason), timeout_s=None))
    say("left")


def demo(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="FILES",
            help="Files or folders (their *.py) to measure. Default: all Python files installed.",
            show_default=False,
        ),
    ] = None,
    more_files: Annotated[
        list[Path] | None,
        typer.Option("--files", metavar="PATH", help="As FILES; may be given several times."),
    ] = None,
    timeout: Annotated[
        float,
        typer.Option("--timeout", metavar="SECONDS", min=1.0, help="Give up after so long."),
    ] = 300.0,
    falsify: Annotated[
        bool,
        typer.Option("--falsify", help="Have a worker lie once: the demo must notice and exit 1."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Show the mesh at work."""
    from mreza.cli.demo.run import DemoOptions, run_demo

    options = DemoOptions(
        files=tuple((files or []) + (more_files or [])),
        timeout_s=timeout,
        falsify=falsify,
        as_json=as_json,
    )
    raise typer.Exit(run_demo(options))


async def _ask(
    context: typer.Context,
    state: State,
    via: LocalNode,
    request: Request,
    *,
    timeout_s: float | None,
) -> Any:
    from mreza.cli.client import GRACE_S, open_client

    patience_s = (timeout_s or DEFAULT_TIMEOUT_S) + GRACE_S
    async with await open_client(
        state_directory(context, state), local_node(context, via)
    ) as client:
        return await client.ask(request, timeout_s=patience_s)
