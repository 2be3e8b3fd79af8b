"""What a node tells about itself has the JSON that DESIGN promises to scripts."""

from __future__ import annotations

from mreza.events import MemberState
from mreza.ids import NodeId
from mreza.node.views import LinkInfo, MemberInfo, RouteInfo, TraceHop

NODE = NodeId(b"n" * 16)
HOP = NodeId(b"h" * 16)


def test_a_member_as_json() -> None:
    info = MemberInfo(
        NODE, "edge", MemberState.SUSPECT, "silent", 1.23456, ("work",), ("a:1",), "0.1", me=False
    )
    assert info.to_json() == {
        "id": str(NODE),
        "name": "edge",
        "state": "suspect",
        "cause": "silent",
        "since_s": 1.235,
        "offers": ["work"],
        "addresses": ["a:1"],
        "version": "0.1",
        "me": False,
    }


def test_a_link_as_json() -> None:
    info = LinkInfo(NODE, "edge", "up", 0.12345, 96, dialed=True, address="a:1", tls="TLSv1.3")
    assert info.to_json() == {
        "peer": str(NODE),
        "name": "edge",
        "state": "up",
        "rtt_ms": 0.123,
        "cost": 96,
        "dialed": True,
        "address": "a:1",
        "tls": "TLSv1.3",
    }
    unmeasured = LinkInfo(
        NODE, "edge", "up", None, None, dialed=False, address="a:1", tls="TLSv1.3"
    )
    assert unmeasured.to_json()["rtt_ms"] is None


def test_a_route_as_json() -> None:
    assert RouteInfo(NODE, "edge", HOP, "hub", 192, 2).to_json() == {
        "destination": str(NODE),
        "name": "edge",
        "next_hop": str(HOP),
        "next_hop_name": "hub",
        "cost": 192,
        "hops": 2,
    }


def test_a_trace_hop_as_json() -> None:
    assert TraceHop(NODE, "edge", 0.0015).to_json()["rtt_ms"] == 1.5
    assert TraceHop(NODE, "edge", None).to_json()["rtt_ms"] is None
