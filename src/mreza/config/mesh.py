"""All settings of a node, and where they come from."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import Field, PrivateAttr, field_validator

from mreza.address import Address
from mreza.config.base import Config, merge, plain
from mreza.config.discovery import DiscoveryConfig
from mreza.config.environment import from_environment
from mreza.config.link import LinkConfig
from mreza.config.load_balancer import LoadBalancerConfig
from mreza.config.membership import MembershipConfig
from mreza.config.messaging import MessagingConfig
from mreza.config.processes import ProcessesConfig
from mreza.config.profiles import PROFILES, Profile
from mreza.config.records import RecordsConfig
from mreza.config.routing import RoutingConfig
from mreza.config.security import SecurityConfig
from mreza.config.topology import TopologyConfig
from mreza.errors import ConfigError, InvalidId
from mreza.ids import NodeId

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,62}")
_APP = re.compile(r"[\w.]+:[\w.]+")


class MeshConfig(Config):
    """All that can be set. The constructor takes what is given; `load` looks elsewhere too."""

    name: str | None = None
    """The node's label, and its folder in the state directory.
    Default: the host's name, then -2, -3."""
    listen: str | None = None
    "HOST:PORT to listen on; port 0: any. Default: all interfaces, port 7467, or the next free one."
    advertise: str | None = None
    "HOST:PORT under which others can dial this node. Default: what is listened on."
    profile: Profile = "lan"
    "Preset for timeouts: lan, fast (one rack) or wan. Default: what most people have."
    app: str | None = None
    "MODULE:OBJECT that registers handlers before the node starts. Default: none."
    discovery: DiscoveryConfig = Field(default_factory=DiscoveryConfig)
    "How nodes find each other."
    security: SecurityConfig = Field(default_factory=SecurityConfig)
    "Where keys live and how long they serve."
    load_balancer: LoadBalancerConfig = Field(default_factory=LoadBalancerConfig)
    "Who is picked to do work."
    topology: TopologyConfig = Field(default_factory=TopologyConfig)
    "Which links a node keeps."
    link: LinkConfig = Field(default_factory=LinkConfig)
    "Probes, patience and bounds of links."
    records: RecordsConfig = Field(default_factory=RecordsConfig)
    "Lifetimes of the shared signed statements."
    routing: RoutingConfig = Field(default_factory=RoutingConfig)
    "When routes are computed again."
    membership: MembershipConfig = Field(default_factory=MembershipConfig)
    "When a silent node counts as failed."
    messaging: MessagingConfig = Field(default_factory=MessagingConfig)
    "Deadlines, windows and bounds of messages."
    processes: ProcessesConfig = Field(default_factory=ProcessesConfig)
    "Bounds of the work a node takes on."

    _given: dict[str, Any] = PrivateAttr(default_factory=dict)

    def __init__(self, **given: Any) -> None:
        given = plain(given)
        preset = PROFILES.get(str(given.get("profile", "lan")), {})
        super().__init__(**merge(preset, given))
        self._given = given

    @classmethod
    def load(
        cls,
        path: Path | str | None = None,
        *,
        env: Mapping[str, str] | None = None,
        **given: Any,
    ) -> Self:
        """Join what is given, the environment, a TOML file, the profile, the defaults: first wins.

        Of a section given as an object counts what was set in it: `LinkConfig()` overrides nothing.
        `env` defaults to the environment of this process.
        """
        file = {} if path is None else _read_toml(Path(path))
        environment = from_environment(cls, os.environ if env is None else env)
        return cls(**merge(file, environment, plain(given)))

    def given(self) -> dict[str, Any]:
        """What was set, without profile and defaults: `load(**config.given())` keeps it."""
        return merge(self._given)

    def __eq__(self, other: object) -> bool:
        # What counts is what is set, not who set it.
        return isinstance(other, MeshConfig) and dict(self) == dict(other)

    def __hash__(self) -> int:
        return hash(tuple(dict(self).values()))

    @field_validator("name")
    @classmethod
    def _name_is_a_label(cls, name: str | None) -> str | None:
        if name is None:
            return None
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"{name!r} is not a name; use 1 to 63 letters, digits, '.', '_' and '-', "
                "the first a letter, digit or '_'"
            )
        try:
            NodeId.parse(name)
        except InvalidId:
            return name
        raise ValueError(f"{name!r} reads like a node id; a name must not")

    @field_validator("listen", "advertise")
    @classmethod
    def _is_address(cls, text: str | None) -> str | None:
        if text is not None:
            Address.parse(text)
        return text

    @field_validator("advertise")
    @classmethod
    def _can_be_dialed(cls, text: str | None) -> str | None:
        if text is not None and Address.parse(text).is_unspecified:
            raise ValueError(f"{text} cannot be dialed; give the address others see")
        return text

    @field_validator("app")
    @classmethod
    def _names_an_object(cls, app: str | None) -> str | None:
        if app is not None and not _APP.fullmatch(app):
            raise ValueError(f"{app!r} does not have the form MODULE:OBJECT")
        return app


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error
