"""Options that many commands share, and the words that help uses."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

State = Annotated[
    Path | None,
    typer.Option(
        "--state",
        metavar="DIR",
        help="State directory. Default: MREZA_STATE, else the user's data directory.",
        show_default=False,
    ),
]
LocalNode = Annotated[
    str | None,
    typer.Option(
        "--node",
        "--via",
        metavar="NAME",
        help="Which local node to ask, where several run.",
        show_default=False,
    ),
]
Via = Annotated[
    str | None,
    typer.Option(
        "--via",
        metavar="NAME",
        help="Which local node to go through, where several run.",
        show_default=False,
    ),
]
"In place of LocalNode where another node is meant, too."
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Timeout = Annotated[
    float | None,
    typer.Option(
        "--timeout",
        metavar="SECONDS",
        min=0.001,
        max=86400.0,
        help="Deadline. Default: the node's setting, 30 s.",
        show_default=False,
    ),
]
Payload = Annotated[
    str | None,
    typer.Option(
        "--payload",
        metavar="JSON|@FILE|-",
        help="JSON text, or @FILE to read it from a file, or - from standard input. Default: null.",
        show_default=False,
    ),
]
Raw = Annotated[
    bool,
    typer.Option("--bytes", help="Send the payload's bytes as they are, not as JSON."),
]


class PriorityChoice(enum.StrEnum):
    """The priorities by name."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"
    CRITICAL = "critical"


Priority = Annotated[
    PriorityChoice,
    typer.Option("--priority", help="What goes first when queues form.", case_sensitive=False),
]


@dataclass(frozen=True)
class Given:
    """What was said before the command: `mreza --state DIR --node NAME COMMAND`."""

    state: Path | None = None
    node: str | None = None


def state_directory(context: typer.Context, state: Path | None) -> Path:
    """The state directory that is meant: after the command, before it, MREZA_STATE, the default."""
    chosen = state or _given(context).state
    if chosen is not None:
        return chosen.expanduser()
    import os

    from mreza.config.security import default_state_dir

    return default_state_dir(os.environ)


def local_node(context: typer.Context, node: str | None) -> str | None:
    """The local node that is meant, None: whichever runs."""
    return node or _given(context).node


def _given(context: typer.Context) -> Given:
    given = context.find_root().obj
    return given if isinstance(given, Given) else Given()


def teach(summary: str, *examples: str, more: str = "") -> str:
    """The help of a command: what it does in a sentence, what else to know, commands to copy."""
    lines = "\n".join(f"  {example}" for example in examples)
    return "\n\n".join(part for part in (summary, more, f"\b\nExamples:\n{lines}") if part)
