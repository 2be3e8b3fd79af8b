"""Every error of the mesh, in one tree. Each says what happened, to whom, and what to do.

Errors cross layers and processes, so they carry plain values (ids, numbers, text) and can be
pickled and printed.
"""

from __future__ import annotations

from typing import Any


class MeshError(Exception):
    """Whatever goes wrong in the mesh."""

    call_id: int = 0
    "Of a call that failed: `mesh.load_balancer.why(call_id)` says whom it was given to, and why."

    def __reduce__(self) -> tuple[Any, ...]:
        # An exception is pickled as its class and `args`, which leaves out what must be a keyword.
        return _rebuild, (type(self), self.args, self.__dict__)


def _rebuild(kind: type[MeshError], args: tuple[Any, ...], state: dict[str, Any]) -> MeshError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


# Mistakes of the caller: they are also the builtin error a Python programmer would expect.


class InvalidId(MeshError, ValueError):
    """Text or bytes that are not an id."""


class InvalidAddress(MeshError, ValueError):
    """Text that is not HOST or HOST:PORT."""


class ConfigError(MeshError, ValueError):
    """A setting that does not exist or has a value that is not allowed."""


class PayloadError(MeshError, TypeError):
    """A payload that cannot be encoded, is too large, or does not fit the handler's annotation."""


class NotRunning(MeshError, RuntimeError):
    """The node was not initialized, is closed, or is used from another process after a fork."""


# The state directory and admission.


class StateError(MeshError):
    """The state directory cannot be used: in use, damaged, another mesh, not ours to read."""


class AdmissionError(MeshError):
    """The mesh did not let this node in. `code` is stable; the text says what to do."""

    def __init__(self, message: str, *, code: str = "refused") -> None:
        super().__init__(message)
        self.code = code


class DuplicateIdentity(MeshError):
    """Another process runs with this node's key, and it was there first."""


class CertificateRejected(MeshError):
    """A certificate that this mesh does not accept. `code` is stable: docs/reference/wire.md."""

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code


# Bytes from outside.


class DecodeError(MeshError, ValueError):
    """Bytes that do not have the form written in docs/reference/wire.md."""


# Sending.


class UnknownNode(MeshError, LookupError):
    """No node of that id or name is known to the mesh."""


class AmbiguousName(MeshError, LookupError):
    """Several members have this name; use the id."""


class NoRoute(MeshError):
    """The node is known, and no path to it was found before the deadline."""


class NoSuchProcess(MeshError, LookupError):
    """No reachable node offers a process of this name."""


class DeadlineExceeded(MeshError, TimeoutError):
    """The time allowed by `timeout_s` ran out before the answer came."""


class Overloaded(MeshError):
    """The work was refused because a queue is full. Try again after `retry_after_s`."""

    def __init__(self, message: str, *, retry_after_s: float = 0.1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class OutboxFull(Overloaded):
    """Too much waits for one destination; `await mesh.drain()` before sending more."""


class WorkerLost(MeshError):
    """The worker vanished before it answered."""

    def __init__(self, message: str, *, may_have_run: bool) -> None:
        super().__init__(message)
        self.may_have_run = may_have_run


class RemoteError(MeshError):
    """The handler on the other node raised.

    Also an instance of the builtin type of that name, if there is one.
    """

    def __init__(
        self, message: str, *, type_name: str = "", traceback_text: str = "", node: str = ""
    ) -> None:
        super().__init__(message)
        self.type_name = type_name
        self.traceback_text = traceback_text
        self.node = node

    def __str__(self) -> str:
        where = f" on node {self.node}" if self.node else ""
        return f"{self.type_name or 'error'}{where}: {self.args[0] if self.args else ''}"
