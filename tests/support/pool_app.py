"""A node process that works in pool processes: `mreza up --app tests.support.pool_app:pool`."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

from mreza import MeshNetwork
from tests.support.processes import OUTPUT


def pool(mesh: MeshNetwork) -> None:
    """Offers work in pool processes, and idempotent work that takes a moment."""
    mesh.process("pid", executor="process")(pid)
    mesh.process("hold", executor="process")(hold)

    @mesh.process("task", idempotent=True)
    async def task(number: int) -> int:
        await asyncio.sleep(0.05)
        return number


def pid(_: None) -> int:
    return os.getpid()


def hold(_: None) -> None:
    """Leave the process id in a file `held`, then work for ever."""
    (Path(os.environ[OUTPUT]) / "held").write_text(str(os.getpid()))
    time.sleep(3600)
