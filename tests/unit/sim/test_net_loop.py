"""Programs with plain asyncio on simulated hosts: streams, servers, datagrams."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path as FilePath
from random import Random
from typing import Any, TypeVar

import pytest

from mreza.sim.burial import Graveyard
from mreza.sim.host import SimMachine
from mreza.sim.memory_transport import GIVE_UP_S, WINDOW
from mreza.sim.net_loop import SimLoop

T = TypeVar("T")
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Net:
    """Two machines; what is run on them runs to its end."""

    def __init__(self) -> None:
        self.loop = SimLoop(Random(1), latency_s=0.010)  # noqa: S311
        self.graves = Graveyard()
        self.kept: list[asyncio.StreamWriter] = []
        "Streams complain when they are collected open."
        self.a, self.b = (self.machine(name) for name in "ab")

    def machine(self, name: str) -> SimMachine:
        return self.loop.net.add(
            name,
            lan="lan",
            folder=FilePath("/nowhere"),
            wall=0.0,
            rng=Random(1),  # noqa: S311
        )

    def spawn(self, machine: SimMachine, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        return self.loop.create_task(work, context=machine.process.context.copy())

    def run(self, machine: SimMachine, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(self.spawn(machine, work))

    def sleep(self, seconds: float) -> None:
        self.loop.run_until_complete(asyncio.sleep(seconds))

    def serve(
        self, handler: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]
    ) -> asyncio.AbstractServer:
        """On b, port 80."""

        async def listen() -> asyncio.AbstractServer:
            return await asyncio.start_server(handler, "0.0.0.0", 80)  # noqa: S104

        return self.run(self.b, listen())

    def connect(self, host: str = "b", port: int = 80) -> Streams:
        """From a."""
        return self.run(self.a, self.dial(host, port))

    async def dial(self, host: str = "b", port: int = 80) -> Streams:
        reader, writer = await asyncio.open_connection(host, port)
        self.kept.append(writer)
        return reader, writer

    def kill(self, machine: SimMachine, *, silently: bool = False) -> None:
        self.graves.add(machine.process.die(silently=silently))

    def close(self) -> None:
        for machine in (self.a, self.b):
            self.kill(machine)
        self.graves.bury(self.loop)
        self.loop.close()

    def cut(self, *, held: bool = False) -> None:
        for path in self.paths():
            path.held, path.cut = held, not held

    def repair(self) -> None:
        for path in self.paths():
            path.open()

    def paths(self) -> tuple[Any, Any]:
        return self.loop.net.path("a", "b"), self.loop.net.path("b", "a")


@pytest.fixture
def net() -> Iterator[Net]:
    made = Net()
    yield made
    made.close()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 20):
        writer.write(data)
        await writer.drain()
    writer.close()


def test_bytes_go_and_come_after_two_latencies(net: Net) -> None:
    net.serve(echo)
    began = net.loop.time()
    reader, writer = net.connect()
    assert 0.016 <= net.loop.time() - began <= 0.024
    assert writer.get_extra_info("peername") == ("10.0.0.2", 80)
    assert writer.get_extra_info("sockname")[0] == "10.0.0.1"

    async def ask() -> bytes:
        writer.write(b"hello")
        return await reader.readexactly(5)

    began = net.loop.time()
    assert net.run(net.a, ask()) == b"hello"
    assert 0.016 <= net.loop.time() - began <= 0.024


def test_megabytes_arrive_whole_and_in_order(net: Net) -> None:
    sent = Random(2).randbytes(3_000_000)  # noqa: S311
    net.serve(echo)
    reader, writer = net.connect()
    for path in net.paths():
        path.loss = 0.05

    async def ask() -> bytes:
        async def write() -> None:
            writer.write(sent)
            await writer.drain()
            writer.write_eof()

        writing = asyncio.create_task(write())
        received = await reader.read(-1)
        await writing
        return received

    assert net.run(net.a, ask()) == sent


def test_a_reader_who_does_not_read_stops_the_writer(net: Net) -> None:
    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(100)

    net.serve(deaf)
    _, writer = net.connect()

    async def write() -> None:
        writer.write(bytes(10 * WINDOW))
        async with asyncio.timeout(50):
            await writer.drain()

    with pytest.raises(TimeoutError):
        net.run(net.a, write())
    assert writer.transport.get_write_buffer_size() >= 8 * WINDOW


def test_where_nobody_listens_a_connection_is_refused(net: Net) -> None:
    with pytest.raises(ConnectionRefusedError):
        net.connect(port=81)


def test_a_closed_server_refuses(net: Net) -> None:
    net.serve(echo).close()
    with pytest.raises(ConnectionRefusedError):
        net.connect()


def test_an_address_that_nobody_has_cannot_be_reached(net: Net) -> None:
    with pytest.raises(OSError, match="No route to host"):
        net.connect("10.0.0.99")


def test_a_name_that_nobody_has_is_not_found(net: Net) -> None:
    with pytest.raises(socket.gaierror, match="no simulated host is called 'nobody'"):
        net.connect("nobody")


def test_a_port_can_be_had_once(net: Net) -> None:
    net.serve(echo)
    with pytest.raises(OSError, match="Address already in use"):
        net.serve(echo)


def test_a_machine_has_its_own_loopback(net: Net) -> None:
    net.serve(echo)
    with pytest.raises(ConnectionRefusedError):
        net.connect("127.0.0.1")
    _, writer = net.run(net.b, net.dial("127.0.0.1"))
    assert writer.get_extra_info("peername") == ("127.0.0.1", 80)


def test_through_a_cut_nothing_comes_and_later_everything(net: Net) -> None:
    net.serve(echo)
    reader, writer = net.connect()
    net.cut()

    async def ask() -> bytes:
        writer.write(b"hello")
        return await reader.readexactly(5)

    asking = net.spawn(net.a, ask())
    net.sleep(60)
    assert not asking.done()
    net.repair()
    assert net.loop.run_until_complete(asking) == b"hello"


def test_what_is_held_comes_at_once_when_released(net: Net) -> None:
    net.serve(echo)
    reader, writer = net.connect()
    net.cut(held=True)

    async def ask() -> bytes:
        writer.write(b"hello")
        return await reader.readexactly(5)

    asking = net.spawn(net.a, ask())
    net.sleep(60)
    net.repair()
    released = net.loop.time()
    net.loop.run_until_complete(asking)
    assert net.loop.time() - released < 0.03


def test_a_connection_through_a_cut_is_tried_again(net: Net) -> None:
    net.serve(echo)
    net.cut()
    dialing = net.spawn(net.a, net.dial())
    net.sleep(2)
    net.repair()
    began = net.loop.time()
    net.loop.run_until_complete(dialing)
    assert 0.9 < net.loop.time() - began < 1.1  # 1 + 2 seconds after the first try


def test_a_connection_whose_first_packet_is_held_comes_when_released(net: Net) -> None:
    net.serve(echo)
    net.cut(held=True)
    dialing = net.spawn(net.a, net.dial())
    net.sleep(0.5)
    net.repair()
    began = net.loop.time()
    net.loop.run_until_complete(dialing)
    assert net.loop.time() - began < 0.03


def test_a_dial_into_a_black_hole_ends_after_two_minutes(net: Net) -> None:
    net.serve(echo)
    net.cut()
    began = net.loop.time()
    with pytest.raises(TimeoutError):
        net.connect()
    assert net.loop.time() - began == pytest.approx(127.0)


def test_a_connection_without_any_answer_ends_after_a_quarter_of_an_hour(net: Net) -> None:
    net.serve(echo)
    reader, writer = net.connect()
    net.cut()

    async def ask() -> bytes:
        writer.write(b"hello")
        return await reader.read()

    with pytest.raises(TimeoutError):
        net.run(net.a, ask())
    assert net.loop.time() > GIVE_UP_S


def test_a_killed_process_closes_its_connections_without_a_word(net: Net) -> None:
    said: list[str] = []

    async def polite(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.read()
        finally:
            said.append("goodbye")

    net.serve(polite)
    reader, _ = net.connect()
    net.sleep(1)
    net.kill(net.b)
    assert net.run(net.a, reader.read()) == b""
    assert said == []
    with pytest.raises(ConnectionRefusedError):
        net.connect()


def test_a_machine_without_power_says_nothing_until_it_is_back(net: Net) -> None:
    net.serve(echo)
    reader, writer = net.connect()
    net.kill(net.b, silently=True)

    async def ask() -> bytes:
        writer.write(b"hello")
        return await reader.read()

    asking = net.spawn(net.a, ask())
    net.sleep(60)
    assert not asking.done()
    net.b.new_process()
    with pytest.raises(ConnectionResetError):
        net.loop.run_until_complete(asking)


def test_a_frozen_process_takes_connections_and_answers_when_it_thaws(net: Net) -> None:
    net.serve(echo)
    net.b.process.freeze()
    reader, writer = net.connect()

    async def ask() -> bytes:
        writer.write(b"hello")
        return await reader.readexactly(5)

    asking = net.spawn(net.a, ask())
    net.sleep(60)
    assert not asking.done()
    net.b.process.thaw()
    began = net.loop.time()
    assert net.loop.run_until_complete(asking) == b"hello"
    assert net.loop.time() - began < 0.03


def test_whoever_writes_to_a_closed_end_is_reset(net: Net) -> None:
    async def rude(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    net.serve(rude)
    reader, writer = net.connect()
    net.sleep(1)

    async def talk() -> None:
        assert await reader.read() == b""
        writer.write(b"are you there")
        await asyncio.sleep(1)
        writer.write(b"hello")
        await writer.drain()

    with pytest.raises(ConnectionResetError):
        net.run(net.a, talk())


class Ears(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.heard: list[tuple[bytes, Any]] = []

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.heard.append((data, addr))


def test_datagrams_arrive_or_are_lost(net: Net) -> None:
    async def listen() -> Ears:
        _, ears = await asyncio.get_running_loop().create_datagram_endpoint(
            Ears,
            local_addr=("0.0.0.0", 53),  # noqa: S104
        )
        return ears

    async def speak() -> asyncio.DatagramTransport:
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            Ears, remote_addr=("10.0.0.2", 53)
        )
        transport.sendto(b"one")
        return transport

    ears = net.run(net.b, listen())
    transport = net.run(net.a, speak())
    net.cut()
    transport.sendto(b"two")
    net.repair()
    net.cut(held=True)
    transport.sendto(b"three")
    net.repair()
    net.sleep(1)
    port = transport.get_extra_info("sockname")[1]
    assert ears.heard == [(b"one", ("10.0.0.1", port)), (b"three", ("10.0.0.1", port))]
    transport.close()
    net.sleep(1)


def test_a_path_of_the_file_system_is_served_in_memory(net: Net, tmp_path: FilePath) -> None:
    path = str(tmp_path / "socket")

    async def main() -> bytes:
        server = await asyncio.start_unix_server(echo, path)
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"hello")
        answer = await reader.readexactly(5)
        writer.close()
        server.close()
        with pytest.raises(ConnectionRefusedError, match="nobody listens at"):
            await asyncio.open_unix_connection(path)
        return answer

    assert net.run(net.a, main()) == b"hello"


def test_what_is_not_simulated_says_so(net: Net) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with pytest.raises(NotImplementedError, match="TLS is not simulated"):
            await asyncio.open_connection("b", 80, ssl=True)
        with socket.socket() as real, pytest.raises(OSError, match="is a real socket"):
            await loop.sock_connect(real, ("10.0.0.2", 80))

    net.run(net.a, main())


def test_without_a_process_there_is_no_network(net: Net) -> None:
    with pytest.raises(RuntimeError, match=r"SimMesh\.spawn"):
        net.loop.run_until_complete(net.dial())


def test_equal_runs_have_equal_digests_and_others_have_others(net: Net) -> None:
    def digest(size: int) -> str:
        other = Net()
        other.serve(echo)
        _, writer = other.connect()
        writer.write(bytes(size))
        other.sleep(1)
        other.close()
        return other.loop.net.digest

    assert digest(5) == digest(5) != digest(6)
