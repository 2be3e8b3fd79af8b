"""Dask: `Client.submit` to a scheduler and one worker process with one thread, over its TLS."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import distributed

from benchmarks.peers.calling import CallingEnd


class DaskEnd(CallingEnd):
    """The cluster (the worker is a process of its own), or the client."""

    def __init__(self) -> None:
        self._cluster: Any = None
        self._client: Any = None

    async def open(self, *, folder: str, role: str, address: str | None = None) -> dict[str, Any]:
        files = {"cert": f"{Path(folder) / role}.pem", "key": f"{Path(folder) / role}.key"}
        security = distributed.Security(
            require_encryption=True,
            tls_ca_file=str(Path(folder) / "root.pem"),
            **{
                f"tls_{part}_{what}": file
                for part in ("client", "scheduler", "worker")
                for what, file in files.items()
            },
        )
        if address is None:
            self._cluster = await distributed.LocalCluster(
                n_workers=1,
                threads_per_worker=1,
                processes=True,
                asynchronous=True,
                security=security,
                host="127.0.0.1",
                protocol="tls://",
                dashboard_address=None,
                local_directory=folder,
            )
            return {"address": self._cluster.scheduler_address}
        self._client = await distributed.Client(address, asynchronous=True, security=security)
        return {}

    async def call(self, payload: bytes) -> bytes:
        # Not pure: equal calls would be answered from the cluster's memory.
        result: bytes = await self._client.submit(_echo, payload, pure=False)
        return result

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()
        if self._cluster is not None:
            await self._cluster.close()


def _echo(payload: bytes) -> bytes:
    return payload
