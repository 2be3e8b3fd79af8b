"""Commands with which a node goes: drain, leave."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Any

import typer

from mreza.cli.options import Json, LocalNode, State, local_node, state_directory, teach
from mreza.cli.problems import CommandFailed

TELL_INTERVAL_S = 0.5
"How often at most it is said how much still runs."


def add_to(app: typer.Typer) -> None:
    """Put these commands under `mreza`."""
    app.command(
        help=teach(
            "Let a node finish its work, then leave the mesh and stop.",
            "mreza drain",
            "mreza drain --timeout 300",
            "mreza drain --stay               no new work, but stay a member and a relay",
            more="It offers nothing from now on: calls that it has not begun go to other nodes, "
            "and what it has begun ends. Callers notice nothing. Exits 1 if work still runs after "
            "--timeout; then the node stays, without new work, and may be drained again. The same "
            "after Ctrl-C.",
        )
    )(drain)
    app.command(
        help=teach(
            "Tell the mesh that this node leaves on purpose; then stop it.",
            "mreza leave",
            "mreza leave --reason 'moved to another rack'",
            more="At once: work that runs is cut off, and its callers hear that the worker is "
            "lost. To finish it first: mreza drain.",
        )
    )(leave)


def drain(
    context: typer.Context,
    timeout: Annotated[
        float,
        typer.Option(
            "--timeout", metavar="SECONDS", min=0.0, max=86400.0, help="For what still runs."
        ),
    ] = 30.0,
    stay: Annotated[
        bool, typer.Option("--stay", help="Do not leave: go on as a member without work.")
    ] = False,
    reason: Annotated[str, typer.Option("--reason", help="Said to the others.")] = "drained",
    state: State = None,
    node: LocalNode = None,
    as_json: Json = False,
) -> None:
    """Finish the work, then leave."""
    from mreza.cli.output import say, show_json

    started = time.monotonic()
    progress = _Progress(quiet=as_json)
    name, result = asyncio.run(
        _drain(context, state, node, progress, timeout_s=timeout, stay=stay, reason=reason)
    )
    running = result["running"]
    seconds = round(time.monotonic() - started, 3)
    if as_json:
        show_json({"node": name, **result, "seconds": seconds})
    elif not running:
        how = "it has left and stopped" if result["left"] else "it stays, without work"
        say(f"{name} has finished its work in {seconds:.1f} s; {how}")
    if running:
        raise CommandFailed(
            f"{_handlers(running)} on {name} after {timeout:g} s; it stays, without new work: "
            "drain it again, or: mreza leave"
        )


async def _drain(
    context: typer.Context,
    state: State,
    node: LocalNode,
    progress: _Progress,
    *,
    timeout_s: float,
    stay: bool,
    reason: str,
) -> tuple[str, dict[str, Any]]:
    from mreza.cli.client import GRACE_S, open_client
    from mreza.node.control_protocol import Drain

    directory = state_directory(context, state)
    async with await open_client(directory, local_node(context, node)) as client:
        progress.name = client.label
        result = await client.ask_following(
            Drain(timeout_s=timeout_s, stay=stay, reason=reason),
            on_event=progress.told,
            timeout_s=timeout_s + GRACE_S,
        )
        return client.label, result


class _Progress:
    """Says what still runs, not too often."""

    def __init__(self, *, quiet: bool) -> None:
        self.name = ""
        self._quiet = quiet
        self._next = 0.0
        self._told = False

    def told(self, event: dict[str, int]) -> None:
        from mreza.cli.output import say

        running, now = event["running"], time.monotonic()
        if self._quiet or now < self._next or (self._told and not running):
            return
        self._next = now + TELL_INTERVAL_S
        say(_handlers(running) if self._told else self._first(running))
        self._told = True

    def _first(self, running: int) -> str:
        what = _handlers(running) if running else "nothing runs there"
        return f"{self.name} takes no new work; {what}"


def _handlers(running: int) -> str:
    return "1 handler still runs" if running == 1 else f"{running} handlers still run"


def leave(
    context: typer.Context,
    reason: Annotated[str, typer.Option("--reason", help="Said to the others.")] = "",
    state: State = None,
    node: LocalNode = None,
    as_json: Json = False,
) -> None:
    """Leave the mesh."""
    from mreza.cli.client import open_client
    from mreza.cli.output import say, show_json
    from mreza.node.control_protocol import Leave

    async def ask() -> str:
        directory = state_directory(context, state)
        async with await open_client(directory, local_node(context, node)) as client:
            await client.ask(Leave(reason=reason))
            return client.label

    name = asyncio.run(ask())
    if as_json:
        show_json({"node": name, "left": True})
    else:
        say("left")
