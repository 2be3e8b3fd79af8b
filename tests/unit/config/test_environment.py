"""Settings from environment variables."""

from __future__ import annotations

import pytest

from mreza.config.environment import from_environment
from mreza.config.mesh import MeshConfig
from mreza.errors import ConfigError


def test_names_and_sections_are_read() -> None:
    env = {"MREZA_LISTEN": "h:1", "MREZA_DISCOVERY__LAN": "false", "MREZA_DISCOVERY__PEERS": "a,b"}
    assert from_environment(MeshConfig, env) == {
        "listen": "h:1",
        "discovery": {"lan": "false", "peers": "a,b"},
    }


def test_mreza_state_is_the_state_directory() -> None:
    assert from_environment(MeshConfig, {"MREZA_STATE": "/s"}) == {"security": {"state": "/s"}}


def test_the_long_name_of_the_state_directory_wins() -> None:
    env = {"MREZA_SECURITY__STATE": "/long", "MREZA_STATE": "/short"}
    assert from_environment(MeshConfig, env) == {"security": {"state": "/long"}}


def test_others_variables_and_empty_ones_are_left_alone() -> None:
    env = {
        "PATH": "/bin",
        "MREZA_NAME": "",
        "MREZA_STATE": "",
        "MREZA_SERVICE_HOST": "10.0.0.1",
        "MREZA_PORT_7467_TCP": "tcp://10.0.0.1:7467",
    }
    assert from_environment(MeshConfig, env) == {}


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("MREZA_LISTN", "did you mean 'listen'"),
        ("MREZA_DISCOVERY__LANN", "did you mean 'lan'"),
        ("MREZA_DISCOVER__LAN", "variable MREZA_DISCOVER__LAN: .* did you mean 'discovery'"),
        ("MREZA_DISCOVERY", "unknown variable MREZA_DISCOVERY: known are name"),
        ("MREZA_LISTEN__X", "unknown section 'listen'"),
    ],
)
def test_an_unknown_variable_is_an_error_that_helps(name: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        from_environment(MeshConfig, {name: "1"})
