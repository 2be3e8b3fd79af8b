"""Where settings come from, and who wins."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from mreza.config.discovery import DiscoveryConfig
from mreza.config.link import LinkConfig
from mreza.config.mesh import MeshConfig
from mreza.errors import ConfigError


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    path = tmp_path / "mreza.toml"
    path.write_text(
        'profile = "wan"\nlisten = "file:1"\n[link]\nsilent_after_s = 21\ndial_timeout_s = 22\n'
    )
    return path


def test_given_beats_environment_beats_file_beats_profile_beats_default(toml: Path) -> None:
    config = MeshConfig.load(
        toml,
        env={"MREZA_LINK__SILENT_AFTER_S": "31", "MREZA_LISTEN": "env:2"},
        listen="given:3",
    )
    assert config.listen == "given:3"
    assert config.link.silent_after_s == 31
    assert config.link.dial_timeout_s == 22
    assert config.link.handshake_timeout_s == 15
    assert config.link.queue_bytes == LinkConfig().queue_bytes


def test_an_empty_section_object_overrides_nothing(toml: Path) -> None:
    env = {"MREZA_DISCOVERY__LAN": "false"}
    config = MeshConfig.load(toml, env=env, discovery=DiscoveryConfig(), link=LinkConfig())
    assert config.discovery.lan is False
    assert config.link.silent_after_s == 21


def test_a_value_set_to_its_default_still_overrides() -> None:
    env = {"MREZA_DISCOVERY__LAN": "false"}
    assert MeshConfig.load(env=env, discovery=DiscoveryConfig(lan=True)).discovery.lan is True


def test_the_profile_of_a_given_object_stays_weaker_than_the_environment() -> None:
    config = MeshConfig(profile="fast", name="n")
    loaded = MeshConfig.load(env={"MREZA_LINK__SILENT_AFTER_S": "7"}, **config.given())
    assert (loaded.name, loaded.link.silent_after_s) == ("n", 7)
    assert loaded.link.probe_interval_s == config.link.probe_interval_s


def test_loading_what_was_loaded_changes_nothing(toml: Path) -> None:
    config = MeshConfig.load(toml, env={"MREZA_NAME": "n", "MREZA_DISCOVERY__PEERS": "a, b:2"})
    assert config.discovery.peers == ("a", "b:2")
    assert MeshConfig.load(env={}, **config.given()) == config


def test_the_environment_of_the_process_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MREZA_LISTEN", "127.0.0.1:0")
    monkeypatch.setenv("MREZA_STATE", "/s")
    config = MeshConfig.load()
    assert config.listen == "127.0.0.1:0"
    assert config.security.state == Path("/s")


def test_the_constructor_alone_looks_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MREZA_LISTEN", "127.0.0.1:0")
    assert MeshConfig().listen is None


def test_changing_what_given_returned_changes_no_settings() -> None:
    config = MeshConfig(link=LinkConfig(dial_timeout_s=1))
    config.given()["link"] = {}
    assert config.given() == {"link": {"dial_timeout_s": 1}}


def test_equal_settings_are_equal_whoever_set_them() -> None:
    said, default = MeshConfig(discovery=DiscoveryConfig(lan=True)), MeshConfig()
    assert said == default
    assert hash(said) == hash(default)
    assert said != "settings"


def test_settings_travel_between_processes() -> None:
    config = MeshConfig(profile="fast", discovery=DiscoveryConfig(lan=False))
    copy = pickle.loads(pickle.dumps(config))  # noqa: S301
    assert copy == config
    assert copy.given() == config.given()


def test_a_missing_file_and_one_that_is_not_toml_are_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*: No such file"):
        MeshConfig.load(tmp_path / "none.toml", env={})
    bad = tmp_path / "bad.toml"
    bad.write_text("= 3")
    with pytest.raises(ConfigError, match=r"bad\.toml is not TOML"):
        MeshConfig.load(str(bad), env={})


def test_an_unknown_key_in_the_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "mreza.toml"
    path.write_text("[discovry]\nlan = false\n")
    with pytest.raises(ConfigError, match="did you mean 'discovery'"):
        MeshConfig.load(path, env={})


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"name": ""}, "is not a name"),
        ({"name": ".hidden"}, "is not a name"),
        ({"name": "a/b"}, "is not a name"),
        ({"name": "x" * 64}, "is not a name"),
        ({"name": "a" * 26}, "reads like a node id"),
        ({"listen": "host:port"}, "not a number"),
        ({"advertise": "0.0.0.0:7467"}, "cannot be dialed"),
        ({"advertise": "[::]"}, "cannot be dialed"),
        ({"app": "module"}, "MODULE:OBJECT"),
        ({"profile": "slow"}, "must be 'lan', 'fast' or 'wan'"),
        ({"profile": ["lan"]}, "must be 'lan', 'fast' or 'wan'"),
        ({"link": 5}, "link is 5: must be a valid dictionary"),
        ({"lnik": {}}, "did you mean 'link'"),
    ],
)
def test_what_makes_no_sense_is_refused(values: dict[str, object], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        MeshConfig(**values)


def test_what_makes_sense_is_taken() -> None:
    config = MeshConfig(
        name="edge-1.lab",
        listen="0.0.0.0:0",
        advertise="[2001:db8::1]:9",
        app="a.b:c",
        profile="wan",
    )
    assert config.name == "edge-1.lab"
    assert MeshConfig(name=None, listen=None, advertise=None, app=None) == MeshConfig()
