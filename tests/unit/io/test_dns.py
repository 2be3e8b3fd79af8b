from __future__ import annotations

import dns.asyncresolver
import dns.resolver
import pytest

from mreza.address import Address
from mreza.io import dns as module
from mreza.io.dns import DnsLookup, Found
from tests.support.dns_server import DnsServer

SERVICE = "_mreza._tcp"
SRV = (f"{SERVICE}.mesh.example", "SRV")


async def lookup(server: DnsServer, name: str = "mesh.example") -> Found:
    return await DnsLookup(server=server.address).lookup(name, service=SERVICE, port=7467)


async def test_srv_records_lead_to_hosts_and_ports_those_that_come_first_first() -> None:
    records = {
        SRV: ["20 0 7000 b.example.", "10 5 7001 a.example.", "10 9 7002 c.example."],
        ("a.example", "A"): ["192.0.2.1"],
        ("b.example", "A"): ["192.0.2.2"],
        ("c.example", "AAAA"): ["2001:db8::3"],
    }
    async with DnsServer(records, ttl_s=17) as server:
        found = await lookup(server)
    assert found == Found(
        (Address("2001:db8::3", 7002), Address("192.0.2.1", 7001), Address("192.0.2.2", 7000)), 17.0
    )


async def test_a_name_without_srv_records_leads_to_its_own_addresses_of_both_families() -> None:
    records = {
        ("mesh.example", "A"): ["192.0.2.1", "192.0.2.2"],
        ("mesh.example", "AAAA"): ["2001:db8::1"],
    }
    async with DnsServer(records) as server:
        found = await lookup(server)
    # A server turns the order of its answers round, so that not all clients take the same first.
    assert {str(address) for address in found.addresses} == {
        "192.0.2.1:7467",
        "192.0.2.2:7467",
        "[2001:db8::1]:7467",
    }


async def test_an_srv_target_that_does_not_exist_takes_nothing_from_the_others() -> None:
    records = {
        SRV: ["1 1 7000 gone.example.", "2 1 7001 a.example."],
        ("a.example", "A"): ["192.0.2.1"],
    }
    async with DnsServer(records) as server:
        assert (await lookup(server)).addresses == (Address("192.0.2.1", 7001),)


async def test_a_name_that_does_not_exist_is_an_error_that_names_it() -> None:
    async with DnsServer({}) as server:
        with pytest.raises(OSError, match=r"mesh\.example"):
            await lookup(server)


async def test_srv_records_that_lead_nowhere_are_an_error() -> None:
    async with DnsServer({SRV: ["1 1 7000 gone.example."]}) as server:
        with pytest.raises(OSError, match="no address"):
            await lookup(server)


async def test_a_server_that_does_not_answer_is_an_error_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "LIFETIME_S", 0.2)
    async with DnsServer({}) as server:
        server.silent = True
        with pytest.raises(OSError, match="failed"):
            await lookup(server)


def test_a_machine_without_a_resolver_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise dns.resolver.NoResolverConfiguration

    monkeypatch.setattr(dns.asyncresolver, "Resolver", refuse)
    with pytest.raises(OSError, match="no DNS resolver"):
        DnsLookup()
