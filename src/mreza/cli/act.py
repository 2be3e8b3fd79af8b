"""Commands that act: send, call."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mreza.cli.options import (
    Json,
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
            more="Returns when the handler has returned, and prints what. Where several nodes "
            "run on this machine, --via says which of them sends.",
        )
    )(send)
    app.command(
        help=teach(
            "Have a process do work somewhere, and print the result as JSON.",
            "mreza call resize --payload '{\"width\": 640}'",
            "mreza call resize --payload @job.json --node edge-2",
            "cat page.html | mreza call count-words --bytes --payload -",
            more="The balancer picks among the nodes that offer it, unless --node says which. "
            "Where several nodes run on this machine, --via says which of them asks.",
        )
    )(call)


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
    via: Via = None,
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
        typer.Option("--node", metavar="NODE", help="Who shall do it. Default: any that can."),
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


async def _ask(
    context: typer.Context,
    state: State,
    via: Via,
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
