"""Errors of handlers on other nodes, as exceptions here.

What another node says chooses among the builtin exceptions and nothing else: no import, no
constructor of its choice, no pickle.
"""

from __future__ import annotations

import builtins
from functools import lru_cache
from typing import Any

from mreza.errors import RemoteError
from mreza.wire.packet import Failure

_NOT_RAISABLE = (StopIteration, StopAsyncIteration, BaseExceptionGroup)
"A coroutine cannot raise the first two, and a group needs errors that did not travel."


def remote_error(failure: Failure, *, node: str = "") -> RemoteError:
    """A RemoteError that is also of the builtin type that the failure names, if there is one.

    The remote traceback is in `traceback_text` and in the notes that Python prints below the error.
    """
    return _make(failure.type_name, failure.message, failure.traceback, node)


def _make(type_name: str, message: str, traceback_text: str, node: str) -> RemoteError:
    kind = _class_of(type_name) if type_name in vars(builtins) else RemoteError
    error = kind(message, type_name=type_name, traceback_text=traceback_text, node=node)
    if traceback_text:
        error.add_note(f"On node {node or '(unknown)'}:\n{traceback_text.rstrip()}")
    return error


@lru_cache(maxsize=256)
def _class_of(type_name: str) -> type[RemoteError]:
    kind = getattr(builtins, type_name)
    if not (isinstance(kind, type) and issubclass(kind, Exception)):
        return RemoteError
    if issubclass(RemoteError, kind) or issubclass(kind, _NOT_RAISABLE):
        return RemoteError
    members = {"__init__": _init, "__reduce__": _reduce, "__module__": __name__}
    return type(f"Remote{type_name}", (RemoteError, kind), members)


def _init(self: RemoteError, message: str, **fields: str) -> None:
    # Not RemoteError.__init__: it would go on to the builtin's, and UnicodeDecodeError wants five
    # arguments.
    Exception.__init__(self, message)
    for name, value in fields.items():
        setattr(self, name, value)


def _reduce(self: RemoteError) -> tuple[Any, ...]:
    # Made anew by name: the class itself cannot be found by pickle.
    return _make, (self.type_name, str(self.args[0]), self.traceback_text, self.node)
