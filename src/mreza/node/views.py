"""What a node tells about itself: plain values for programs and for the command line."""

from __future__ import annotations

from typing import Any

import msgspec

from mreza.events import MemberState
from mreza.ids import NodeId


class MemberInfo(msgspec.Struct, frozen=True):
    """A node as the mesh sees it."""

    id: NodeId
    name: str
    state: MemberState
    cause: str
    since_s: float
    "Seconds in this state."
    offers: tuple[str, ...]
    addresses: tuple[str, ...]
    version: str
    me: bool = False

    def to_json(self) -> dict[str, Any]:
        return {
            "id": str(self.id),
            "name": self.name,
            "state": str(self.state),
            "cause": self.cause,
            "since_s": round(self.since_s, 3),
            "offers": list(self.offers),
            "addresses": list(self.addresses),
            "version": self.version,
            "me": self.me,
        }


class LinkInfo(msgspec.Struct, frozen=True):
    """A link to a neighbor."""

    peer: NodeId
    name: str
    state: str
    rtt_ms: float | None
    "None: not measured yet."
    cost: int | None
    dialed: bool
    "True: this node dialed."
    address: str
    tls: str
    "Protocol version in use."

    def to_json(self) -> dict[str, Any]:
        return {
            "peer": str(self.peer),
            "name": self.name,
            "state": self.state,
            "rtt_ms": None if self.rtt_ms is None else round(self.rtt_ms, 3),
            "cost": self.cost,
            "dialed": self.dialed,
            "address": self.address,
            "tls": self.tls,
        }


class RouteInfo(msgspec.Struct, frozen=True):
    """The way to a node."""

    destination: NodeId
    name: str
    next_hop: NodeId
    next_hop_name: str
    cost: int
    hops: int
    "Links on the way; 1: a neighbor."

    def to_json(self) -> dict[str, Any]:
        return {
            "destination": str(self.destination),
            "name": self.name,
            "next_hop": str(self.next_hop),
            "next_hop_name": self.next_hop_name,
            "cost": self.cost,
            "hops": self.hops,
        }


class PartitionInfo(msgspec.Struct, frozen=True):
    """A partition that lasts: this node's side, and the one that cannot be reached."""

    ours: tuple[NodeId, ...]
    our_names: tuple[str, ...]
    theirs: tuple[NodeId, ...]
    "Members of the other side, as far as they were known."
    their_names: tuple[str, ...]
    since_s: float
    "Since the first of them was lost."

    def to_json(self) -> dict[str, Any]:
        return {
            "ours": [str(node) for node in self.ours],
            "our_names": list(self.our_names),
            "theirs": [str(node) for node in self.theirs],
            "their_names": list(self.their_names),
            "since_s": round(self.since_s, 3),
        }


class TraceHop(msgspec.Struct, frozen=True):
    """One node on a path, as it answered itself."""

    node: NodeId
    name: str
    rtt_s: float | None
    "From here to that node and back; None: no answer in time."

    def to_json(self) -> dict[str, Any]:
        rtt_ms = None if self.rtt_s is None else round(self.rtt_s * 1000, 3)
        return {"node": str(self.node), "name": self.name, "rtt_ms": rtt_ms}


class CallResult(msgspec.Struct, frozen=True):
    """A call's result and how it came about."""

    result: Any
    node: NodeId
    latency_s: float
    attempts: int
    call_id: int = 0
    "`mesh.load_balancer.why(call_id)` says how it came to this node."
