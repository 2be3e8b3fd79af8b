"""Settings of routing: when routes are computed again (RFC 8405)."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from mreza.config.base import Config, Seconds


class RoutingConfig(Config):
    """Delays of the shortest-path computation; all defaults are those of RFC 8405, section 6."""

    spf_initial_s: Seconds = 0.05
    "INITIAL_SPF_DELAY, seconds: the wait of the first event after one that was computed at once."
    spf_short_s: Seconds = 0.2
    "SHORT_SPF_DELAY, seconds: the wait of later events while the network is learning."
    spf_long_s: Seconds = 5.0
    "LONG_SPF_DELAY, seconds: the wait while changes do not end."
    spf_learn_s: Seconds = 0.5
    "TIME_TO_LEARN_INTERVAL, seconds: how long one failure may take to be heard of in full."
    spf_hold_down_s: Seconds = 10.0
    "HOLDDOWN_INTERVAL, seconds: the silence after which the network counts as quiet."

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if not self.spf_initial_s <= self.spf_short_s <= self.spf_long_s:
            raise ValueError("spf_initial_s, spf_short_s and spf_long_s must rise")
        return self
