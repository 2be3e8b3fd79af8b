"""What every test gets: loopback only, no multicast, a state directory of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support.leaks import no_leaks

# An installed mreza brings the first by itself.
pytest_plugins = ["mreza.sim.pytest_plugin", "pytester"]

# Set on import, before anything reads them, so that child processes of a test inherit them, too.
os.environ["MREZA_LISTEN"] = "127.0.0.1:0"
os.environ["MREZA_DISCOVERY__LAN"] = "false"
os.environ["MREZA_DISCOVERY__MDNS"] = "false"

settings.register_profile(
    "mreza",
    deadline=None,  # a busy machine is not a bug
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("mreza")


@pytest.fixture(autouse=True)
def state_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state directory of this test alone; also what nodes and child processes use by default."""
    state = tmp_path / "state"
    monkeypatch.setenv("MREZA_STATE", str(state))
    return state


@pytest.fixture
def leak_check() -> Iterator[None]:
    """Fail a (synchronous) test that leaves a thread, a descriptor or a child process behind.

    An asynchronous test says `async with no_leaks_async():` itself: its loop has descriptors, too.
    """
    with no_leaks():
        yield
