"""Nodes inside the test's own process, through the public API."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from mreza import MemberState, MeshNetwork
from tests.support.eventually import GENEROUS_S, eventually_async


def alive(mesh: MeshNetwork) -> set[str]:
    """Names of the members it sees alive, itself included."""
    return {member.name for member in mesh.members if member.state is MemberState.ALIVE}


async def sees(mesh: MeshNetwork, *names: str, timeout_s: float = GENEROUS_S) -> None:
    """Wait until it sees all of these alive."""
    await eventually_async(
        lambda: set(names) <= alive(mesh), f"{mesh.name} sees {names}", timeout_s=timeout_s
    )


async def offers(mesh: MeshNetwork, name: str, process: str) -> None:
    """Wait until it knows that the member of this name offers the process."""
    await eventually_async(
        lambda: any(process in m.offers for m in mesh.members if m.name == name),
        f"{mesh.name} knows that {name} offers {process}",
    )


@contextlib.asynccontextmanager
async def running(*names: str, **settings: Any) -> AsyncIterator[list[MeshNetwork]]:
    """Nodes that share the test's state directory, each seeing all."""
    async with contextlib.AsyncExitStack() as stack:
        nodes = [
            await stack.enter_async_context(MeshNetwork(name=name, **settings)) for name in names
        ]
        for node in nodes:
            await sees(node, *names)
        yield nodes
