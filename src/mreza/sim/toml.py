"""A scenario as the TOML that would say it: only what differs from the defaults."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from mreza.sim.scenario import Scenario


def to_toml(scenario: Scenario) -> str:
    """Text that `scenario.from_toml` reads as the same scenario."""
    said = _but_not_defaults(scenario)
    return "\n".join(_table((), said)) + "\n"


def _but_not_defaults(thing: msgspec.Struct) -> dict[str, Any]:
    found = {}
    for field in msgspec.structs.fields(thing):
        value = getattr(thing, field.name)
        default = field.default_factory() if callable(field.default_factory) else field.default
        if value != default:
            nested = isinstance(value, msgspec.Struct)
            found[field.name] = _but_not_defaults(value) if nested else msgspec.to_builtins(value)
    return found


def _table(path: tuple[str, ...], table: Mapping[str, Any]) -> Iterator[str]:
    plain = {key: value for key, value in table.items() if not _has_header(value)}
    if path and plain:
        yield f"\n[{'.'.join(map(_key, path))}]"
    for key, value in plain.items():
        yield f"{_key(key)} = {_value(value)}"
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _table((*path, key), value)
        elif _has_header(value):
            for entry in value:
                yield f"\n[[{'.'.join(map(_key, (*path, key)))}]]"
                yield from (f"{_key(name)} = {_value(one)}" for name, one in entry.items())


def _has_header(value: Any) -> bool:
    """Whether it stands below a line of its own: a table, or a list of tables."""
    if isinstance(value, Mapping):
        return True
    return isinstance(value, list | tuple) and bool(value) and isinstance(value[0], Mapping)


def _key(key: str) -> str:
    bare = key.replace("-", "").replace("_", "")
    return key if bare.isascii() and bare.isalnum() else json.dumps(key)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    return repr(value)
