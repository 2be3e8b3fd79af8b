"""Reads a running node and says what it sees, in the words of `views`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mreza import __version__
from mreza.address import Address
from mreza.events import MemberState
from mreza.ids import NodeId
from mreza.membership.member import Member
from mreza.node.links import Links
from mreza.node.state import NodeState
from mreza.node.views import LinkInfo, MemberInfo, PartitionInfo, RouteInfo
from mreza.planes.core import NodeCore
from mreza.processes.handlers import names_of


class Observer:
    """Members, links, routes, counters and status of one node. Changes nothing."""

    def __init__(self, core: NodeCore, links: Links, state: NodeState) -> None:
        self._core = core
        self._links = links
        self._state = state

    def label(self, node: NodeId) -> str:
        """A node's name, or the beginning of its id."""
        return self._core.control.label_of(node)

    def members(self, *, now: float) -> list[MemberInfo]:
        """Every node known, by name."""
        infos = [self._info(member, now) for member in self._core.control.members.values()]
        return sorted(infos, key=lambda info: (info.name, info.id))

    def member(self, node: NodeId, *, now: float) -> MemberInfo | None:
        """One node, if it is known."""
        member = self._core.control.members.get(node)
        return None if member is None else self._info(member, now)

    def _info(self, member: Member, now: float) -> MemberInfo:
        return MemberInfo(
            id=member.id,
            name=member.name,
            state=member.state,
            cause=member.cause,
            since_s=max(0.0, now - member.since),
            offers=tuple(name for name in names_of(member.offers) if not name.startswith("mreza/")),
            addresses=member.addresses,
            version=member.version,
            me=member.id == self._core.me,
        )

    def links(self) -> list[LinkInfo]:
        """Every link that is up, by the peer's name."""
        costs = self._core.control.link_costs()
        infos = [
            LinkInfo(
                peer=peer,
                name=self.label(peer),
                state="up",
                rtt_ms=None if view.rtt_s is None else view.rtt_s * 1000,
                cost=costs.get(peer),
                dialed=view.dialed,
                address=str(view.address),
                tls=view.tls,
            )
            for peer, view in self._links.peers.items()
        ]
        return sorted(infos, key=lambda info: (info.name, info.peer))

    def routes(self) -> list[RouteInfo]:
        """The way to every node that can be reached, by its name."""
        infos = [
            RouteInfo(
                destination=destination,
                name=self.label(destination),
                next_hop=route.next_hop,
                next_hop_name=self.label(route.next_hop),
                cost=route.cost,
                hops=route.hops,
            )
            for destination, route in self._core.control.routes.items()
        ]
        return sorted(infos, key=lambda info: (info.name, info.destination))

    def partitions(self, *, now: float) -> list[PartitionInfo]:
        """The partitions that last, oldest first."""
        return [
            PartitionInfo(
                ours=parted.ours,
                our_names=tuple(map(self.label, parted.ours)),
                theirs=parted.theirs,
                their_names=tuple(map(self.label, parted.theirs)),
                since_s=now - parted.since,
            )
            for parted in self._core.control.partitions
        ]

    def snapshot(self) -> dict[str, Any]:
        """Counters since start; `dropped` by reason."""
        stats = self._core.data.stats
        return {
            "sent_envelopes": stats.sent,
            "sent_bytes": stats.sent_bytes,
            "retransmitted_envelopes": stats.retransmitted,
            "received_envelopes": stats.received,
            "received_bytes": stats.received_bytes,
            "opened_envelopes": stats.opened,
            "forwarded_envelopes": stats.forwarded,
            "forwarded_bytes": stats.forwarded_bytes,
            "dropped": dict(self._core.drops),
            "offences": dict(self._core.offences),
            "accepts_refused": dict(self._links.accepts_refused),
            "outbox_bytes": self._core.data.waiting(),
            **self._core.service.stats,
            "balancer": dict(self._core.service.balancer.stats),
            "records": len(self._core.control.database),
            "links": {
                str(peer): {
                    "bytes_in": view.bytes_in,
                    "bytes_out": view.bytes_out,
                    "queued_bytes": view.queued_bytes,
                }
                for peer, view in self._links.peers.items()
            },
        }

    def status(self, *, now: float, listen: Sequence[Address]) -> dict[str, Any]:
        """The JSON of `mreza status`; what is not built yet is null."""
        states = [info.state for info in self.members(now=now)]
        certificate = self._state.certificate
        me = self._core.control.members[self._core.me]
        return {
            "node": str(self._core.me),
            "name": self._state.name,
            "mesh": str(self._state.credentials.mesh),
            "mesh_name": self._state.credentials.mesh_name,
            "version": __version__,
            "listen": [str(address) for address in listen],
            "addresses": list(me.addresses),
            "state": str(self._state.directory),
            "drained": self._core.service.retired,
            "members": {str(state): states.count(state) for state in MemberState},
            "links": len(self._links.peers),
            "partitions": [info.to_json() for info in self.partitions(now=now)],
            "health": None,
            "certificate": {
                "role": certificate.role,
                "not_before": certificate.not_before,
                "not_after": certificate.not_after,
                "authority": certificate.authority_id.hex(),
            },
            "http": None,
            "epoch": f"{self._core.epoch:016x}",
            "authority": bool(self._state.credentials.authorities),
            "snapshot": self.snapshot(),
        }
