"""Settings of the topology: which links a node keeps."""

from __future__ import annotations

from mreza.config.base import Config


class TopologyConfig(Config):
    """Which links a node makes."""

    only_peers: bool = False
    """Dial the given peers and nobody else: no state directory, no LAN, no learned addresses.
    Default: off; a topology fixed by hand turns it on at every node."""
