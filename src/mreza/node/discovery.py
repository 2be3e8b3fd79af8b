"""Finding each other: asks every source for addresses and dials what the candidates say.

Owns its sources and one task for each dial under way. Sources only add: the user's peers and DNS
names, sibling nodes of the state directory, the address book, records, hellos, signed beacons and
multicast DNS on every interface.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping
from random import Random
from typing import Any, Protocol

from mreza.address import Address
from mreza.clock import Clock
from mreza.config.discovery import DNS_PORT
from mreza.config.mesh import MeshConfig
from mreza.discovery.beacon import Ignored
from mreza.discovery.candidates import Candidates, Dial, Outcome, Source
from mreza.errors import InvalidAddress, MeshError, NotRunning
from mreza.ids import NodeId
from mreza.io.host import current_host
from mreza.io.interfaces import reachable
from mreza.machine import earliest
from mreza.node.beacon_source import BeaconSource
from mreza.node.dns_source import DnsSource
from mreza.node.links import DialOutcome, DialResult
from mreza.node.logs import Log
from mreza.node.mdns_source import MdnsSource
from mreza.security.credentials import Credentials
from mreza.wire.link import Hello
from mreza.wire.records import ADDRESSES_MAX

STAGGER_S = 0.05
"""Head start of each address of a node over the next (happy eyeballs, RFC 8305, with a LAN's
patience)."""
DIALS_MAX = 64
"Dials at a time; the others wait for their turn."
BOOK_SAVED_EVERY_S = 30.0

log = Log("mreza")

_OUTCOMES = {
    DialOutcome.UP: Outcome.UP,
    DialOutcome.ALREADY: Outcome.ALREADY,
    DialOutcome.NOBODY: Outcome.NOBODY,
    DialOutcome.UNREACHABLE: Outcome.FAILED,
    DialOutcome.REFUSED: Outcome.FAILED,
    DialOutcome.OURSELF: Outcome.OURSELF,
}


class Dialer(Protocol):
    """What makes links; `mreza.node.links.Links` does."""

    async def dial(self, address: Address, *, expected: NodeId | None = None) -> DialResult: ...
    def has(self, peer: NodeId) -> bool: ...
    def gone(self, peer: NodeId) -> None: ...


class Book(Protocol):
    """Addresses kept over restarts; `mreza.node.address_book.AddressBook` is one."""

    def addresses(self) -> Mapping[NodeId, Iterable[str]]: ...
    def learn(self, node: NodeId, addresses: tuple[str, ...], *, wall: float) -> None: ...
    def save(self) -> bool: ...


class LocalState(Protocol):
    """What the state directory knows; `mreza.node.state.NodeState` is one."""

    @property
    def credentials(self) -> Credentials: ...
    @property
    def addresses(self) -> Book: ...
    def siblings(self) -> Iterable[tuple[NodeId, Iterable[str]]]:
        """Running nodes of the same state directory and where they listen; cheap to ask."""
        ...


class Discovery:
    """Dials whoever should be linked, until closed."""

    def __init__(
        self,
        config: MeshConfig,
        *,
        state: LocalState,
        links: Dialer,
        rng: Random,
        clock: Clock,
        side: Callable[[], int] = lambda: 1,
    ) -> None:
        """`side`: how many nodes can be reached from here, this one included."""
        credentials = state.credentials
        self._me = credentials.node_id
        self._config = config.discovery
        self._advertise = config.advertise
        self._only_peers = config.topology.only_peers
        self._state = state
        self._links = links
        self._clock = clock
        now = clock.monotonic()
        self.candidates = Candidates(
            me=self._me,
            config=config.discovery,
            only_peers=self._only_peers,
            rng=rng,
            now=now,
            side=side,
        )
        self._beacons = BeaconSource(
            config.discovery, credentials=credentials, clock=clock, found=self._heard_beacon
        )
        self._mdns = MdnsSource(mesh=credentials.mesh, me=self._me, found=self._heard_mdns)
        self._dns = DnsSource(
            config.discovery.dns,
            server=self._dns_server(),
            found=self._looked_up,
            rng=rng,
        )
        self._hello: Hello | None = None
        self._port: int | None = None
        "What other machines can dial; None if we listen for this machine only."
        self._dials: dict[asyncio.Task[DialResult], Dial] = {}
        self._places = asyncio.Semaphore(DIALS_MAX)
        self._hosts: dict[NodeId, str] = {}
        "Where the link to each peer leads."
        self._siblings_due = now
        self._book_due = now + BOOK_SAVED_EVERY_S
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    # What the node does.

    def advertised(self, bound: Iterable[Address]) -> tuple[str, ...]:
        """Where others can dial what we listen on: as the user says, else every own address."""
        found = reachable(tuple(bound))
        self._port = next((one.port for one in found if not one.is_loopback), None)
        if self._advertise is not None:
            port = found[0].port if found else None
            return (str(Address.parse(self._advertise, default_port=port)),)
        return tuple(str(address) for address in found[:ADDRESSES_MAX])

    async def start(self, hello: Hello) -> None:
        """Begin to listen for beacons and to dial; `hello` is what beacons say."""
        self._hello = hello
        if self._config.address_book and not self._only_peers:
            for node, texts in self._state.addresses.addresses().items():
                self._add(Source.ADDRESS_BOOK, node, texts)
        if self._config.lan and not self._only_peers:
            self._beacons.open()
        if self._port is not None and self._uses_mdns():
            self._mdns.open()
            self._mdns.say(hello, port=self._port)
        if not self._only_peers:
            self._dns.open()
        self._task = asyncio.get_running_loop().create_task(self._run(), name="discovery")

    async def close(self) -> None:
        """Stop dialing, close the sockets, save the address book."""
        tasks: list[asyncio.Task[Any]] = [*self._dials]
        if self._task is not None:
            tasks.append(self._task)
            self._task = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._beacons.close()
        await self._mdns.close()
        await self._dns.close()
        self._save_book()

    def hello_changed(self, hello: Hello) -> None:
        """The epoch or our addresses are others now."""
        self._hello = hello
        if self._mdns.is_open and self._port is not None:
            self._mdns.say(hello, port=self._port)

    def link_up(
        self, peer: NodeId, address: Address, *, dialed: bool, addresses: Iterable[str] = ()
    ) -> None:
        """The node has a link to a peer that had none; `addresses` are those of its hello."""
        self._hosts[peer] = address.host
        self._learn(Source.HELLO, peer, tuple(addresses))
        now = self._clock.monotonic()
        self.candidates.linked(peer, address if dialed else None, now=now)
        for task, dial in self._dials.items():
            if dial.expected == peer:
                task.cancel()

    def link_down(self, peer: NodeId, cause: str) -> None:
        """The only link to a peer ended."""
        now = self._clock.monotonic()
        # Not forgotten: more may become known of why it ended.
        host = self._hosts.get(peer, "")
        self.candidates.lost(peer, cause=cause, remote_host=host, now=now)
        self._wake.set()

    def learned(self, node: NodeId, addresses: Iterable[str]) -> None:
        """A record says where a member can be dialed."""
        self._learn(Source.RECORD, node, tuple(addresses))

    @property
    def beacons_ignored(self) -> dict[Ignored, int]:
        """Datagrams that were no news, by reason."""
        return self._beacons.ignored

    @property
    def interfaces(self) -> tuple[str, ...]:
        """Interfaces on which beacons are said and heard."""
        return self._beacons.interfaces

    # Rules.

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            now = self._clock.monotonic()
            self._ask_sources(now)
            places: dict[NodeId | Address, int] = {}
            for dial in self.candidates.due(now=now):
                key = dial.expected or dial.address
                place = places[key] = places.get(key, -1) + 1
                self._start_dial(dial, delay_s=place * STAGGER_S)
            deadline = earliest(
                self.candidates.next_deadline(),
                None if self._only_peers else self._siblings_due,
                self._beacons.next_deadline(port=self._port),
                self._book_due,
            )
            wait_s = None if deadline is None else max(0.0, deadline - self._clock.monotonic())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._wake.wait()

    def _ask_sources(self, now: float) -> None:
        if not self._only_peers and now >= self._siblings_due:
            self._siblings_due = now + self._config.state_poll_s
            self._ask_siblings()
        self._beacons.advance(self._hello, port=self._port, now=now)
        if now >= self._book_due:
            self._book_due = now + BOOK_SAVED_EVERY_S
            self._save_book()

    def _ask_siblings(self) -> None:
        try:
            found = list(self._state.siblings())
        except (MeshError, OSError) as error:
            log.warning("state_directory_unreadable", error=str(error))
            return
        for node, addresses in found:
            self._add(Source.STATE_DIRECTORY, node, addresses)

    def _start_dial(self, dial: Dial, *, delay_s: float) -> None:
        name = f"dial {dial.address}"
        task = asyncio.get_running_loop().create_task(self._dial(dial, delay_s), name=name)
        self._dials[task] = dial
        # In the callback, because a task that is cancelled at once never runs its `finally`.
        task.add_done_callback(self._dial_ended)

    async def _dial(self, dial: Dial, delay_s: float) -> DialResult:
        await asyncio.sleep(delay_s)
        async with self._places:
            if dial.expected is not None and self._links.has(dial.expected):
                return DialResult(DialOutcome.ALREADY, dial.expected)
            return await self._links.dial(dial.address, expected=dial.expected)

    def _dial_ended(self, task: asyncio.Task[DialResult]) -> None:
        dial = self._dials.pop(task)
        result = DialResult(DialOutcome.ALREADY, dial.expected)
        if not task.cancelled():
            error = task.exception()
            if error is None:
                result = task.result()
            elif not isinstance(error, NotRunning):
                log.error("dial_failed", address=str(dial.address), exc_info=error)
                result = DialResult(DialOutcome.UNREACHABLE, dial.expected)
        gone = self.candidates.result(
            dial, _OUTCOMES[result.outcome], result.peer, now=self._clock.monotonic()
        )
        self._wake.set()
        if gone is not None and not self._links.has(gone):
            self._links.gone(gone)

    def _learn(self, source: Source, node: NodeId, texts: tuple[str, ...]) -> None:
        if node == self._me:
            return
        self._add(source, node, texts)
        if self._config.address_book:
            self._state.addresses.learn(node, texts, wall=self._clock.wall())

    def _add(self, source: Source, node: NodeId, texts: Iterable[str]) -> None:
        now = self._clock.monotonic()
        for text in texts:
            with contextlib.suppress(InvalidAddress):
                if self.candidates.add(source, Address.parse(text), node, now=now):
                    self._wake.set()

    def _save_book(self) -> None:
        if not self._config.address_book:
            return
        try:
            self._state.addresses.save()
        except (MeshError, OSError) as error:
            log.warning("address_book_not_saved", error=str(error))

    # Sources.

    def _uses_mdns(self) -> bool:
        return self._config.mdns and not self._only_peers and not current_host().is_simulated

    def _dns_server(self) -> Address | None:
        server = self._config.dns_server
        return None if server is None else Address.parse(server, default_port=DNS_PORT)

    def _heard_beacon(self, node: NodeId, addresses: Iterable[Address]) -> None:
        self._hint(Source.BEACON, node, addresses)

    def _heard_mdns(self, node: NodeId, addresses: Iterable[Address]) -> None:
        self._hint(Source.MDNS, node, addresses)

    def _hint(self, source: Source, node: NodeId, addresses: Iterable[Address]) -> None:
        now = self._clock.monotonic()
        for address in addresses:
            self.candidates.add(source, address, node, now=now)
        if not self._links.has(node):
            self._wake.set()

    def _looked_up(self, addresses: Iterable[Address]) -> None:
        now = self._clock.monotonic()
        for address in addresses:
            if self.candidates.add(Source.DNS, address, None, now=now):
                self._wake.set()
