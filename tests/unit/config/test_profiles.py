"""Presets fit together and are weaker than the user."""

from __future__ import annotations

from typing import get_args

import pytest

from mreza.config.mesh import MeshConfig
from mreza.config.profiles import PROFILES, Profile


def test_every_profile_has_a_preset() -> None:
    assert set(get_args(Profile)) == set(PROFILES)


@pytest.mark.parametrize("profile", PROFILES)
def test_a_preset_obeys_the_rules_and_is_what_you_get(profile: str) -> None:
    config = MeshConfig(profile=profile)
    for section, values in PROFILES[profile].items():
        for key, value in values.items():
            assert getattr(getattr(config, section), key) == value


def test_lan_is_the_default() -> None:
    assert MeshConfig(profile="lan") == MeshConfig()


def test_a_faster_profile_notices_sooner() -> None:
    fast, lan, wan = (MeshConfig(profile=name) for name in ("fast", "lan", "wan"))
    for key in ("silent_after_s", "probe_interval_s"):
        assert getattr(fast.link, key) < getattr(lan.link, key) < getattr(wan.link, key)
