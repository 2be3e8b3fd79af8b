"""Addresses: the spellings people use, and a reason for what is none."""

from __future__ import annotations

import pytest

from mreza.address import DEFAULT_PORT, Address
from mreza.errors import InvalidAddress


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("example.org", "example.org", DEFAULT_PORT),
        ("example.org:80", "example.org", 80),
        (" 127.0.0.1:0 ", "127.0.0.1", 0),
        ("[2001:db8::1]:7000", "2001:db8::1", 7000),
        ("[2001:db8::1]", "2001:db8::1", DEFAULT_PORT),
        ("2001:db8::1", "2001:db8::1", DEFAULT_PORT),
        ("fe80::1%eth0", "fe80::1%eth0", DEFAULT_PORT),
        ("::", "::", DEFAULT_PORT),
    ],
)
def test_an_address_is_read_as_people_write_it(text: str, host: str, port: int) -> None:
    assert Address.parse(text) == (host, port)


@pytest.mark.parametrize("text", ["example.org:80", "[2001:db8::1]:7000", "127.0.0.1:1"])
def test_an_address_prints_as_it_was_written(text: str) -> None:
    assert str(Address.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":80",
        "a b:80",
        "a/b",
        "host:",
        "host:x",
        "host:65536",
        "host:-1",
        "host:" + "9" * 5000,
        "ho\0st:80",
        "host:²",
        "[::1",
        "[::1]80",
        "[::1]:",
        "[example.org]:80",
        "a:b:c",
        "1:2:3:4",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidAddress, match=r"HOST|2001:db8|65535"):
        Address.parse(text)


def test_a_port_is_asked_for_where_there_is_no_default() -> None:
    with pytest.raises(InvalidAddress, match="has no port"):
        Address.parse("example.org", default_port=None)


@pytest.mark.parametrize(
    ("host", "unspecified", "loopback"),
    [
        ("0.0.0.0", True, False),  # noqa: S104
        ("::", True, False),
        ("127.0.0.9", False, True),
        ("::1", False, True),
        ("localhost", False, True),
        ("192.0.2.1", False, False),
        ("example.org", False, False),
    ],
)
def test_addresses_that_cannot_be_dialed_from_elsewhere_are_known(
    host: str, unspecified: bool, loopback: bool
) -> None:
    address = Address(host, 1)
    assert (address.is_unspecified, address.is_loopback) == (unspecified, loopback)
