"""Every setting is documented, has a valid default, and refuses what makes no sense."""

from __future__ import annotations

import ast
import inspect

import pytest
from pydantic import BaseModel

from mreza.config.base import Config
from mreza.config.discovery import DiscoveryConfig
from mreza.config.link import LinkConfig
from mreza.config.load_balancer import LoadBalancerConfig
from mreza.config.membership import MembershipConfig
from mreza.config.mesh import MeshConfig
from mreza.config.messaging import MessagingConfig
from mreza.config.processes import ProcessesConfig
from mreza.config.records import RecordsConfig
from mreza.config.routing import RoutingConfig
from mreza.config.security import SecurityConfig
from mreza.config.topology import TopologyConfig
from mreza.errors import ConfigError

SECTIONS: list[type[Config]] = [
    DiscoveryConfig,
    SecurityConfig,
    LoadBalancerConfig,
    TopologyConfig,
    LinkConfig,
    RecordsConfig,
    RoutingConfig,
    MembershipConfig,
    MessagingConfig,
    ProcessesConfig,
]


def docstrings_of(model: type[BaseModel]) -> dict[str, str]:
    (body,) = ast.parse(inspect.getsource(model)).body
    assert isinstance(body, ast.ClassDef)
    found = {}
    for statement, after in zip(body.body, [*body.body[1:], None], strict=True):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            text = after.value if isinstance(after, ast.Expr) else None
            found[statement.target.id] = str(text.value) if isinstance(text, ast.Constant) else ""
    return found


@pytest.mark.parametrize("section", SECTIONS)
def test_every_setting_says_what_it_means_and_where_its_default_comes_from(
    section: type[Config],
) -> None:
    docs = docstrings_of(section)
    whole_section = inspect.getdoc(section) or ""
    for name in section.model_fields:
        if "all defaults are those of" not in whole_section:
            assert "Default" in docs[name], f"{section.__name__}.{name}"
        if name.endswith("_s") and not name.endswith("_per_s"):
            assert "econds" in docs[name], f"{section.__name__}.{name} has no unit"


@pytest.mark.parametrize("section", SECTIONS)
def test_the_defaults_obey_the_rules(section: type[Config]) -> None:
    assert section(**section().model_dump()) == section()


@pytest.mark.parametrize("section", SECTIONS)
def test_every_section_hangs_under_the_mesh(section: type[Config]) -> None:
    kinds = [field.annotation for field in MeshConfig.model_fields.values()]
    assert kinds.count(section) == 1


@pytest.mark.parametrize(
    ("section", "values", "complaint"),
    [
        (DiscoveryConfig, {"peers": ["a:99999"]}, "port '99999'"),
        (DiscoveryConfig, {"peers": ["a b"]}, "not an address"),
        (DiscoveryConfig, {"beacon_group": "10.0.0.1"}, "not a multicast address"),
        (DiscoveryConfig, {"beacon_group": "nonsense"}, "nonsense"),
        (DiscoveryConfig, {"beacon_group": "ff02::1"}, "beacon_group is IPv6"),
        (DiscoveryConfig, {"beacon_group6": "239.0.0.1"}, "beacon_group6 is IPv4"),
        (DiscoveryConfig, {"beacon_port": 0}, "greater than or equal to 1"),
        (DiscoveryConfig, {"beacon_interval_s": 0}, "greater than 0"),
        (DiscoveryConfig, {"redial_first_s": 9, "redial_max_s": 8}, "larger than redial_max_s"),
        (SecurityConfig, {"mesh": ""}, "at least 1 character"),
        (SecurityConfig, {"session_envelopes": 2**23 + 1}, "less than or equal to 8388608"),
        (LoadBalancerConfig, {"threshold": 0}, "greater than 0"),
        (LoadBalancerConfig, {"threshold": 1.1}, "less than or equal to 1"),
        (LoadBalancerConfig, {"threshold": "high"}, "threshold is 'high': must be a valid number"),
        (LoadBalancerConfig, {"strategy": "prequal"}, "must be 'round_robin'"),
        (TopologyConfig, {"only_peer": True}, "did you mean 'only_peers'"),
        (LinkConfig, {"probe_interval_s": float("inf")}, "finite"),
        (LinkConfig, {"silent_after_s": 0.2}, "at least missed_probes times"),
        (LinkConfig, {"queue_bytes": 0}, "greater than 0"),
        (RecordsConfig, {"max_age_s": 500}, "at least two refresh_s"),
        (RoutingConfig, {"spf_short_s": 6}, "must rise"),
        (MembershipConfig, {"suspicion_timeout_s": -1}, "greater than 0"),
        (MessagingConfig, {"window_first_bytes": 2**30}, "larger than window_max_bytes"),
        (MessagingConfig, {"retransmit_first_s": 20}, "larger than retransmit_max_s"),
        (MessagingConfig, {"payload_max": 2**27}, "less than or equal to 67108864"),
        (ProcessesConfig, {"threads": 0}, "greater than 0"),
    ],
)
def test_what_makes_no_sense_is_refused(
    section: type[Config], values: dict[str, object], complaint: str
) -> None:
    with pytest.raises(ConfigError, match=complaint):
        section(**values)


def test_both_multicast_groups_of_a_site_are_taken() -> None:
    config = DiscoveryConfig(beacon_group="239.1.2.3", beacon_group6="ff05::1", peers=("[::1]:9",))
    assert config.beacon_group6 == "ff05::1"


def test_a_rising_window_and_back_off_are_taken() -> None:
    assert MessagingConfig(window_first_bytes=1, retransmit_first_s=0.1).window_first_bytes == 1


def test_the_number_of_threads_has_a_bound() -> None:
    assert 1 <= ProcessesConfig().threads <= 32
