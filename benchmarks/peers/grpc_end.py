"""grpcio's asyncio API: a unary call over TLS, both sides authenticated, no protobuf."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc

from benchmarks.peers.calling import CallingEnd

METHOD = "echo"
SERVICE = "Bench"


class GrpcEnd(CallingEnd):
    """Server or client. Bytes go as they are: no serializer costs anything."""

    def __init__(self) -> None:
        self._server: Any = None
        self._channel: Any = None

    async def open(self, *, folder: str, role: str, address: str | None = None) -> dict[str, Any]:
        key, chain, root = (
            (Path(folder) / name).read_bytes()
            for name in (f"{role}.key", f"{role}.pem", "root.pem")
        )
        if address is None:
            self._server = grpc.aio.server()
            handler = grpc.unary_unary_rpc_method_handler(_echo)
            self._server.add_generic_rpc_handlers(
                (grpc.method_handlers_generic_handler(SERVICE, {METHOD: handler}),)
            )
            secrets = grpc.ssl_server_credentials(
                [(key, chain)], root_certificates=root, require_client_auth=True
            )
            port = self._server.add_secure_port("127.0.0.1:0", secrets)
            await self._server.start()
            return {"address": f"127.0.0.1:{port}"}
        secrets = grpc.ssl_channel_credentials(root, key, chain)
        self._channel = grpc.aio.secure_channel(address, secrets)
        self.call = self._channel.unary_unary(f"/{SERVICE}/{METHOD}")  # type: ignore[method-assign]
        return {}

    async def close(self) -> None:
        if self._channel is not None:
            await self._channel.close()
        if self._server is not None:
            await self._server.stop(None)


async def _echo(payload: bytes, _: Any) -> bytes:
    return payload
