"""The network in memory: hosts, what lies between them, and who reaches whom."""

from __future__ import annotations

import asyncio
import contextvars
import errno
import hashlib
import ipaddress
import socket
from collections.abc import Callable, Iterable
from pathlib import Path as FilePath
from random import Random
from typing import NamedTuple

from mreza.sim.host import SimMachine, SimProcess
from mreza.sim.latency import latency
from mreza.sim.loop import VirtualTimeLoop
from mreza.sim.memory_socket import MemorySocket
from mreza.sim.memory_transport import MemoryTransport, SocketAddress
from mreza.sim.paths import Path

SYN_RETRIES_S = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
"Pauses between the first packets of a connection. Source: Linux's tcp_syn_retries."
NO_SUCH_HOST_S = 3.0
"How long a LAN is asked for an address that nobody has (Linux: three requests, a second each)."
_KERNEL = contextvars.Context()
LAN_LATENCY_S = 0.000_25
LAN_JITTER = 0.2
"Spread of a latency, as a share of it."
LOOPBACK_S = 0.000_01


class MemoryNet:
    """All hosts of a simulation and the paths between them."""

    def __init__(
        self,
        loop: VirtualTimeLoop,
        *,
        rng: Random,
        latency_s: float = LAN_LATENCY_S,
    ) -> None:
        self.loop = loop
        self.machines: dict[str, SimMachine] = {}
        self._latency_s = latency_s
        self._rng = rng
        self._hash = hashlib.blake2b(digest_size=16)
        self._by_address: dict[str, SimMachine] = {}
        self._paths: dict[tuple[str, str], Path] = {}

    def add(self, name: str, *, lan: str, folder: FilePath, wall: float, rng: Random) -> SimMachine:
        """A new machine; its address counts up from 10.0.0.1."""
        address = str(ipaddress.ip_address("10.0.0.0") + len(self.machines) + 1)
        machine = SimMachine(
            self, name=name, address=address, lan=lan, folder=folder, wall=wall, rng=rng
        )
        self.machines[name] = self._by_address[address] = machine
        return machine

    def path(self, source: str, destination: str) -> Path:
        """One direction between two machines, by name."""
        found = self._paths.get((source, destination))
        if found is None:
            near = source == destination
            draw = latency(
                "fixed" if near else "uniform",
                median_s=LOOPBACK_S if near else self._latency_s,
                jitter=LAN_JITTER,
                rng=self._rng,
            )
            found = self._paths[source, destination] = Path(draw, rng=self._rng)
        return found

    def resolve(self, host: str, here: SimMachine) -> str:
        """The address of a name or address.

        Raises:
            socket.gaierror: there is no such host.
        """
        if host in ("", "localhost"):
            return "127.0.0.1"
        machine = self.machines.get(host)
        if machine is not None:
            return machine.address
        try:
            return str(ipaddress.IPv4Address(host))
        except ValueError:
            del here
            raise socket.gaierror(
                socket.EAI_NONAME, f"no simulated host is called {host!r}"
            ) from None

    def at(self, address: str, here: SimMachine) -> SimMachine | None:
        """The machine that has this address, seen from another."""
        return here if here.owns(address) else self._by_address.get(address)

    def note(self, what: str, source: str, destination: str, size: int) -> None:
        """Something was sent: it counts for the digest."""
        at = round(self.loop.time() * 1e6)
        self._hash.update(f"{what} {source}>{destination} {size} {at};".encode())

    @property
    def digest(self) -> str:
        """Of all that was sent so far: who to whom, how much, when. Equal runs have equal ones."""
        return self._hash.hexdigest()

    # Streams.

    async def connect(
        self, process: SimProcess, address: SocketAddress, *, local_port: int | None = None
    ) -> MemoryTransport:
        """A connection to whoever listens there, not yet given to a protocol.

        Raises:
            ConnectionRefusedError: nobody listens there.
            TimeoutError: no answer.
            OSError: nobody has the address.
        """
        here = process.machine
        there = self.at(address[0], here)
        if there is None:
            await asyncio.sleep(NO_SUCH_HOST_S)
            raise OSError(errno.EHOSTUNREACH, "No route to host")
        local = (
            here.address if there is not here else address[0],
            local_port or process.free_port(),
        )
        for pause_s in SYN_RETRIES_S:
            answer: asyncio.Future[MemoryTransport | None] = self.loop.create_future()
            self._knock(process, there, local, address, answer)
            try:
                async with asyncio.timeout(pause_s):
                    transport = await answer
            except TimeoutError:
                continue
            except BaseException:
                if answer.done() and not answer.cancelled() and (late := answer.result()):
                    late.abort()
                raise
            if transport is None:
                raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
            return transport
        raise TimeoutError(errno.ETIMEDOUT, "Connection timed out")

    def _knock(
        self,
        process: SimProcess,
        there: SimMachine,
        local: SocketAddress,
        remote: SocketAddress,
        answer: asyncio.Future[MemoryTransport | None],
    ) -> None:
        """One first packet, its answer, and the packet that completes the connection."""
        out = self.path(process.machine.name, there.name)
        back = self.path(there.name, process.machine.name)

        def arrived() -> None:
            if there.is_on:
                self._carry(back, answered)

        def answered() -> None:
            # What is decided at the other end when the packet comes is looked up only now: half a
            # round trip later, which nobody can tell.
            if answer.done():
                return
            listener = there.process.listener(remote)
            if listener is None or listener.on_accept is None:
                answer.set_result(None)
                return
            near, far = self.pair(process, listener.process, local, remote)
            answer.set_result(near)
            accept = listener.on_accept
            self.loop.call_at(
                out.arrival(0, now=self.loop.time()),
                lambda: accept(far),
                context=listener.context,
            )

        self._carry(out, arrived)

    def _carry(self, path: Path, then: Callable[[], None]) -> None:
        """One packet on a path: lost, held or delivered."""
        if path.cut or path.loses():
            return
        if path.held:

            def opened() -> None:
                if path.was_held:
                    self._carry(path, then)

            path.when_open(opened)
            return
        self.loop.call_at(path.arrival(0, now=self.loop.time()), then, context=_KERNEL)

    def pair(
        self,
        dialing: SimProcess,
        listening: SimProcess,
        local: SocketAddress,
        remote: SocketAddress,
    ) -> tuple[MemoryTransport, MemoryTransport]:
        """The two ends of a new connection."""
        out = self.path(dialing.machine.name, listening.machine.name)
        back = self.path(listening.machine.name, dialing.machine.name)
        near = MemoryTransport(dialing, local=local, remote=remote, out=out, back=back)
        far = MemoryTransport(listening, local=remote, remote=local, out=back, back=out)
        near.peer, far.peer = far, near
        return near, far

    # Datagrams.

    def send_datagram(self, sock: MemorySocket, data: bytes, to: SocketAddress) -> None:
        """Send to one address, or to all of the LAN that have joined a group."""
        here = sock.process.machine
        assert sock.bound is not None  # noqa: S101 - whoever sends is bound
        source = (here.address, sock.bound[1])
        group = to[0] if ipaddress.ip_address(to[0]).is_multicast else None
        if group is not None:
            reached: Iterable[SimMachine] = [
                one for one in self.machines.values() if one.lan == here.lan
            ]
        else:
            one = self.at(self.resolve(to[0], here), here)
            reached = [] if one is None else [one]
        datagram = _Datagram(data, source, to[1], group)
        for machine in reached:
            self._carry_datagram(here, machine, datagram)

    def _carry_datagram(self, here: SimMachine, there: SimMachine, datagram: _Datagram) -> None:
        path = self.path(here.name, there.name)
        self.note("datagram", here.name, there.name, len(datagram.data))
        if path.cut or path.loses():
            return
        if path.held:

            def opened() -> None:
                if path.was_held:
                    self._carry_datagram(here, there, datagram)

            path.when_open(opened)
            return
        at = path.arrival(len(datagram.data), now=self.loop.time())
        self.loop.call_at(at, _hand_over, there, datagram, context=_KERNEL)


class _Datagram(NamedTuple):
    data: bytes
    source: SocketAddress
    port: int
    group: str | None
    "Of multicast: who has joined hears it; None: one process does."


def _hand_over(there: SimMachine, datagram: _Datagram) -> None:
    """Give it to the sockets that wait for it."""
    if not there.is_on:
        return
    for sock in list(there.process.sockets):
        if sock.kind != socket.SOCK_DGRAM or sock.getsockname()[1] != datagram.port:
            continue
        if datagram.group is None or datagram.group in sock.groups:
            sock.receive(datagram.data, datagram.source)
            if datagram.group is None:
                return
