"""What an error says about the node that gave it."""

from __future__ import annotations

import enum

from mreza.errors import ConfigError, NoSuchProcess, Overloaded, PayloadError, WorkerLost


class Blame(enum.Enum):
    """Whose fault a failure is."""

    NODE = "node"
    "It failed, or was too late: it counts as slow, and may be ejected."
    FULL = "full"
    "It has too much to do, and said when to ask again."
    NOBODY = "nobody"
    "It did what it should: the request was wrong, or the node is leaving."


def blame_for(error: BaseException) -> Blame:
    """Whose fault this error is.

    An error of the handler counts against the node: from here nobody can tell a broken machine from
    a broken input, and a broken input fails alike on all.
    """
    if isinstance(error, Overloaded):
        return Blame.FULL
    if isinstance(error, PayloadError | NoSuchProcess | ConfigError):
        return Blame.NOBODY
    if isinstance(error, WorkerLost) and not error.may_have_run:
        return Blame.NOBODY
    return Blame.NODE
