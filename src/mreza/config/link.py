"""Settings of links: one TLS connection between two nodes."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from mreza.config.base import Bytes, Config, Count, Seconds


class LinkConfig(Config):
    """Keepalive, patience and bounds of each link."""

    probe_interval_s: Seconds = 0.5
    "Seconds between probes. Default: ten probes within the time a silent link is given."
    silent_after_s: Seconds = 5.0
    """A link that carried nothing for so long is closed, seconds.
    Default: long enough for a busy loop."""
    handshake_timeout_s: Seconds = 5.0
    """Seconds for TLS and hello together.
    Default: three round trips of a satellite, and the CPU time."""
    dial_timeout_s: Seconds = 5.0
    """Seconds for a TCP connection.
    Default: two retransmissions of a SYN (RFC 6298: 1 s, 2 s) fit in."""
    queue_bytes: Bytes = 8 * 1024 * 1024
    """Bound of a send queue; the oldest of a lower priority is dropped.
    Default: 64 ms of a 1 Gbit/s link."""
    accepts_per_address_per_s: Count = 20
    """TCP connections taken from one address a second, before TLS.
    Default: 5 ms of CPU each: 10 % of a core."""

    @model_validator(mode="after")
    def _probes_before_silence(self) -> Self:
        if self.silent_after_s < 2 * self.probe_interval_s:
            raise ValueError("silent_after_s must be at least two probe_interval_s")
        return self
