"""How records are read and checked. A node has one reader; many nodes of one world may share one.

A node reads each record once, so there is nothing to remember here. A simulator reads the same
record in a thousand nodes.
"""

from __future__ import annotations

from mreza.planes.intake import decode_body
from mreza.security.identity import verify
from mreza.wire.codec import Wire
from mreza.wire.records import RECORDS, AgedRecord, Record


class RecordReader:
    """Reads what came, and remembers nothing."""

    def frame(self, body: bytes) -> tuple[AgedRecord, ...]:
        """The records of a RECORDS frame; DecodeError if it is malformed."""
        return RECORDS.decode(body).records

    def body(self, record: Record) -> Wire | None:
        """What a record says, None for a kind that is not known; DecodeError if malformed."""
        return decode_body(record)

    def verify(self, public_key: bytes, signature: bytes, data: bytes) -> bool:
        """Whether the holder of this raw key signed these bytes."""
        return verify(public_key, signature, data)
