"""What a scenario says: the network, the faults and the traffic of a simulated mesh.

Plain values, read from TOML by `scenario`; `faults`, `link` and `traffic` carry them out. Times are
virtual seconds, sizes bytes, shares numbers from 0 to 1.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Share = Annotated[float, Meta(ge=0, le=1)]
Rate = Annotated[float, Meta(ge=0)]
Seconds = Annotated[float, Meta(ge=0)]
Size = Annotated[int, Meta(ge=0)]
Range = tuple[float, float]
"Smallest and largest of what is drawn evenly."
Latency = Literal["fixed", "uniform", "normal", "lognormal", "exponential", "pareto"]
Topology = Literal["line", "ring", "star", "full", "random", "grid", "two_lans"]


class FaultKind(msgspec.Struct, frozen=True):
    """What one word of a fault plan does."""

    meaning: str
    targets: Literal["node", "link", "side"]
    "One node; a link, named by its two ends; one side of the mesh: several nodes, not all."
    amount: Range | None = None
    "From where the amount is drawn unless the scenario says otherwise. None: it has none."
    unit: str = ""


KINDS: dict[str, FaultKind] = {
    "crash": FaultKind("The node dies at once and starts again at the end.", "node"),
    "bounce": FaultKind("The node dies and starts again within a moment.", "node"),
    "freeze": FaultKind("The node does nothing until the end, then goes on where it was.", "node"),
    "lag": FaultKind("Every turn of the node comes late.", "node", (0.05, 0.6), "seconds"),
    "skew": FaultKind("The node's clocks run too fast or slow.", "node", (0.5, 2.0), "of true"),
    "jump": FaultKind("The node's wall clock jumps.", "node", (-90_000.0, 90_000.0), "seconds"),
    "disk_full": FaultKind("The node can write nothing to its disk.", "node"),
    "restore": FaultKind("The node starts again from an old copy of its disk.", "node"),
    "clone": FaultKind("A second process starts from a copy of the node's disk.", "node"),
    "leave": FaultKind("The node says farewell and goes; it starts again at the end.", "node"),
    "cut": FaultKind("Frames vanish, both ways.", "link"),
    "cut_oneway": FaultKind("Frames vanish from the first end to the second.", "link"),
    "reset": FaultKind("The connection ends at once and may be made again.", "link"),
    "flap": FaultKind("The link goes and comes, again and again.", "link", (0.2, 2.0), "seconds"),
    "clog": FaultKind("Frames wait, none is lost, until the end.", "link"),
    "slow": FaultKind("The link carries few bytes.", "link", (2_000.0, 50_000.0), "bytes/s"),
    "lose": FaultKind("Relays give up envelopes of the link.", "link", (0.05, 0.4), "share"),
    "double": FaultKind("Envelopes of the link arrive twice.", "link", (0.05, 0.5), "share"),
    "delay": FaultKind("Frames of the link take longer.", "link", (0.02, 0.5), "seconds"),
    "partition": FaultKind("Every link between a side and the rest is cut.", "side"),
    "partition_oneway": FaultKind("Frames from a side to the rest vanish.", "side"),
    "swizzle": FaultKind(
        "The links of a side are cut one by one, and repaired in another order.", "side"
    ),
}
"Every kind of fault that a plan may name."


class NetworkPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the links are while nothing is wrong with them."""

    latency: Latency = "lognormal"
    "How the delay of frames is distributed."
    delay_s: tuple[Seconds, Seconds] = (0.001, 0.02)
    "A link's median delay one way, drawn between these two."
    jitter: Rate = 0.1
    "Spread of the delay as a share of the median: standard deviation, or half the width."
    loss: Share = 0.0
    "Share of envelopes that relays give up, each way. What TCP carries else is never lost."
    duplicate: Share = 0.0
    "Share of envelopes that arrive twice."
    reorder: Share = 0.0
    "Share of envelopes that arrive later than those sent after them."
    bandwidth: Size = 0
    "Bytes per second of each link and direction; 0: no limit."
    queue_bytes: Annotated[int, Meta(ge=1)] = 1 << 20
    "What waits for a slow link before envelopes are given up."
    between_s: Seconds = 0.05
    "Delay between the two halves of the topology two_lans."


class FaultPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which faults are drawn from the seed, and how often."""

    every_s: Seconds = 5.0
    "Mean time between two faults; 0: none is drawn."
    for_s: tuple[Seconds, Seconds] = (1.0, 10.0)
    "How long one holds, drawn between these two."
    kinds: dict[str, Rate] = {}
    "Kind of fault → weight: what has weight 2 is drawn twice as often as what has weight 1."
    amounts: dict[str, Range] = {}
    "Kind of fault → from where its amount is drawn, where the default is not wanted."


class TrafficPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the programs on the nodes do, in both phases of a run."""

    messages_per_s: Rate = 8.0
    "Messages that are sent in the whole mesh, each from one node to another."
    burst: Annotated[int, Meta(ge=1)] = 4
    "Messages that go from one node to another about the same time."
    burst_s: Seconds = 0.03
    "Within this time; what is sent in one moment shares an envelope."
    conversations: Size = 3
    "So many pairs of nodes do most of the talking: what they say is under way together."
    talkative: Share = 0.7
    "Share of bursts that are of these; the others are between any two nodes."
    ordered: Share = 0.4
    "Share of messages that must arrive in order."
    at_most_once: Share = 0.1
    "Share of messages that may be lost."
    receipts: Share = 0.2
    "Share of messages whose sender waits until they were handled."
    high: Share = 0.2
    "Share of messages with priority HIGH, and as many with LOW."
    size_bytes: tuple[Size, Size] = (8, 1_000)
    "Size of a payload, drawn between these two."
    large: Share = 0.02
    "Share of bursts that are one message so large that it travels in fragments."
    consume_s: tuple[Seconds, Seconds] = (0.0, 0.3)
    "How long the handlers of a node are busy with a batch: each node's is drawn between these two."
    calls_per_s: Rate = 2.0
    "Calls of a process in the whole mesh."
    workers: Share = 0.5
    "Share of nodes that offer the process."
    handler_s: tuple[Seconds, Seconds] = (0.0, 0.6)
    "How long a call takes: each worker's is drawn between these two."
    idempotent: Share = 0.5
    "Share of calls to a process that may run twice."
    cancel: Share = 0.1
    "Share of calls that their caller gives up while they run."
    call_timeout_s: Annotated[float, Meta(gt=0)] = 10.0
    "Deadline of a call, and of a receipt."
