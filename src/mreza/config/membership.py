"""Settings of membership: when a silent node counts as failed."""

from __future__ import annotations

from mreza.config.base import Config, Seconds


class MembershipConfig(Config):
    """How long an unreachable node is only suspected."""

    suspicion_timeout_s: Seconds = 8.0
    "Seconds from unreachable to FAILED. Default: a process stopped for 5 s is back in time."
    gone_timeout_s: Seconds = 1.0
    "Seconds, where a neighbor saw its process gone. Default: time for one more redial."
