"""Whole nodes in one loop, state directories and all, over a network without sockets."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from mreza import DiscoveryConfig, MeshNetwork
from mreza.node import life
from tests.support.fake_net import FakeNetwork
from tests.support.meshes import sees

QUICK = DiscoveryConfig(state_poll_s=0.01, redial_first_s=0.01, redial_max_s=0.05)


class FakeControlSocket:
    """Serves nobody; `fails` is what opening it raises."""

    fails: Exception | None = None
    opened: list[FakeControlSocket]

    def __init__(self, node: Any, path: Path) -> None:
        self.node = node
        self.path = path
        self.closed = False

    async def open(self) -> None:
        if FakeControlSocket.fails is not None:
            raise FakeControlSocket.fails
        FakeControlSocket.opened.append(self)

    async def close(self) -> None:
        self.closed = True


def install(monkeypatch: pytest.MonkeyPatch) -> FakeNetwork:
    """No node of this test opens a socket."""
    FakeControlSocket.fails, FakeControlSocket.opened = None, []
    monkeypatch.setattr(life, "ControlSocket", FakeControlSocket)
    return FakeNetwork.install(monkeypatch)


@contextlib.asynccontextmanager
async def nodes(*names: str, **settings: Any) -> AsyncIterator[list[MeshNetwork]]:
    """Nodes that share the test's state directory, each seeing all."""
    given = {"discovery_config": QUICK, **settings}
    async with contextlib.AsyncExitStack() as stack:
        made = [await stack.enter_async_context(MeshNetwork(name=name, **given)) for name in names]
        for node in made:
            await sees(node, *names)
        yield made
