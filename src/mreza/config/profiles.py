"""Presets for three kinds of network. A preset is weaker than anything the user says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

Profile = Literal["lan", "fast", "wan"]

PROFILES: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    # The defaults of each section are made for a local network.
    "lan": {},
    # One rack: a loop that is late for 150 ms is the exception, so silence means more.
    "fast": {
        "link": {"probe_interval_s": 0.05, "silent_after_s": 15.0},
        "membership": {"suspicion_timeout_s": 3.0, "gone_timeout_s": 0.5},
        "messaging": {"ack_delay_s": 0.002, "retransmit_first_s": 0.3, "retransmit_max_s": 5.0},
        "discovery": {"redial_first_s": 0.2, "redial_max_s": 10.0},
    },
    # Over the internet: round trips of 300 ms and outages of seconds are normal.
    "wan": {
        "link": {
            "probe_interval_s": 0.5,
            "idle_probe_interval_s": 2.0,
            "silent_after_s": 60.0,
            "handshake_timeout_s": 15.0,
            "dial_timeout_s": 10.0,
        },
        "membership": {"suspicion_timeout_s": 20.0, "gone_timeout_s": 2.0},
        "messaging": {"ack_delay_s": 0.025, "retransmit_first_s": 2.0, "retransmit_max_s": 20.0},
        "discovery": {"redial_first_s": 1.0, "redial_max_s": 60.0},
    },
}
