from __future__ import annotations

import pytest

from mreza.address import Address
from mreza.discovery.dns_sd import (
    ADDRESSES_MAX,
    Announcement,
    announced_hosts,
    read_announcement,
)
from mreza.ids import MeshId, NodeId

MESH, OTHER_MESH = MeshId(b"m" * 16), MeshId(b"o" * 16)
NODE = NodeId(b"n" * 16)
SAID = Announcement(MESH, NODE, 7467, ("192.0.2.1", "2001:db8::1"))
TXT: dict[bytes, bytes | None] = {k.encode(): v.encode() for k, v in SAID.properties.items()}


def read(
    *,
    instance: str = SAID.instance,
    txt: dict[bytes, bytes | None] = TXT,
    port: int | None = 7467,
    hosts: tuple[str, ...] = SAID.hosts,
) -> Announcement | None:
    return read_announcement(instance, txt, port=port, hosts=hosts, mesh=MESH)


def test_what_a_node_announces_others_read() -> None:
    assert read() == SAID
    assert read(instance=SAID.instance.upper()) == SAID
    assert SAID.addresses == (Address("192.0.2.1", 7467), Address("2001:db8::1", 7467))


def test_an_instance_name_and_its_text_fit_the_limits_of_dns() -> None:
    label, _, rest = SAID.instance.partition(".")
    assert len(label) <= 63
    assert rest == "_mreza._tcp.local."
    assert all(len(f"{key}={value}") <= 255 for key, value in SAID.properties.items())


@pytest.mark.parametrize(
    "changed",
    [
        {"instance": "printer._mreza._tcp.local."},
        {"instance": ""},
        {"txt": {}},
        {"txt": {**TXT, b"v": b"2"}},
        {"txt": {**TXT, b"v": None}},
        {"txt": {**TXT, b"mesh": str(OTHER_MESH).encode()}},
        {"txt": {**TXT, b"mesh": b"\xff"}},
        {"port": None},
        {"port": 0},
        {"port": 65536},
        {"hosts": ()},
        {"hosts": ("evil.example",)},
    ],
)
def test_what_is_not_an_announcement_of_this_mesh_is_nothing(changed: dict[str, object]) -> None:
    assert read(**changed) is None  # type: ignore[arg-type]


def test_only_so_many_addresses_are_read_and_names_are_not() -> None:
    hosts = tuple(f"192.0.2.{number}" for number in range(40))
    found = read(hosts=("name.example", *hosts, "fe80::1%eth0"))
    assert found is not None
    assert found.hosts == hosts[:ADDRESSES_MAX]
    scoped = read(hosts=("fe80::1%eth0",))
    assert scoped is not None
    assert scoped.hosts == ("fe80::1%eth0",)


def test_addresses_are_announced_and_names_cannot_be() -> None:
    texts = ["192.0.2.1:7467", "[2001:db8::1]:7467", "host.example:7467", "192.0.2.1:7468"]
    assert announced_hosts(texts) == ("192.0.2.1", "2001:db8::1")
