"""Settings of records: the signed statements that all nodes share."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from mreza.config.base import Config, Count, Seconds


class RecordsConfig(Config):
    """Lifetimes and exchange of records."""

    refresh_s: Seconds = 300.0
    """Seconds until introduction and links are signed again (± 10 %).
    Default: 0.003 signatures/s for each node; OSPF's LSRefreshTime is 1,800 s."""
    max_age_s: Seconds = 900.0
    "Age at which they are dropped, seconds. Default: two refreshes may be missed."
    digest_interval_s: Seconds = 30.0
    """Seconds between digests to a peer.
    Default: floods are reliable; this only heals what they missed."""
    verify_per_turn: Count = 30
    "Signatures checked in one turn of the loop. Default: 0.16 ms each make 5 ms (rule R4)."

    @model_validator(mode="after")
    def _refreshed_in_time(self) -> Self:
        if self.max_age_s < 2 * self.refresh_s:
            raise ValueError("max_age_s must be at least two refresh_s")
        return self
