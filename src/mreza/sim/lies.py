"""Nodes that do not do what they should, and nodes that are told what is not so."""

from __future__ import annotations

from mreza.routing.router import Forward
from mreza.sim.node import SimNode


def claim_link(liar: SimNode, victim: SimNode) -> None:
    """Have a node sign a link that the other end does not have."""
    now = liar.clock.monotonic()
    liar.core.link_up(victim.id, peer_epoch=victim.core.epoch, rtt_s=0.0001, now=now)
    liar.wake()


def force_next_hop(node: SimNode, destination: SimNode, next_hop: SimNode) -> None:
    """Give a node a wrong route until it computes routes again."""
    router = node.core.control.router
    router._forward[destination.id] = Forward(next_hop.id)
