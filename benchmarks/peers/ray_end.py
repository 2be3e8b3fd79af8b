"""Ray: remote calls of an actor's method, the fastest kind it has. It does not encrypt."""

from __future__ import annotations

from typing import Any

import ray

from benchmarks.peers.calling import CallingEnd

LOOPBACK = "127.0.0.2"
"Ray takes 127.0.0.1 for a mistake and listens on all networks instead; not so another loopback."


class RayEnd(CallingEnd):
    """The head of a cluster of one CPU, or a driver with the actor."""

    def __init__(self) -> None:
        self._actor: Any = None

    async def open(self, *, folder: str, role: str, address: str | None = None) -> dict[str, Any]:
        del role
        if address is None:
            ray.init(
                num_cpus=1,
                include_dashboard=False,
                log_to_driver=False,
                object_store_memory=100 * 2**20,
                _node_ip_address=LOOPBACK,
                _temp_dir=folder,
            )
            return {"address": ray.get_runtime_context().gcs_address}
        ray.init(address=address, log_to_driver=False, _node_ip_address=LOOPBACK)
        self._actor = ray.remote(_Echo).remote()
        await self.call(b"")
        return {}

    async def call(self, payload: bytes) -> bytes:
        result: bytes = await self._actor.echo.remote(payload)
        return result

    async def close(self) -> None:
        ray.shutdown()


class _Echo:
    def echo(self, payload: bytes) -> bytes:
        return payload
