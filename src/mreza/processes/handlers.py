"""What work a node offers: named handlers, checked when registered and not when called."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Literal

import msgspec

from mreza.config.base import nearest
from mreza.errors import ConfigError, PayloadError
from mreza.ids import MessageId, NodeId
from mreza.processes.payload_types import decoder_of
from mreza.wire.packet import REQUEST_TARGET_MAX
from mreza.wire.records import OFFERS_MAX

Executor = Literal["async", "thread", "process"]
EXECUTORS: tuple[Executor, ...] = typing.get_args(Executor)
ASYNC_CONCURRENCY = 64
"Coroutines of one process at a time if it does not say: they mostly wait, and waiting is cheap."
OFFERED_BYTES_MAX = 8 * 1024
"All offered names together: half of what a record's body may hold."
IDEMPOTENT = ";idempotent"
"Offered after a name whose work may be done twice, so that callers know it without asking."


class CallContext(msgspec.Struct, frozen=True):
    """What a handler may know of a request besides its payload: its second argument."""

    source: NodeId
    "Who asks; proved by certificate and seal."
    deadline: float
    "When the result is of no more use, on this machine's monotonic clock."
    attempt: int
    "1, or more if the work was given to another node before."
    message_id: MessageId
    headers: Mapping[str, str]
    key: str = ""
    idempotency_key: str = ""
    report: Callable[[Any], None] | None = None
    "Takes what `progress` is given; None: the requester does not want to know."

    def progress(self, value: Any) -> None:
        """Tell the caller how far the work is; anything that can be a payload, at most 16 KiB.

        Costs little and may be called often, from a thread too: the caller gets some of the values,
        at most 20 a second, and the last one before the result.

        Raises:
            PayloadError: the value cannot be sent.
        """
        if self.report is not None:
            self.report(value)


@dataclass(frozen=True)
class ProcessSpec:
    """One named handler and how to run it.

    Raises:
        ConfigError: the handler cannot be called as a process, or an option is not allowed.
    """

    name: str
    handler: Callable[..., Any]
    "Takes (payload) or (payload, context). Its annotation of the payload chooses the decoded type."
    _: KW_ONLY
    concurrency: int | None = None
    "How many at a time. None: 64 coroutines, or as many threads as the node has."
    executor: Executor | None = None
    """None: `async` for an async function, `thread` for a plain one. `process`: a pool process of
    this machine runs it, so that it may use a whole CPU and can be stopped; the handler must be a
    plain function at the top level of a module that the pool process can import."""
    idempotent: bool = False
    "Doing the work twice does no harm: it goes elsewhere when its worker is lost."
    timeout_s: float | None = None
    "Stop the work after this many seconds, even if the caller would wait longer."
    roles: tuple[str, ...] = ()
    """Only nodes whose certificate has one of these roles do this work: others do not offer it, and
    calls of a node that has this spec go to nobody else. Empty: all nodes may."""
    is_async: bool = field(init=False)
    payload_type: Any = field(init=False)
    wants_context: bool = field(init=False)
    _decoder: msgspec.msgpack.Decoder[Any] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check_name(self.name)
        if not callable(self.handler):
            raise ConfigError(f"process {self.name!r}: {self.handler!r} is not a function")
        if self.concurrency is not None and self.concurrency < 1:
            raise ConfigError(
                f"process {self.name!r}: concurrency is {self.concurrency}, must be 1 or more"
            )
        if self.timeout_s is not None and not self.timeout_s > 0:
            raise ConfigError(
                f"process {self.name!r}: timeout_s is {self.timeout_s}, must be above 0"
            )
        is_async = _is_async(self.handler)
        executor = _executor(self.name, self.executor, is_async=is_async)
        if executor == "process":
            _check_importable(self.name, self.handler)
        payload_type, wants_context = _signature(self.name, self.handler)
        decoder = decoder_of(payload_type, what=f"process {self.name!r}")
        for key, value in {
            "is_async": is_async,
            "executor": executor,
            "roles": _roles(self.name, self.roles),
            "payload_type": payload_type,
            "wants_context": wants_context,
            "_decoder": decoder,
        }.items():
            object.__setattr__(self, key, value)

    def decode(self, payload: msgspec.Raw | bytes) -> Any:
        """The payload as the handler wants it; PayloadError says what does not fit."""
        try:
            return self._decoder.decode(payload)
        except (msgspec.MsgspecError, ValueError, TypeError) as error:
            raise PayloadError(
                f"the payload does not fit process {self.name!r}: {error}"
            ) from error
        except RecursionError as error:
            raise PayloadError("the payload is nested too deeply") from error

    def invoke(self, payload: Any, context: CallContext) -> Any:
        """Call the handler: a result, or an awaitable if it is async."""
        return self.handler(payload, context) if self.wants_context else self.handler(payload)

    def limit(self, *, threads: int, pool_processes: int) -> int:
        """How many may run at a time on a node with so many threads and pool processes."""
        if self.executor == "process":
            # More would only wait again, where nobody can take them out of the line.
            return min(self.concurrency or pool_processes, pool_processes)
        if self.concurrency is not None:
            return self.concurrency
        return ASYNC_CONCURRENCY if self.executor == "async" else threads

    def may_run_on(self, role: str) -> bool:
        """Whether a node with this role in its certificate may do this work."""
        return not self.roles or role in self.roles


class Registry:
    """The processes of one node, by name; those that its role does not allow are only known."""

    def __init__(self, *, role: str = "") -> None:
        self._role = role
        self._specs: dict[str, ProcessSpec] = {}

    def register(self, spec: ProcessSpec) -> None:
        """Offer this work from now on.

        Raises:
            ConfigError: the name is taken, or there are too many.
        """
        if spec.name in self._specs:
            raise ConfigError(f"process {spec.name!r} is registered already; unregister it first")
        offers = _offers([*self._offered(), spec])
        if len(offers) > OFFERS_MAX or sum(map(len, offers)) > OFFERED_BYTES_MAX:
            raise ConfigError(
                f"process {spec.name!r} is one too many: a node offers at most {OFFERS_MAX} names "
                f"(an idempotent one counts twice) of {OFFERED_BYTES_MAX} bytes together"
            )
        self._specs[spec.name] = spec

    def unregister(self, name: str) -> None:
        """Offer it no longer.

        Raises:
            ConfigError: there is no process of that name.
        """
        if name not in self._specs:
            raise ConfigError(f"no process {name!r} is registered: {nearest(name, self._specs)}")
        del self._specs[name]

    def get(self, name: str) -> ProcessSpec | None:
        """A process that this node does."""
        spec = self._specs.get(name)
        return spec if spec is not None and spec.may_run_on(self._role) else None

    def roles_of(self, name: str) -> tuple[str, ...]:
        """The roles that may do this work, as far as this node knows; empty: all."""
        spec = self._specs.get(name)
        return () if spec is None else spec.roles

    def why_not(self, name: str) -> str:
        """Why this node does not do this work."""
        roles = self.roles_of(name)
        if not roles:
            return f"this node does not offer process {name!r}"
        allowed = " or ".join(repr(role) for role in roles)
        return f"process {name!r} is for nodes of role {allowed}; this one has {self._role!r}"

    def __contains__(self, name: str) -> bool:
        return self.get(name) is not None

    def __len__(self) -> int:
        return len(self._specs)

    def offers(self) -> tuple[str, ...]:
        """What the introduction says: names, and marks of idempotent ones; see `names_of`."""
        return _offers(self._offered())

    def _offered(self) -> list[ProcessSpec]:
        return [spec for spec in self._specs.values() if spec.may_run_on(self._role)]


def idempotent_offer(process: str) -> str:
    """The mark that stands among a node's offers if this process is idempotent there."""
    return process + IDEMPOTENT


def names_of(offers: tuple[str, ...]) -> tuple[str, ...]:
    """The names among offers, without marks: what people want to see."""
    return tuple(offer for offer in offers if not offer.endswith(IDEMPOTENT))


def _offers(specs: list[ProcessSpec]) -> tuple[str, ...]:
    names = [spec.name for spec in specs]
    marks = [idempotent_offer(spec.name) for spec in specs if spec.idempotent]
    return (*sorted(names), *sorted(marks))


def _check_name(name: str) -> None:
    if not isinstance(name, str) or not name or len(name.encode()) > REQUEST_TARGET_MAX:
        raise ConfigError(f"process name {name!r}: must have 1 to {REQUEST_TARGET_MAX} bytes")
    if ";" in name or not name.isprintable() or name != name.strip():
        raise ConfigError(
            f"process name {name!r}: must be printable, without ';' and without space at its ends"
        )


def _is_async(handler: Callable[..., Any]) -> bool:
    inner = handler
    while isinstance(inner, functools.partial):
        inner = inner.func
    call = getattr(inner, "__call__", None)  # noqa: B004 - an object with an async __call__
    return inspect.iscoroutinefunction(inner) or inspect.iscoroutinefunction(call)


def _executor(name: str, wanted: str | None, *, is_async: bool) -> Executor:
    if wanted is not None and wanted not in EXECUTORS:
        raise ConfigError(
            f"process {name!r}: executor {wanted!r} does not exist; allowed are "
            + ", ".join(repr(executor) for executor in EXECUTORS)
        )
    if is_async and wanted not in (None, "async"):
        raise ConfigError(
            f"process {name!r}: a coroutine runs on the event loop; write `def`, "
            "or executor='async'"
        )
    if not is_async and wanted == "async":
        raise ConfigError(
            f"process {name!r}: a plain function never runs there; write `async def`, "
            "or executor='thread'"
        )
    if is_async:
        return "async"
    return "process" if wanted == "process" else "thread"


def _check_importable(name: str, handler: Callable[..., Any]) -> None:
    """A pool process finds the handler by the names of its module and its own, or not at all."""
    module = getattr(handler, "__module__", None)
    qualified = getattr(handler, "__qualname__", None)
    if not module or not qualified or "." in qualified or not qualified.isidentifier():
        raise ConfigError(
            f"process {name!r}: executor='process' needs a function at the top level of a module, "
            f"which other processes can import; {qualified or handler!r} is not one"
        )


def _roles(name: str, roles: Any) -> tuple[str, ...]:
    if isinstance(roles, str) or not all(isinstance(role, str) and role for role in roles):
        raise ConfigError(f"process {name!r}: roles are a tuple of names, not {roles!r}")
    return tuple(roles)


def _signature(name: str, handler: Callable[..., Any]) -> tuple[Any, bool]:
    """The payload's type, and whether there is a second argument for the context."""
    if inspect.isgeneratorfunction(handler) or inspect.isasyncgenfunction(handler):
        raise ConfigError(f"process {name!r}: a handler returns its result, it does not yield")
    try:
        parameters = list(inspect.signature(handler).parameters.values())
    except (TypeError, ValueError):
        return Any, False  # A builtin that does not tell: called with the payload alone.
    places = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    needed = sum(p.default is p.empty for p in places)
    any_number = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    keywords = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty]
    if (not places and not any_number) or needed > 2 or keywords:
        raise ConfigError(
            f"process {name!r}: a handler takes (payload) or (payload, context), "
            f"not {inspect.signature(handler)}"
        )
    wants_context = needed == 2 or (len(places) > 1 and places[1].name == "context")
    annotation = places[0].annotation if places else inspect.Parameter.empty
    if annotation is inspect.Parameter.empty:
        return Any, wants_context
    return _evaluated(name, handler, annotation), wants_context


def _evaluated(name: str, handler: Callable[..., Any], annotation: Any) -> Any:
    """The annotation as a type. Only this one: others may name what only type checkers import."""

    def only_payload() -> None: ...

    only_payload.__annotations__ = {"payload": annotation}
    function = inspect.unwrap(handler)
    while isinstance(function, functools.partial):
        function = function.func
    function = getattr(function, "__func__", function)
    if not hasattr(function, "__globals__"):
        function = type(function).__call__
    scope = getattr(function, "__globals__", {})
    try:
        return typing.get_type_hints(only_payload, globalns=scope, include_extras=True)["payload"]
    except (NameError, TypeError, SyntaxError) as error:
        raise ConfigError(
            f"process {name!r}: cannot read the payload's annotation {annotation!r}: {error}; "
            "it must name something in the handler's module"
        ) from error
