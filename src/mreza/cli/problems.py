"""How a command fails: one line on stderr that says what came, what is allowed and what to do."""

from __future__ import annotations

DONE = 0
FAILED = 1
USAGE = 2


class CommandFailed(Exception):
    """The command could not do what it was asked to."""

    exit_status = FAILED


class UsageProblem(CommandFailed):
    """The command was asked for something that does not exist or is not allowed."""

    exit_status = USAGE


def one_line(text: str) -> str:
    """The text as one printable line, for a terminal: other nodes may have written it."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
