from __future__ import annotations

from collections.abc import Iterable
from random import Random

import pytest

from mreza.address import Address
from mreza.node import dns_source as module
from mreza.node.dns_source import DnsSource
from tests.support.dns_server import DnsServer
from tests.support.eventually import eventually_async


async def until_found(found: list[Address], address: Address) -> None:
    await eventually_async(lambda: address in found, str(address))


def source(server: DnsServer, found: list[Address], *names: str) -> DnsSource:
    def add(addresses: Iterable[Address]) -> None:
        found.extend(addresses)

    return DnsSource(names, server=server.address, found=add, rng=Random(1))  # noqa: S311


async def test_a_name_is_looked_up_again_when_its_answer_expires(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "AGAIN_MIN_S", 0.01)
    found: list[Address] = []
    async with DnsServer({("mesh.example", "A"): ["192.0.2.1"]}, ttl_s=0) as server:
        following = source(server, found, "mesh.example:99")
        following.open()
        await until_found(found, Address("192.0.2.1", 99))
        server.records["mesh.example", "A"] = ["192.0.2.2"]
        await until_found(found, Address("192.0.2.2", 99))
        await following.close()


async def test_a_name_that_cannot_be_looked_up_is_tried_again_and_holds_up_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "FAILED_FIRST_S", 0.01)
    found: list[Address] = []
    async with DnsServer({("there.example", "A"): ["192.0.2.1"]}) as server:
        following = source(server, found, "later.example", "there.example")
        following.open()
        await until_found(found, Address("192.0.2.1", 7467))
        server.records["later.example", "A"] = ["192.0.2.3"]
        await until_found(found, Address("192.0.2.3", 7467))
        await following.close()


async def test_no_names_are_no_tasks() -> None:
    async with DnsServer({}) as server:
        following = source(server, [])
        following.open()
        await following.close()
        assert server.asked == []
