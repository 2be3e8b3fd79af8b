"""Whom a node dials when, by what its sources say; with a dialer and multicast that pretend."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from random import Random
from typing import Any

import msgspec
import pytest

from mreza.address import Address
from mreza.config.mesh import MeshConfig
from mreza.discovery.beacon import BeaconSpeaker, Ignored
from mreza.errors import NotRunning, StateError
from mreza.ids import NodeId
from mreza.io.host import SystemHost
from mreza.node import beacon_source, discovery as module
from mreza.node.discovery import Discovery
from mreza.node.link_events import DialOutcome, DialResult
from mreza.security.credentials import Credentials
from mreza.wire.link import PROTOCOL_VERSION, Hello
from tests.integration.link_ends import MeshOfLinks
from tests.support.dns_server import DnsServer
from tests.support.eventually import eventually_async
from tests.support.fake_net import until
from tests.support.hand_clock import HandClock

MESH = MeshOfLinks()
PEER = NodeId(b"p" * 16)
WHERE = Address("192.0.2.1", 7467)
OTHER = Address("192.0.2.2", 7467)


class Dialer:
    """Answers dials as the test says."""

    def __init__(self) -> None:
        self.dialed: list[tuple[Address, NodeId | None]] = []
        self.outcomes: dict[Address, DialResult | Exception | asyncio.Event] = {}
        self.up: set[NodeId] = set()
        self.told_gone: list[NodeId] = []
        self.discovery: Discovery

    async def dial(self, address: Address, *, expected: NodeId | None = None) -> DialResult:
        self.dialed.append((address, expected))
        outcome = self.outcomes.get(address, DialResult(DialOutcome.UNREACHABLE))
        if isinstance(outcome, asyncio.Event):
            await outcome.wait()
            return DialResult(DialOutcome.UP, expected)
        if isinstance(outcome, Exception):
            raise outcome
        if outcome.outcome is DialOutcome.UP and outcome.peer is not None:
            # As links do: the node hears of the link before the dial returns.
            self.up.add(outcome.peer)
            self.discovery.link_up(outcome.peer, address, dialed=True)
        return outcome

    def has(self, peer: NodeId) -> bool:
        return peer in self.up

    def gone(self, peer: NodeId) -> None:
        self.told_gone.append(peer)


class Book:
    def __init__(self) -> None:
        self.known: dict[NodeId, tuple[str, ...]] = {}
        self.saves = 0
        self.error: Exception | None = None

    def addresses(self) -> dict[NodeId, tuple[str, ...]]:
        return dict(self.known)

    def learn(self, node: NodeId, addresses: tuple[str, ...], *, wall: float) -> None:
        assert wall > 0
        self.known[node] = addresses

    def save(self) -> bool:
        self.saves += 1
        if self.error is not None:
            raise self.error
        return True


class State:
    def __init__(self, credentials: Credentials) -> None:
        self.credentials = credentials
        self.addresses = Book()
        self.beside: list[tuple[NodeId, tuple[str, ...]]] = []
        self.asked = 0
        self.error: Exception | None = None

    def siblings(self) -> Iterable[tuple[NodeId, Iterable[str]]]:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return self.beside


class Multicast:
    """A socket of a beacon group."""

    fails: Exception | None = None
    made: list[Multicast]

    def __init__(self, group: str, port: int, *, received: Callable[[bytes, str], None]) -> None:
        if Multicast.fails is not None and ":" in group:
            raise Multicast.fails
        self.group = group
        self.received = received
        self.joins = 0
        self.sent: list[bytes] = []
        self.closed = False
        self.interfaces = ("eth0",)
        Multicast.made.append(self)

    def join_interfaces(self) -> None:
        self.joins += 1

    def send(self, data: bytes) -> int:
        self.sent.append(data)
        return 1

    def close(self) -> None:
        self.closed = True


@pytest.fixture(autouse=True)
def multicast(monkeypatch: pytest.MonkeyPatch) -> None:
    Multicast.fails, Multicast.made = None, []
    monkeypatch.setattr(beacon_source, "MulticastSocket", Multicast)
    monkeypatch.setattr(module, "STAGGER_S", 0.0)


class Case:
    """A discovery and its surroundings. Time goes on only by `later`."""

    def __init__(self, **config: Any) -> None:
        self.clock = HandClock()
        self.dialer = Dialer()
        self.credentials = MESH.credentials()
        self.me = self.credentials.node_id
        self.state = State(self.credentials)
        settings = {"discovery": {"lan": False}, **config}
        settings["discovery"] = {"mdns": False, **settings["discovery"]}
        self.discovery = Discovery(
            MeshConfig(**settings),
            state=self.state,
            links=self.dialer,
            rng=Random(1),  # noqa: S311 - jitter
            clock=self.clock,
        )
        self.dialer.discovery = self.discovery
        self.hello = Hello(
            PROTOCOL_VERSION, (), 1 << 32, 1.0, "a", ("192.0.2.9:5",), self.credentials.mesh
        )

    async def start(self) -> None:
        await self.discovery.start(self.hello)
        await self.quiet()

    async def later(self, seconds: float) -> None:
        self.clock.now += seconds
        self.discovery._wake.set()
        await self.quiet()

    async def quiet(self) -> None:
        """Until no dial is under way that could end."""
        for _ in range(50):
            await asyncio.sleep(0)


async def test_the_users_addresses_are_dialed_whoever_is_there() -> None:
    case = Case(discovery={"lan": False, "peers": [str(WHERE)]})
    case.dialer.outcomes[WHERE] = DialResult(DialOutcome.UP, PEER)
    await case.start()
    assert case.dialer.dialed == [(WHERE, None)]
    await case.discovery.close()


async def test_an_address_without_an_answer_is_dialed_again_later() -> None:
    case = Case(discovery={"lan": False, "peers": [str(WHERE)]})
    await case.start()
    for _ in range(3):
        await case.later(30.0)
    assert len(case.dialer.dialed) == 4
    await case.discovery.close()


async def test_members_of_records_hellos_and_the_state_directory_are_dialed_and_noted() -> None:
    case = Case()
    second, third = NodeId(b"2" * 16), NodeId(b"3" * 16)
    case.state.beside = [(second, (str(OTHER), "not an address/")), (case.me, (str(WHERE),))]
    await case.start()
    assert case.dialer.dialed == [(OTHER, second)]
    case.discovery.learned(PEER, [str(WHERE)])
    case.discovery.learned(case.me, [str(WHERE)])
    case.discovery.link_up(third, WHERE, dialed=False, addresses=["192.0.2.3:1"])
    await case.quiet()
    assert case.dialer.dialed[1:] == [(WHERE, PEER)]
    assert case.state.addresses.known == {PEER: (str(WHERE),), third: ("192.0.2.3:1",)}
    await case.discovery.close()
    assert case.state.addresses.saves == 1


async def test_the_address_book_is_read_at_the_start_and_saved_now_and_then() -> None:
    case = Case()
    case.state.addresses.known = {PEER: ("not an address/", str(WHERE))}
    await case.start()
    assert case.dialer.dialed == [(WHERE, PEER)]
    await case.later(module.BOOK_SAVED_EVERY_S)
    assert case.state.addresses.saves == 1
    case.state.addresses.error = StateError("disk full")
    await case.later(module.BOOK_SAVED_EVERY_S)
    await case.discovery.close()
    assert case.state.addresses.saves == 3


async def test_without_an_address_book_none_is_read_or_written() -> None:
    case = Case(discovery={"lan": False, "address_book": False})
    case.state.addresses.known = {PEER: (str(WHERE),)}
    await case.start()
    case.discovery.learned(NodeId(b"2" * 16), [str(OTHER)])
    await case.quiet()
    assert case.dialer.dialed == [(OTHER, NodeId(b"2" * 16))]
    await case.discovery.close()
    assert case.state.addresses.saves == 0
    assert list(case.state.addresses.known) == [PEER]


async def test_with_only_peers_nobody_else_is_dialed_nor_asked() -> None:
    case = Case(topology={"only_peers": True}, discovery={"lan": True, "peers": [str(WHERE)]})
    case.state.addresses.known = {PEER: (str(OTHER),)}
    case.state.beside = [(PEER, (str(OTHER),))]
    await case.start()
    case.discovery.learned(PEER, [str(OTHER)])
    await case.quiet()
    assert case.dialer.dialed == [(WHERE, None)]
    assert case.state.asked == 0
    assert Multicast.made == []
    await case.discovery.close()


async def test_a_state_directory_that_cannot_be_read_is_asked_again() -> None:
    case = Case()
    case.state.error = StateError("not readable")
    await case.start()
    case.state.error = None
    case.state.beside = [(PEER, (str(WHERE),))]
    await case.later(1.0)
    assert case.dialer.dialed == [(WHERE, PEER)]
    await case.discovery.close()


async def test_a_link_ends_the_other_dials_to_its_peer() -> None:
    case = Case()
    never = asyncio.Event()
    case.dialer.outcomes = {WHERE: never, OTHER: never}
    case.discovery.learned(PEER, [str(WHERE), str(OTHER)])
    await case.start()
    assert {address for address, _ in case.dialer.dialed} == {WHERE, OTHER}
    case.dialer.up.add(PEER)
    case.discovery.link_up(PEER, WHERE, dialed=True)
    await case.quiet()
    assert case.discovery._dials == {}
    await case.later(60.0)
    assert len(case.dialer.dialed) == 2
    await case.discovery.close()


async def test_a_dial_whose_turn_comes_too_late_is_not_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    case = Case()
    case.dialer.up.add(PEER)  # linked between the decision and the dial
    case.discovery.learned(PEER, [str(WHERE)])
    await case.start()
    assert case.dialer.dialed == []
    await case.discovery.close()


async def test_a_lost_peer_is_dialed_again_and_a_refused_redial_proves_it_gone() -> None:
    case = Case()
    case.dialer.outcomes[WHERE] = DialResult(DialOutcome.UP, PEER)
    case.discovery.learned(PEER, [str(WHERE)])
    await case.start()
    await case.later(60.0)
    case.dialer.up.clear()
    case.dialer.outcomes[WHERE] = DialResult(DialOutcome.NOBODY, PEER)
    case.discovery.link_down(PEER, "reset")
    await case.later(2.0)
    assert case.dialer.dialed == [(WHERE, PEER)] * 2
    assert case.dialer.told_gone == [PEER]
    await case.discovery.close()


async def test_a_dial_that_breaks_is_logged_and_counts_as_no_answer() -> None:
    case = Case(discovery={"lan": False, "peers": [str(WHERE), str(OTHER)]})
    case.dialer.outcomes = {WHERE: RuntimeError("a defect"), OTHER: NotRunning("closing")}
    await case.start()
    await case.later(60.0)
    assert len(case.dialer.dialed) == 4
    await case.discovery.close()


async def test_closing_ends_dials_under_way() -> None:
    case = Case(discovery={"lan": False, "peers": [str(WHERE)]})
    case.dialer.outcomes[WHERE] = asyncio.Event()
    await case.start()
    await case.discovery.close()
    assert case.discovery._dials == {}
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("dial")]


async def test_only_so_many_dials_are_made_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DIALS_MAX", 2)
    addresses = [Address("192.0.2.1", port) for port in (1, 2, 3)]
    case = Case(discovery={"lan": False, "peers": [str(one) for one in addresses]})
    gate = asyncio.Event()
    case.dialer.outcomes = dict.fromkeys(addresses, gate)
    await case.start()
    assert len(case.dialer.dialed) == 2
    gate.set()
    await until(lambda: len(case.dialer.dialed) == 3)
    await case.discovery.close()


@pytest.mark.parametrize(
    ("advertise", "bound", "said"),
    [
        (None, ("192.0.2.1:7000", "127.0.0.1:7000"), ("192.0.2.1:7000", "127.0.0.1:7000")),
        ("example.org", ("192.0.2.1:7000",), ("example.org:7000",)),
        ("example.org:5", ("192.0.2.1:7000",), ("example.org:5",)),
    ],
)
async def test_what_is_advertised_is_what_others_can_dial(
    advertise: str | None, bound: tuple[str, ...], said: tuple[str, ...]
) -> None:
    case = Case() if advertise is None else Case(advertise=advertise)
    assert case.discovery.advertised([Address.parse(text) for text in bound]) == said


# Beacons.


async def test_a_node_that_others_can_dial_says_so_on_every_interface() -> None:
    case = Case(discovery={"lan": True})
    case.discovery.advertised([Address("192.0.2.9", 5)])
    await case.start()
    four, six = Multicast.made
    assert case.discovery.interfaces == ("eth0",)
    assert len(four.sent) == len(six.sent) == 1
    await case.later(30.0)
    assert len(four.sent) == 2
    assert four.joins == 2
    await case.discovery.close()
    assert four.closed
    assert six.closed


async def test_a_node_for_its_machine_alone_is_silent() -> None:
    case = Case(discovery={"lan": True})
    case.discovery.advertised([Address("127.0.0.1", 5)])
    await case.start()
    await case.later(30.0)
    assert Multicast.made[0].sent == []
    await case.discovery.close()


async def test_without_one_of_the_groups_the_other_is_used() -> None:
    Multicast.fails = OSError("no IPv6")
    case = Case(discovery={"lan": True})
    await case.start()
    assert [sock.group for sock in Multicast.made] == ["239.255.74.67"]
    await case.discovery.close()


def beacon_of(credentials: Credentials, port: int = 9) -> bytes:
    speaker = BeaconSpeaker(
        mesh=credentials.mesh,
        public_key=credentials.identity.public_key,
        sign=credentials.identity.sign,
        interval_s=1.0,
        now=0.0,
    )
    data = speaker.speak(epoch=1 << 32, port=port, addresses=("192.0.2.7:1",), now=1.0, wall=1.0)
    assert data is not None
    return data


async def test_whoever_is_heard_is_dialed_where_it_spoke_and_where_it_says() -> None:
    case = Case(discovery={"lan": True})
    await case.start()
    other = MESH.credentials()
    Multicast.made[0].received(beacon_of(other), "192.0.2.5")
    await case.quiet()
    assert {address for address, _ in case.dialer.dialed} == {
        Address("192.0.2.5", 9),
        Address("192.0.2.7", 1),
    }
    assert {expected for _, expected in case.dialer.dialed} == {other.node_id}
    await case.discovery.close()


async def test_beacons_of_linked_nodes_others_and_ourselves_are_no_news() -> None:
    case = Case(discovery={"lan": True})
    await case.start()
    linked = MESH.credentials()
    case.dialer.up.add(linked.node_id)
    case.discovery.link_up(linked.node_id, WHERE, dialed=True)
    for credentials in (linked, MeshOfLinks("others").credentials(), case.credentials):
        Multicast.made[0].received(beacon_of(credentials), "192.0.2.5")
    await case.quiet()
    assert case.dialer.dialed == []
    assert case.discovery.beacons_ignored[Ignored.OURSELF] == 1
    assert sum(case.discovery.beacons_ignored.values()) == 2
    await case.discovery.close()


async def test_a_raised_epoch_is_said_from_the_next_beacon_on() -> None:
    case = Case(discovery={"lan": True})
    case.discovery.advertised([Address("192.0.2.9", 5)])
    await case.start()
    case.discovery.hello_changed(
        Hello(PROTOCOL_VERSION, (), 9 << 32, 1.0, "a", (), case.credentials.mesh)
    )
    await case.later(30.0)
    first, second = Multicast.made[0].sent
    assert first != second
    await case.discovery.close()


async def test_a_simulated_machine_uses_no_multicast_dns(monkeypatch: pytest.MonkeyPatch) -> None:
    class Simulated(SystemHost):
        is_simulated = True

    Mdns.made = []
    monkeypatch.setattr(module, "MdnsSource", Mdns)
    monkeypatch.setattr(module, "current_host", Simulated)
    case = Case(discovery={"lan": False, "mdns": True})
    case.discovery.advertised([Address("192.0.2.9", 5)])
    await case.start()
    assert [mdns.is_open for mdns in Mdns.made] == [False]
    await case.discovery.close()


async def test_names_are_looked_up_and_whoever_is_there_is_dialed() -> None:
    async with DnsServer({("mesh.example", "A"): [WHERE.host]}) as server:
        discovery = {"lan": False, "dns": ["mesh.example"], "dns_server": str(server.address)}
        case = Case(discovery=discovery)
        case.dialer.outcomes[WHERE] = DialResult(DialOutcome.UP, PEER)
        await case.start()
        await eventually_async(lambda: PEER in case.dialer.up)
        assert case.dialer.dialed == [(WHERE, None)]
        await case.discovery.close()


async def test_with_only_peers_no_name_is_looked_up() -> None:
    async with DnsServer({}) as server:
        discovery = {"lan": False, "dns": ["mesh.example"], "dns_server": str(server.address)}
        case = Case(discovery=discovery, topology={"only_peers": True})
        await case.start()
        await case.later(60.0)
        assert server.asked == []
        await case.discovery.close()


class Mdns:
    """Multicast DNS that hears what the test says."""

    made: list[Mdns]

    def __init__(self, *, found: Callable[[NodeId, Iterable[Address]], None], **_: Any) -> None:
        self.found = found
        self.is_open = False
        self.said: list[tuple[tuple[str, ...], int]] = []
        Mdns.made.append(self)

    def open(self) -> None:
        self.is_open = True

    def say(self, hello: Hello, *, port: int) -> None:
        self.said.append((hello.addresses, port))

    async def close(self) -> None:
        self.is_open = False


async def test_a_node_that_others_can_dial_uses_multicast_dns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Mdns.made = []
    monkeypatch.setattr(module, "MdnsSource", Mdns)
    case = Case(discovery={"lan": False, "mdns": True})
    case.discovery.advertised([Address("192.0.2.9", 5)])
    await case.start()
    (mdns,) = Mdns.made
    assert mdns.is_open
    mdns.found(PEER, [WHERE])
    await case.quiet()
    assert case.dialer.dialed == [(WHERE, PEER)]
    case.discovery.hello_changed(msgspec.structs.replace(case.hello, addresses=("192.0.2.8:5",)))
    assert mdns.said == [(("192.0.2.9:5",), 5), (("192.0.2.8:5",), 5)]
    await case.discovery.close()
    assert not mdns.is_open


@pytest.mark.parametrize(
    ("listen", "config"),
    [
        ("127.0.0.1", {}),
        ("192.0.2.9", {"topology": {"only_peers": True}}),
        ("192.0.2.9", {"discovery": {"lan": False, "mdns": False}}),
    ],
)
async def test_who_cannot_or_will_not_be_found_uses_no_multicast_dns(
    monkeypatch: pytest.MonkeyPatch, listen: str, config: dict[str, Any]
) -> None:
    Mdns.made = []
    monkeypatch.setattr(module, "MdnsSource", Mdns)
    case = Case(**{"discovery": {"lan": False, "mdns": True}, **config})
    case.discovery.advertised([Address(listen, 5)])
    await case.start()
    assert [mdns.is_open for mdns in Mdns.made] == [False]
    await case.discovery.close()
