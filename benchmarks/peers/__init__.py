"""Other libraries that call a function elsewhere; each is measured if it is installed."""

from __future__ import annotations

import importlib.util
import sys
from typing import Any

PEERS = {"grpc": "grpc", "dask": "distributed", "ray": "ray"}
"System → the module that must be there. `make bench-peers` installs them."

PACKAGES = {"grpc": "grpcio", "dask": "distributed", "ray": "ray"}


def is_installed(system: str) -> bool:
    if system == "ray" and sys.platform != "linux":
        # Elsewhere there is one loopback address, and Ray then listens on all networks.
        return False
    return importlib.util.find_spec(PEERS[system]) is not None


def make_peer(system: str) -> Any:
    """One end; imported here, so that a process needs one of the libraries only."""
    if system == "grpc":
        from benchmarks.peers.grpc_end import GrpcEnd  # noqa: PLC0415

        return GrpcEnd()
    if system == "dask":
        from benchmarks.peers.dask_end import DaskEnd  # noqa: PLC0415

        return DaskEnd()
    from benchmarks.peers.ray_end import RayEnd  # noqa: PLC0415

    return RayEnd()
