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
from mreza.wire.packet import REQUEST_TARGET_MAX
from mreza.wire.records import OFFERS_MAX

Executor = Literal["async", "thread"]
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
    "None: `async` for an async function, `thread` for a plain one."
    idempotent: bool = False
    "Doing the work twice does no harm: it goes elsewhere when its worker is lost."
    timeout_s: float | None = None
    "Stop the work after this many seconds, even if the caller would wait longer."
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
        payload_type, wants_context = _signature(self.name, self.handler)
        try:
            decoder = msgspec.msgpack.Decoder(payload_type, dec_hook=_no_other_types)
        except TypeError as error:
            raise ConfigError(
                f"process {self.name!r}: payloads cannot be {payload_type!r}: {error}"
            ) from error
        for key, value in {
            "is_async": is_async,
            "executor": executor,
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

    def limit(self, *, threads: int) -> int:
        """How many may run at a time on a node with so many threads."""
        if self.concurrency is not None:
            return self.concurrency
        return ASYNC_CONCURRENCY if self.executor == "async" else threads


class Registry:
    """The processes of one node, by name."""

    def __init__(self) -> None:
        self._specs: dict[str, ProcessSpec] = {}

    def register(self, spec: ProcessSpec) -> None:
        """Offer this work from now on.

        Raises:
            ConfigError: the name is taken, or there are too many.
        """
        if spec.name in self._specs:
            raise ConfigError(f"process {spec.name!r} is registered already; unregister it first")
        offers = _offers([*self._specs.values(), spec])
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
        return self._specs.get(name)

    def __contains__(self, name: str) -> bool:
        return name in self._specs

    def __len__(self) -> int:
        return len(self._specs)

    def offers(self) -> tuple[str, ...]:
        """What the introduction says: names, and marks of idempotent ones; see `names_of`."""
        return _offers(list(self._specs.values()))


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
            + " and ".join(repr(executor) for executor in EXECUTORS)
        )
    natural: Executor = "async" if is_async else "thread"
    if wanted not in (None, natural):
        raise ConfigError(
            f"process {name!r}: "
            + (
                "a coroutine runs on the event loop; write `def`, or executor='async'"
                if is_async
                else "a plain function never runs there; write `async def`, or executor='thread'"
            )
        )
    return natural


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


def _no_other_types(kind: type, value: Any) -> Any:
    if kind is NodeId and isinstance(value, bytes):
        return NodeId(value)
    raise TypeError(f"cannot make a {kind.__name__} of {type(value).__name__}")
