"""Settings of messaging: deadlines, windows, bounds."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from mreza.config.base import Bytes, Config, Seconds

KIB = 1024
MIB = 1024 * KIB
PAYLOAD_LIMIT = 64 * MIB
"The wire's own limit; larger things are streams."


class MessagingConfig(Config):
    """How messages wait, travel and are sent again."""

    timeout_s: Seconds = 30.0
    "Deadline of a call without one, seconds. Default: longer than any healing of the mesh takes."
    outbox_bytes: Bytes = 4 * MIB
    """What may wait for one destination; beyond, `send` raises OutboxFull.
    Default: 32 ms of a 1 Gbit/s link."""
    inbox_bytes: Bytes = 4 * MIB
    "What one sender may have waiting in one inbox. Default: as much as an outbox holds."
    window_first_bytes: Bytes = 64 * KIB
    "Unacknowledged bytes allowed to a new pair. Default: one full envelope."
    window_max_bytes: Bytes = 8 * MIB
    "Unacknowledged bytes allowed at most. Default: 1 Gbit/s over 64 ms."
    ack_delay_s: Seconds = 0.005
    """Longest wait for company of an acknowledgement, seconds.
    Default: a fifth of QUIC's (RFC 9000)."""
    retransmit_first_s: Seconds = 1.0
    """Wait before the first retransmission without a measured time, seconds.
    Default: RFC 6298, section 2."""
    retransmit_max_s: Seconds = 10.0
    "Longest wait between retransmissions, seconds. Default: three tries within `timeout_s`."
    reassembly_bytes: Bytes = 256 * MIB
    "Memory for payloads of which parts are missing. Default: four of the largest."
    payload_max: Annotated[int, Field(gt=0, le=PAYLOAD_LIMIT)] = PAYLOAD_LIMIT
    "Largest payload, bytes. Default and maximum: the wire's; above it is a stream."

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if self.window_first_bytes > self.window_max_bytes:
            raise ValueError("window_first_bytes is larger than window_max_bytes")
        if self.retransmit_first_s > self.retransmit_max_s:
            raise ValueError("retransmit_first_s is larger than retransmit_max_s")
        return self
