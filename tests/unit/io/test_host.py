"""Where a node asks its machine: this one, or the one that its loop brings."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from typing import Any

import pytest

from mreza.io.host import Host, SystemHost, current_host, open_socket


class Brought(SystemHost):
    """A machine that a loop brings."""

    def environment(self) -> Mapping[str, str]:
        return {"WHERE": "elsewhere"}

    def open_socket(self, family: int, kind: int) -> socket.socket:
        raise OSError(f"no sockets of family {family} and kind {kind}")


def test_outside_of_a_loop_it_is_this_machine() -> None:
    assert isinstance(current_host(), SystemHost)


async def test_on_a_loop_without_one_it_is_this_machine() -> None:
    assert isinstance(current_host(), SystemHost)


def test_a_loop_may_bring_its_own() -> None:
    class Loop(asyncio.SelectorEventLoop):
        host: Host = Brought()

    async def main() -> str:
        with pytest.raises(OSError, match="no sockets of family 2"):
            open_socket(socket.AF_INET, socket.SOCK_STREAM)
        return current_host().environment()["WHERE"]

    loop = Loop()
    try:
        assert loop.run_until_complete(main()) == "elsewhere"
    finally:
        loop.close()


def test_the_environment_is_that_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MREZA_STATE", "/somewhere")
    assert SystemHost().environment()["MREZA_STATE"] == "/somewhere"


def test_every_source_of_chance_is_another() -> None:
    host = SystemHost()
    assert host.random().getrandbits(64) != host.random().getrandbits(64)


def test_a_socket_is_a_real_one() -> None:
    with SystemHost().open_socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        assert made.fileno() >= 0


async def test_what_a_thread_delivers_is_called_on_the_loop() -> None:
    done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    deliver = SystemHost().work_outside()
    await asyncio.to_thread(lambda: deliver(done.set_result, 7))
    assert await done == 7


def test_loopback_is_an_interface_of_every_machine() -> None:
    host = SystemHost()
    names = [name for name, one in host.interfaces(socket.AF_INET) if one.is_loopback]
    assert names
    assert host.interface_index(names[0]) > 0
    assert host.memory() > 0
