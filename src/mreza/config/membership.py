"""Settings of membership: when a silent node counts as failed."""

from __future__ import annotations

from mreza.config.base import Config, Seconds


class MembershipConfig(Config):
    """How long an unreachable node is only suspected."""

    suspicion_timeout_s: Seconds = 8.0
    "Seconds from unreachable to FAILED. Default: DESIGN §7; longer than a link's own patience of 5 s."
    gone_timeout_s: Seconds = 1.0
    "The same where a neighbor saw its process gone. Default: DESIGN §7: time for one more redial."
