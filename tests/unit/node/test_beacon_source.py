from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from mreza.address import Address
from mreza.config.discovery import DiscoveryConfig
from mreza.ids import NodeId
from mreza.node import beacon_source as module
from mreza.node.beacon_source import INTERFACES_EVERY_S, BeaconSource
from mreza.wire.link import PROTOCOL_VERSION, Hello
from tests.integration.link_ends import MeshOfLinks
from tests.support.hand_clock import HandClock

MESH = MeshOfLinks()


class Socket:
    """What is said reaches the other sockets of the group at once."""

    groups: dict[str, list[Socket]]

    def __init__(self, group: str, port: int, *, received: Callable[[bytes, str], None]) -> None:
        if ":" in group:
            raise OSError("no IPv6 here")
        self.received = received
        self.joins = 0
        self.interfaces = ("eth0",)
        self.closed = False
        self.group = Socket.groups.setdefault(group, [])
        self.group.append(self)

    def join_interfaces(self) -> None:
        self.joins += 1

    def send(self, data: bytes) -> int:
        for other in self.group:
            other.received(data, "192.0.2.77")
        return 1

    def close(self) -> None:
        self.closed = True


class Node:
    def __init__(self) -> None:
        self.clock = HandClock()
        credentials = MESH.credentials()
        self.id = credentials.node_id
        self.heard: list[tuple[NodeId, tuple[Address, ...]]] = []
        self.hello = Hello(
            PROTOCOL_VERSION, (), 1 << 32, 1.0, "a", ("192.0.2.9:5",), credentials.mesh
        )
        self.source = BeaconSource(
            DiscoveryConfig(), credentials=credentials, clock=self.clock, found=self.found
        )

    def found(self, node: NodeId, addresses: Iterable[Address]) -> None:
        self.heard.append((node, tuple(addresses)))

    def advance(self, *, port: int | None = 5) -> None:
        self.source.advance(self.hello, port=port, now=self.clock.now)


@pytest.fixture(autouse=True)
def sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    Socket.groups = {}
    monkeypatch.setattr(module, "MulticastSocket", Socket)


def test_a_node_that_speaks_is_heard_with_the_address_it_spoke_from_first() -> None:
    one, other = Node(), Node()
    one.source.open()
    other.source.open()
    one.advance()
    assert other.heard == [(one.id, (Address("192.0.2.77", 5), Address("192.0.2.9", 5)))]
    assert one.heard == []
    assert sum(one.source.ignored.values()) == 1


def test_a_node_that_cannot_be_dialed_listens_and_says_nothing() -> None:
    quiet, other = Node(), Node()
    quiet.source.open()
    other.source.open()
    quiet.advance(port=None)
    assert other.heard == []
    other.advance()
    assert [node for node, _ in quiet.heard] == [other.id]
    deadline = quiet.source.next_deadline(port=None)
    assert deadline == quiet.clock.now + INTERFACES_EVERY_S


def test_interfaces_are_looked_for_now_and_then_and_a_family_that_is_missing_is_done_without() -> (
    None
):
    node = Node()
    assert node.source.next_deadline(port=5) is None
    node.source.open()
    (group,) = Socket.groups.values()
    (sock,) = group
    node.advance()
    node.advance()
    assert sock.joins == 1
    node.clock.now += INTERFACES_EVERY_S
    node.advance()
    assert sock.joins == 2
    assert node.source.interfaces == ("eth0",)
    node.source.close()
    assert sock.closed
    assert not node.source.interfaces
