"""Two directories on loopback, with real multicast."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import pytest
from zeroconf import IPVersion

from mreza.io.mdns import ServiceDirectory, ServiceFound, _versions
from tests.support.eventually import eventually_async

TYPE = "_mrezatest._tcp.local."


@contextlib.asynccontextmanager
async def directory(heard: list[ServiceFound]) -> AsyncIterator[ServiceDirectory]:
    try:
        made = ServiceDirectory(TYPE, found=heard.append, interfaces=("127.0.0.1",))
    except OSError as error:
        pytest.skip(f"no multicast on loopback: {error}")
    try:
        yield made
    finally:
        await made.close()


async def until_heard(heard: list[ServiceFound], port: int) -> ServiceFound:
    def found() -> ServiceFound | None:
        return next((service for service in heard if service.port == port), None)

    service = await eventually_async(found, f"an announcement of port {port}")
    assert service is not None
    return service


async def test_what_one_announces_the_other_finds_and_follows() -> None:
    heard: list[ServiceFound] = []
    async with directory([]) as speaker, directory(heard):
        said = {"properties": {"v": "1"}, "hosts": ("192.0.2.7", "2001:db8::7")}
        await speaker.announce(f"one.{TYPE}", port=4001, **said)  # type: ignore[arg-type]
        found = await until_heard(heard, 4001)
        assert found.instance == f"one.{TYPE}"
        assert found.properties == {b"v": b"1"}
        assert set(found.hosts) == {"192.0.2.7", "2001:db8::7"}
        await speaker.announce(f"one.{TYPE}", port=4002, **said)  # type: ignore[arg-type]
        await until_heard(heard, 4002)


async def test_one_who_comes_later_hears_of_those_who_are_there() -> None:
    heard: list[ServiceFound] = []
    async with directory([]) as speaker:
        await speaker.announce(f"two.{TYPE}", properties={}, port=4003, hosts=("192.0.2.7",))
        async with directory(heard):
            await until_heard(heard, 4003)


async def test_a_name_that_is_taken_is_an_error() -> None:
    async with directory([]) as one, directory([]) as other:
        await one.announce(f"three.{TYPE}", properties={}, port=4004, hosts=("192.0.2.7",))
        with pytest.raises(OSError, match="cannot announce three"):
            await other.announce(f"three.{TYPE}", properties={}, port=4005, hosts=("192.0.2.8",))


def test_sockets_are_of_the_families_asked_for() -> None:
    assert _versions(["127.0.0.1"]) is IPVersion.V4Only
    assert _versions(["::1"]) is IPVersion.V6Only
    assert _versions(["::1", "127.0.0.1"]) is IPVersion.All
