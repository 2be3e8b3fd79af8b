"""What tests with real sockets get: node processes that end with the test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import Processes


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    """Starts node processes; whatever becomes of the test, none is left."""
    owner = Processes(tmp_path / "processes")
    try:
        yield owner
    finally:
        owner.close()
