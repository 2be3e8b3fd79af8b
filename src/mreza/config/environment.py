"""Settings from environment variables: MREZA_LISTEN, MREZA_DISCOVERY__LAN=false, MREZA_STATE.

Read here and not with pydantic-settings: that ignores unknown variables, wants JSON for a list,
reads only the process's own environment, and takes 0.16 s to import, most of what `import mreza`
may cost.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from mreza.config.base import nearest
from mreza.config.security import STATE_VARIABLE
from mreza.errors import ConfigError

PREFIX = "MREZA_"
DELIMITER = "__"
# Kubernetes sets these in every pod beside a service that is named mreza; they are not ours.
_FOREIGN = re.compile(r"MREZA_(SERVICE_HOST|SERVICE_PORT|PORT)(_.*)?$")


def from_environment(model: type[BaseModel], env: Mapping[str, str]) -> dict[str, Any]:
    """What the MREZA_* variables of `env` set; an empty one sets nothing.

    Raises:
        ConfigError: a variable names no setting.
    """
    ours = {
        name: value
        for name, value in env.items()
        if name.startswith(PREFIX) and value and not _FOREIGN.match(name)
    }
    settings: dict[str, Any] = {}
    if state := ours.pop(STATE_VARIABLE, None):
        settings["security"] = {"state": state}
    for name, value in ours.items():
        section, nested, key = name.removeprefix(PREFIX).lower().partition(DELIMITER)
        try:
            keys = keys_of(model, section if nested else None)
        except ConfigError as error:
            raise ConfigError(f"unknown variable {name}: {error}") from None
        word = key if nested else section
        if word not in keys:
            raise ConfigError(f"unknown variable {name}: {nearest(word, keys)}")
        if nested:
            settings.setdefault(section, {})[key] = value
        else:
            settings[section] = value
    return settings


def keys_of(model: type[BaseModel], section: str | None) -> list[str]:
    """Names of the settings in one section, or of those outside of all sections."""
    sections = {
        name: field.annotation
        for name, field in model.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
    }
    if section is None:
        return [name for name in model.model_fields if name not in sections]
    kind = sections.get(section)
    if kind is None:
        raise ConfigError(f"unknown section {section!r}: {nearest(section, sections)}")
    return list(kind.model_fields)
