"""Settings of links: one TLS connection between two nodes."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from mreza.config.base import Bytes, Config, Count, Seconds


class LinkConfig(Config):
    """Probes, patience and bounds of each link."""

    probe_interval_s: Seconds = 0.1
    """Seconds between probes of a link that carries routes.
    Default: three missed ones are 300 ms; BFD's default is 900 ms (RFC 5880 with FRR's numbers)."""
    idle_probe_interval_s: Seconds = 1.0
    """Seconds between probes of a link that carries no route, or is unusable; never less than
    `probe_interval_s`. Default: soon enough to know that a spare link is one."""
    missed_probes: Count = 3
    """An end that hears nothing for so many of its peer's probes, and as long as probes were late
    lately, holds the link unusable. Default: BFD's detect multiplier in FRR."""
    silent_after_s: Seconds = 30.0
    """The connection of an unusable link is kept for so many seconds: a peer that was frozen is
    back at once. Default: longer than most pauses of a process or of a virtual machine."""
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

    @property
    def unusable_after_s(self) -> float:
        """How long a link that carries routes may be silent where nothing is ever late."""
        return self.missed_probes * self.probe_interval_s

    @model_validator(mode="after")
    def _probes_before_silence(self) -> Self:
        if self.silent_after_s < self.unusable_after_s:
            raise ValueError("silent_after_s must be at least missed_probes times probe_interval_s")
        return self
