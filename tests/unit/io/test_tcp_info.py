"""What the kernel tells of a connection."""

from __future__ import annotations

import socket
import struct
import sys

import pytest

from mreza.io.tcp import read_tcp_info


def test_the_fields_are_where_linux_has_them() -> None:
    data = bytearray(160)
    for at, value in ((68, 2500), (100, 3), (156, 40)):
        struct.pack_into("=I", data, at, value)
    counters = read_tcp_info(bytes(data))
    assert counters is not None
    assert (counters.rtt_s, counters.sent, counters.retransmitted) == (0.0025, 40, 3)


def test_an_older_kernel_tells_too_little() -> None:
    assert read_tcp_info(bytes(104)) is None


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="TCP_INFO is Linux's")
def test_a_real_connection_counts_what_was_sent() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as near,
        server.accept()[0] as far,
    ):
        for _ in range(7):
            near.sendall(b"x")
            far.recv(1)
        counters = read_tcp_info(near.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 160))
    assert counters is not None
    assert counters.sent == 7
    assert counters.retransmitted == 0
    assert 0 < counters.rtt_s < 10
