"""What all settings share: they never change, know every key, and complain in the user's words."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from mreza.errors import ConfigError

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
"A time span that cannot be zero."
Bytes = Annotated[int, Field(gt=0)]
Count = Annotated[int, Field(gt=0)]
Port = Annotated[int, Field(ge=1, le=65535)]


def split_commas(value: Any) -> Any:
    """Text such as ``a, b`` as a list, so that an environment variable can hold one."""
    if isinstance(value, str):
        return tuple(part for part in (piece.strip() for piece in value.split(",")) if part)
    return value


TextList = Annotated[tuple[str, ...], BeforeValidator(split_commas)]


class Config(BaseModel):
    """Base of all settings. An unknown key or a value that is not allowed is a `ConfigError`."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=False)

    def __init__(self, **given: Any) -> None:
        try:
            super().__init__(**given)
        except ValidationError as error:
            raise ConfigError(explain(error, type(self))) from None

    def given(self) -> dict[str, Any]:
        """What was set, without what is only a default; sections as dictionaries."""
        return {
            name: _given(getattr(self, name))
            for name in type(self).model_fields
            if name in self.model_fields_set
        }

    def with_changes(self, **changes: Any) -> Self:
        """A checked copy with some values changed; of a section only what was set in it."""
        return type(self)(**merge(self.given(), plain(changes)))


def _given(value: Any) -> Any:
    return value.given() if isinstance(value, Config) else value


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """The same settings with each section as a dictionary of what was set in it."""
    return {
        key: plain(value) if isinstance(value, Mapping) else _given(value)
        for key, value in values.items()
    }


def merge(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Join layers of settings; a later layer wins, section by section."""
    merged: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            old = merged.get(key)
            both = isinstance(old, Mapping) and isinstance(value, Mapping)
            merged[key] = merge(old, value) if both else value  # type: ignore[arg-type]
    return merged


def nearest(word: str, known: Iterable[str]) -> str:
    """A sentence that names the right key closest to a wrong one, or all of them."""
    names = list(known)
    close = difflib.get_close_matches(word.lower(), names, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"known are {', '.join(names)}"


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """Everything that is wrong with the settings of `model`, one sentence each."""
    return "; ".join(_sentence(dict(problem), model) for problem in error.errors())


def _sentence(problem: dict[str, Any], model: type[BaseModel]) -> str:
    path = tuple(str(part) for part in problem["loc"])
    cause = problem.get("ctx", {}).get("error")
    where = ".".join(path)
    if problem["type"] == "extra_forbidden":
        right = nearest(path[-1], model.model_fields)
        return f"unknown setting {where!r} of {model.__name__}: {right}"
    if isinstance(cause, ConfigError):
        # A section found it and has already put it into words.
        return f"{where}: {cause}"
    if problem["type"] == "value_error":
        return f"{where}: {cause}" if where else f"{model.__name__}: {cause}"
    rule = str(problem["msg"]).replace("Input should", "must", 1)
    return f"{where} is {problem['input']!r}: {rule}"
