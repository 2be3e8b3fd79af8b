"""Which types a payload can become: those of msgspec, and `NodeId`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec.inspect

from mreza.errors import ConfigError
from mreza.ids import NodeId

_PARTS = ("type", "types", "fields", "item_type", "item_types", "key_type", "value_type")
"Where msgspec's descriptions of types keep those within."


def decoder_of(kind: Any, *, what: str) -> msgspec.msgpack.Decoder[Any]:
    """Makes values of this type; `what` is said of it in errors.

    Raises:
        ConfigError: no payload can ever become such a value.
    """
    try:
        decoder = msgspec.msgpack.Decoder(kind, dec_hook=_no_other_types)
    except TypeError as error:
        raise ConfigError(f"{what}: payloads cannot be {kind!r}: {error}") from error
    for strange in _strangers(msgspec.inspect.type_info(kind), []):
        raise ConfigError(
            f"{what}: no payload can become a {strange.__module__}.{strange.__qualname__}; "
            "use Any for whatever comes, plain values and collections of them, a dataclass "
            "or a msgspec.Struct"
        )
    return decoder


def _no_other_types(kind: type, value: Any) -> Any:
    if kind is NodeId and isinstance(value, bytes):
        return NodeId(value)
    raise TypeError(f"cannot make a {kind.__name__} of {type(value).__name__}")


def _strangers(info: Any, seen: list[Any]) -> Iterator[type]:
    """Types within this one that nobody could make of a payload."""
    if isinstance(info, tuple):
        for part in info:
            yield from _strangers(part, seen)
    elif isinstance(info, msgspec.inspect.CustomType):
        if info.cls is not NodeId:
            yield info.cls
    elif isinstance(info, msgspec.inspect.Type | msgspec.inspect.Field) and not any(
        info is other
        for other in seen  # a type may contain itself
    ):
        seen.append(info)
        for part in _PARTS:
            yield from _strangers(getattr(info, part, None), seen)
