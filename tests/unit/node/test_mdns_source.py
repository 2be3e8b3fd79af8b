"""Two sources on loopback, with real multicast."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from mreza.address import Address
from mreza.ids import MeshId, NodeId
from mreza.io import mdns
from mreza.node import mdns_source as module
from mreza.node.mdns_source import MdnsSource
from mreza.wire.link import PROTOCOL_VERSION, Hello
from tests.support.eventually import eventually_async

MESH = MeshId(b"mdns-source-test")
A, B = NodeId(b"a" * 16), NodeId(b"b" * 16)
Heard = list[tuple[NodeId, tuple[Address, ...]]]


@pytest.fixture(autouse=True)
def without_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BEGIN_AFTER_S", 0.0)


def hello(*addresses: str) -> Hello:
    return Hello(PROTOCOL_VERSION, (), 1 << 32, 1.0, "a", addresses, MESH)


def source(me: NodeId, heard: Heard) -> MdnsSource:
    def found(node: NodeId, addresses: Iterable[Address]) -> None:
        heard.append((node, tuple(addresses)))

    return MdnsSource(mesh=MESH, me=me, found=found, interfaces=("127.0.0.1",))


async def until_heard(heard: Heard, node: NodeId, address: Address) -> None:
    await eventually_async(
        lambda: any(who == node and address in where for who, where in heard), str(address)
    )


async def test_nodes_of_one_mesh_hear_of_each_other_and_of_changes_and_not_of_themselves() -> None:
    heard_by_a: Heard = []
    heard_by_b: Heard = []
    a, b = source(A, heard_by_a), source(B, heard_by_b)
    a.open()
    b.open()
    a.say(hello("192.0.2.1:7001"), port=7001)
    b.say(hello("192.0.2.2:7002"), port=7002)
    await until_heard(heard_by_a, B, Address("192.0.2.2", 7002))
    await until_heard(heard_by_b, A, Address("192.0.2.1", 7001))
    a.say(hello("192.0.2.3:7003"), port=7003)
    await until_heard(heard_by_b, A, Address("192.0.2.3", 7003))
    assert all(node == B for node, _ in heard_by_a)
    assert a.is_open
    await a.close()
    await b.close()
    assert not a.is_open


async def test_a_machine_without_multicast_is_tried_again_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[int] = []

    class Refusing:
        def __init__(self, *_: object, **__: object) -> None:
            made.append(1)
            raise OSError("no multicast here")

    monkeypatch.setattr(mdns, "ServiceDirectory", Refusing)
    monkeypatch.setattr(module, "TRY_AGAIN_S", 0.01)
    refused = source(A, [])
    refused.open()
    await eventually_async(lambda: len(made) >= 3)
    await refused.close()


async def test_an_announcement_that_failed_is_made_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried: list[str] = []

    class Busy:
        def __init__(self, *_: object, **__: object) -> None:
            pass

        async def announce(self, instance: str, **_: object) -> None:
            tried.append(instance)
            if len(tried) < 3:
                raise OSError("the name is taken")

        async def close(self) -> None:
            pass

    monkeypatch.setattr(mdns, "ServiceDirectory", Busy)
    monkeypatch.setattr(module, "INTERFACES_EVERY_S", 0.01)
    late = source(A, [])
    late.say(hello("192.0.2.1:7001"), port=7001)
    late.open()
    await eventually_async(lambda: len(tried) == 3)
    await late.close()
    assert len(set(tried)) == 1


async def test_other_addresses_of_the_machine_are_other_sockets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hosts = [("192.0.2.1",)]
    made: list[int] = []

    class Quiet:
        def __init__(self, *_: object, **__: object) -> None:
            made.append(1)

        async def close(self) -> None:
            made.append(-1)

    monkeypatch.setattr(mdns, "ServiceDirectory", Quiet)
    monkeypatch.setattr(module, "own_hosts", lambda: hosts[0])
    monkeypatch.setattr(module, "INTERFACES_EVERY_S", 0.01)
    moving = source(A, [])
    moving.open()
    await eventually_async(lambda: made == [1])
    hosts[0] = ("192.0.2.2",)
    await eventually_async(lambda: made == [1, -1, 1])
    await moving.close()
    assert made == [1, -1, 1, -1]
