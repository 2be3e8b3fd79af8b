"""How much a message matters and what the mesh promises for it."""

from __future__ import annotations

import enum


class Priority(enum.IntEnum):
    """Order of service in every queue on the way.

    CRITICAL goes before all others; those share what is left by weight, so that none starves.
    """

    LOW = 0
    NORMAL = 1
    HIGH = 2
    CRITICAL = 3


class Delivery(enum.Enum):
    """What is promised for one message."""

    AT_MOST_ONCE = "at_most_once"
    "Sent once; lost with the link that carried it."
    AT_LEAST_ONCE = "at_least_once"
    "Sent again until acknowledged; duplicates are suppressed while both nodes live."
    ORDERED = "ordered"
    "As AT_LEAST_ONCE, and handed over in the order of sending within one (destination, priority)."


class MessageType(enum.Enum):
    """Who receives a message."""

    PROCESS = "process"
    "A node that offers the named process, picked by the balancer; the receipt carries its result."
    DATA = "data"
    "The `on_message` handler of the destination."
