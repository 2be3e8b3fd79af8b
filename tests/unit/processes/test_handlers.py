"""Handlers are checked when they are registered."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from mreza.errors import ConfigError, PayloadError
from mreza.ids import MessageId, NodeId
from mreza.processes.handlers import (
    ASYNC_CONCURRENCY,
    CallContext,
    ProcessSpec,
    Registry,
    idempotent_offer,
    names_of,
)

if TYPE_CHECKING:
    from decimal import Decimal

NODE = NodeId(b"n" * 16)
CONTEXT = CallContext(
    source=NODE, deadline=1.0, attempt=1, message_id=MessageId(NODE, 1, 1, 1, 0), headers={}
)


@dataclass
class Job:
    path: str
    size: int = 0


def plain(payload: Job) -> int:
    return payload.size


async def coroutine(payload: Job, context: CallContext) -> tuple[int, int]:
    return payload.size, context.attempt


def only_payload_is_evaluated(payload: bytes) -> Decimal:
    raise NotImplementedError(payload)


def unreadable(payload: Decimal) -> None:
    raise NotImplementedError(payload)


class Callables:
    def method(self, payload: Job) -> int:
        return payload.size

    async def __call__(self, payload: Job) -> int:
        return payload.size


class PlainCallable:
    def __call__(self, payload: Job) -> int:
        return payload.size


def raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(msgspec.msgpack.encode(value))


@pytest.mark.parametrize(
    ("handler", "executor", "kind", "wants_context"),
    [
        (plain, "thread", Job, False),
        (coroutine, "async", Job, True),
        (only_payload_is_evaluated, "thread", bytes, False),
        (Callables().method, "thread", Job, False),
        (Callables(), "async", Job, False),
        (PlainCallable(), "thread", Job, False),
        (functools.partial(plain), "thread", Job, False),
        (functools.partial(coroutine), "async", Job, True),
        (len, "thread", Any, False),
        (max, "thread", Any, False),
        (lambda payload: payload, "thread", Any, False),
        (lambda payload, context: (payload, context), "thread", Any, True),
        (lambda payload, factor=2: payload * factor, "thread", Any, False),
        (lambda payload, context=None: (payload, context), "thread", Any, True),
        (lambda *payloads: payloads, "thread", Any, False),
        (lambda payload, *, loud=False: (payload, loud), "thread", Any, False),
    ],
)
def test_a_handler_says_itself_how_it_is_run(
    handler: Callable[..., Any], executor: str, kind: Any, wants_context: bool
) -> None:
    spec = ProcessSpec("p", handler)
    assert (spec.executor, spec.payload_type, spec.wants_context) == (executor, kind, wants_context)
    assert spec.is_async == (executor == "async")


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"name": ""}, "1 to 128 bytes"),
        ({"name": "x" * 129}, "1 to 128 bytes"),
        ({"name": "a;b"}, "without ';'"),
        ({"name": " a"}, "without space"),
        ({"name": "a\nb"}, "printable"),
        ({"handler": 5}, "5 is not a function"),
        ({"concurrency": 0}, "concurrency is 0"),
        ({"timeout_s": 0}, "timeout_s is 0"),
        ({"timeout_s": float("nan")}, "timeout_s is nan"),
        ({"executor": "dask"}, "executor 'dask' does not exist; allowed are 'async', 'thread', 'p"),
        ({"executor": "process", "handler": lambda _: None}, "top level of a module"),
        ({"executor": "process", "handler": functools.partial(plain)}, "top level of a module"),
        ({"executor": "process", "handler": Callables().method}, "top level of a module"),
        ({"executor": "process", "handler": coroutine}, "a coroutine runs on the event loop"),
        ({"roles": "worker"}, "roles are a tuple of names, not 'worker'"),
        ({"roles": ("",)}, "roles are a tuple"),
        ({"executor": "async"}, "a plain function never runs there"),
        ({"handler": coroutine, "executor": "thread"}, "a coroutine runs on the event loop"),
        ({"handler": lambda: None}, r"takes \(payload\) or \(payload, context\), not \(\)"),
        ({"handler": lambda a, b, c: (a, b, c)}, r"not \(a, b, c\)"),
        ({"handler": lambda a, *, b: (a, b)}, r"not \(a, \*, b\)"),
        ({"handler": unreadable}, "cannot read the payload's annotation 'Decimal'"),
    ],
)
def test_what_cannot_work_is_refused_at_once(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        ProcessSpec(**{"name": "p", "handler": plain, **options})


def test_a_type_that_no_payload_can_have_is_refused() -> None:
    def handler(payload: Callable[[], None] | Job | msgspec.Struct) -> None:
        raise NotImplementedError(payload)

    with pytest.raises(ConfigError, match="payloads cannot be"):
        ProcessSpec("p", handler)


def test_generators_are_refused() -> None:
    def generator(payload: int) -> Iterator[int]:
        yield payload

    async def async_generator(payload: int) -> AsyncIterator[int]:
        yield payload

    for handler in (generator, async_generator):
        with pytest.raises(ConfigError, match="does not yield"):
            ProcessSpec("p", handler)


def test_the_annotation_chooses_the_type() -> None:
    assert ProcessSpec("p", plain).decode(raw({"path": "x", "size": 3})) == Job("x", 3)
    assert ProcessSpec("p", lambda payload: payload).decode(raw({"size": 3})) == {"size": 3}


def test_an_id_is_a_type_too() -> None:
    def handler(payload: NodeId) -> None:
        raise NotImplementedError(payload)

    assert ProcessSpec("p", handler).decode(raw(bytes(NODE))) == NODE
    with pytest.raises(PayloadError):
        ProcessSpec("p", handler).decode(raw("text"))


@pytest.mark.parametrize("payload", [{"path": 5}, {}, "text", None])
def test_a_payload_that_does_not_fit_is_told(payload: Any) -> None:
    with pytest.raises(PayloadError, match="does not fit process 'p'"):
        ProcessSpec("p", plain).decode(raw(payload))


def test_bytes_that_nest_too_deeply_are_told() -> None:
    with pytest.raises(PayloadError):
        ProcessSpec("p", lambda payload: payload).decode(b"\x91" * 100_000)


def test_the_context_is_given_to_who_wants_it() -> None:
    assert ProcessSpec("p", plain).invoke(Job("x", 2), CONTEXT) == 2
    assert asyncio.run(ProcessSpec("p", coroutine).invoke(Job("x", 2), CONTEXT)) == (2, 1)


def test_how_many_at_a_time() -> None:
    def limit(*handler: Any, **options: Any) -> int:
        return ProcessSpec("p", *handler, **options).limit(threads=6, pool_processes=3)

    assert limit(plain) == 6
    assert limit(coroutine) == ASYNC_CONCURRENCY
    assert limit(coroutine, concurrency=2) == 2
    assert limit(plain, executor="process") == 3
    assert limit(plain, executor="process", concurrency=2) == 2
    assert limit(plain, executor="process", concurrency=9) == 3, "more would only wait elsewhere"


def test_the_registry_keeps_names_apart() -> None:
    registry = Registry()
    registry.register(ProcessSpec("p", plain))
    with pytest.raises(ConfigError, match="'p' is registered already"):
        registry.register(ProcessSpec("p", coroutine))
    assert "p" in registry
    assert len(registry) == 1
    registry.unregister("p")
    assert registry.get("p") is None
    registry.register(ProcessSpec("parse", plain))
    with pytest.raises(ConfigError, match="did you mean 'parse'"):
        registry.unregister("prase")


def test_offers_are_names_and_marks_of_the_idempotent() -> None:
    registry = Registry()
    registry.register(ProcessSpec("b", plain, idempotent=True))
    registry.register(ProcessSpec("a", plain))
    assert registry.offers() == ("a", "b", idempotent_offer("b"))
    assert names_of(registry.offers()) == ("a", "b")


def test_offers_fit_into_a_record() -> None:
    registry = Registry()
    for number in range(64):
        registry.register(ProcessSpec(f"p{number}", plain, idempotent=True))
    with pytest.raises(ConfigError, match="one too many"):
        registry.register(ProcessSpec("q", plain))
    registry = Registry()
    for number in range(63):
        registry.register(ProcessSpec(f"{number:0128}", plain))
    registry.register(ProcessSpec(f"{63:0128}", plain))
    with pytest.raises(ConfigError, match="8192 bytes together"):
        registry.register(ProcessSpec("q", plain))


def test_a_process_is_offered_only_where_the_role_allows_it() -> None:
    spec = ProcessSpec("p", plain, idempotent=True, roles=("worker", "gpu"))
    there, elsewhere = Registry(role="gpu"), Registry(role="member")
    for registry in (there, elsewhere):
        registry.register(spec)
        assert registry.roles_of("p") == ("worker", "gpu")
        assert len(registry) == 1
    assert there.offers() == ("p", idempotent_offer("p"))
    assert elsewhere.offers() == ()
    assert "p" in there
    assert "p" not in elsewhere
    assert elsewhere.why_not("p") == (
        "process 'p' is for nodes of role 'worker' or 'gpu'; this one has 'member'"
    )
    assert elsewhere.why_not("q") == "this node does not offer process 'q'"
    assert elsewhere.roles_of("q") == ()
    elsewhere.unregister("p")
    assert elsewhere.roles_of("p") == ()


def test_progress_is_told_to_who_listens() -> None:
    told: list[Any] = []
    CONTEXT.progress(1)
    msgspec.structs.replace(CONTEXT, report=told.append).progress(2)
    assert told == [2]
