"""Long tests get what integration tests get."""

from __future__ import annotations

from tests.integration.conftest import processes

__all__ = ["processes"]
