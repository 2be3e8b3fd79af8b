"""Whom could we dial, and when: addresses from every source, with patience for each node.

A source only adds. All addresses of a node are tried together; between two rounds the node waits a
random time up to a bound that doubles (full jitter, Brooker 2015), also after a refusal. A neighbor
just lost is dialed at once and then twice a second at least, because most losses are short. After
five minutes all that were lost share one draw: each side of a partition together dials about one of
the others a second, for ever, so that no partition is too long to heal and none is too large.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable
from random import Random
from typing import NamedTuple

from mreza.address import Address
from mreza.config.discovery import DiscoveryConfig
from mreza.discovery.target import Place, Target
from mreza.ids import NodeId
from mreza.token_bucket import TokenBucket

LOST_FIRST_S = 0.02
"After a lost link: long enough for a dying process to close its listener, short against 0.3 s."
STABLE_S = 5.0
"A link that lived so long has worked; one that ended sooner counts against its node."
LOST_PAUSE_S = (0.5, 1.0)
LOST_FOR_S = 300.0
"How long a lost neighbor is dialed so often. Then it is one of those that are drawn."
DRAW_EVERY_S = 1.0
"One of those lost long ago is dialed so often, by all nodes of a side together."
GONE_WITHIN_S = 10.0
"A refused redial this long after a reset means that the process is gone."
OURSELF_PAUSE_S = 300.0
"An address that turned out to be our own may become another's, but not soon."
ADDRESSES_PER_NODE_MAX = 16
NODES_MAX = 4096
HINTED_MAX = 256
"Nodes of which nothing but beacons speaks: anybody on the network can make up one after the other."
HINTED_DIALS_MAX = 16
"Dials to such nodes at a time; the places of a driver are for all."
HINTED_DIALS_PER_S = 50.0
"And in a second: nobody shall make a whole mesh call at a door of his choice all the time."
HASTENED_EVERY_S = 5.0
"A node that tells new addresses, or that it runs, again and again is dialed at once so often."
PAUSE_MIN_S = 0.05
"Never faster than this, whatever the dice say."
RESET = "reset"
_INNOCENT = (RESET, "silent", "closed", "replaced")
"Causes of a loss that are no refusal."
_DOUBLINGS_MAX = 16


class Source(enum.Enum):
    """Who told us."""

    STATIC = "static"
    "Given by the user: dialed for ever, and never forgotten."
    STATE_DIRECTORY = "state_directory"
    BEACON = "beacon"
    MDNS = "mdns"
    DNS = "dns"
    "A name that the user gave leads here; who is there shows when it is dialed."
    RECORD = "record"
    ADDRESS_BOOK = "address_book"
    HELLO = "hello"


_HINTS = (Source.BEACON, Source.MDNS)
"Anybody on the network can make these up."
_ALIVE = (Source.BEACON, Source.MDNS, Source.STATE_DIRECTORY)
"Whoever is told of by these runs at this moment."
_NAMELESS = (Source.STATIC, Source.DNS)
"These tell an address and not whose it is."


class Outcome(enum.Enum):
    """How a dial ended."""

    UP = "up"
    NOBODY = "nobody"
    "The machine refused the connection."
    FAILED = "failed"
    "No answer, or a refusal by TLS or by the peer."
    OURSELF = "ourself"
    ALREADY = "already"
    "Another dial to the same node is further."


class Dial(NamedTuple):
    """Please dial this address now, and tell the result."""

    address: Address
    expected: NodeId | None
    "Who must be there; None for an address that the user gave."


class Candidates:
    """Every address heard of, and when to dial it next."""

    def __init__(
        self,
        *,
        me: NodeId,
        config: DiscoveryConfig,
        only_peers: bool,
        rng: Random,
        now: float,
        side: Callable[[], int] = lambda: 1,
    ) -> None:
        """`only_peers`: the user's addresses are dialed and nothing else.

        `side`: how many nodes can be reached from here, this one included.
        """
        self._me = me
        self._config = config
        self._only_peers = only_peers
        self._rng = rng
        self._targets: dict[NodeId | Address, Target] = {}
        self._linked: dict[NodeId, None] = {}
        self._hinted_dials = TokenBucket(
            rate_per_s=HINTED_DIALS_PER_S, burst=2 * HINTED_DIALS_PER_S
        )
        self._hinted_at = now
        "From then on hinted nodes may be dialed; infinite until a dial to one of them ends."
        self._side = side
        self._draw_at = math.inf
        "When one of those lost long ago is dialed."
        for text in config.peers:
            self.add(Source.STATIC, Address.parse(text), None, now=now)

    # Inputs.

    def add(
        self, source: Source, address: Address, node: NodeId | None = None, *, now: float
    ) -> bool:
        """Hear of an address; True if it will be dialed at once for that."""
        static = source is Source.STATIC
        if node == self._me or address.port == 0 or address.is_unspecified:
            return False
        if not static and (self._only_peers or (node is None and source not in _NAMELESS)):
            return False
        key: NodeId | Address = address if node is None else node
        target = self._targets.get(key)
        if target is not None and source not in _HINTS:
            target.hinted = False
        if target is None:
            self._make_room(hinted=source in _HINTS)
            target = self._targets[key] = Target(node, static=static, now=now)
            target.hinted = source in _HINTS
        elif address in target.places:
            return source in _ALIVE and self._is_alive(target, now)
        if len(target.places) >= ADDRESSES_PER_NODE_MAX and not self._forget_one(target):
            return False
        target.places[address] = Place()
        if now >= target.hasten_at:
            target.due_at = now
            target.hasten_at = now + HASTENED_EVERY_S
        target.due_at = min(target.due_at, target.hasten_at)
        return True

    def linked(self, node: NodeId, address: Address | None = None, *, now: float) -> None:
        """A link to this node is up; with the address it was dialed at, if we dialed."""
        self._linked[node] = None
        for target in self._of(node):
            target.failures = 0
            target.hinted = False
            target.linked_at = now
            target.lost_at = None
            target.gone_until = 0.0
            if address in target.places:
                target.places[address].succeeded_at = now

    def lost(self, node: NodeId, *, cause: str, remote_host: str, now: float) -> None:
        """The link to this node ended.

        `reset` means without a word, as when a process is killed.
        """
        self._linked.pop(node, None)
        for target in self._of(node):
            lived_s = STABLE_S if target.linked_at is None else now - target.linked_at
            target.brief = 0 if lived_s >= STABLE_S else target.brief + 1
            target.lost_at = now
            target.remote_host = remote_host
            target.gone_until = now + GONE_WITHIN_S if cause == RESET else 0.0
            target.by_reset = cause == RESET
            if target.brief <= 1:
                target.hasten_at = min(target.hasten_at, now)
            if cause in _INNOCENT and target.brief <= 1:
                target.due_at = now + LOST_FIRST_S
            elif target.by_reset:
                # A process that is killed again and again is lost each time; it refuses nobody.
                target.due_at = now + self._rng.uniform(*LOST_PAUSE_S)
            else:
                # Links that come up and end again at once are a refusal, whatever they are called.
                target.due_at = now + self._backoff_s(max(1, target.brief))

    def result(
        self, dial: Dial, outcome: Outcome, node: NodeId | None = None, *, now: float
    ) -> NodeId | None:
        """A dial has ended. Returns a node whose process is gone, as this result proves."""
        # One place is free, whoever is dialed next.
        self._hinted_at = min(self._hinted_at, now)
        target = self._targets.get(dial.address if dial.expected is None else dial.expected)
        place = target.places.get(dial.address) if target is not None else None
        if target is None or place is None:
            return None
        place.in_flight = False
        if target.nameless and node is not None:
            target.node = node
        if outcome is Outcome.UP:
            place.succeeded_at = now
        gone = self._proves_gone(target, dial.address, place, outcome, now)
        if not target.in_flight:
            self._plan(target, outcome, now)
        return gone

    # Outputs.

    def next_deadline(self) -> float | None:
        """When `due` has something; None while nobody is to be dialed."""
        wanted = [target for target in self._targets.values() if self._is_wanted(target)]
        return min(
            (
                self._draw_at
                if target.waits_for_draw
                else max(target.due_at, self._hinted_at if target.hinted else 0.0)
                for target in wanted
            ),
            default=None,
        )

    def due(self, *, now: float) -> list[Dial]:
        """What to dial now: all addresses of each node whose time has come, best first."""
        dials: list[Dial] = []
        hinted: list[Target] = []
        for target in self._targets.values():
            if target.due_at > now or not self._is_wanted(target):
                continue
            if target.hinted:
                hinted.append(target)
            else:
                self._dial(target, dials)
        if hinted and now >= self._hinted_at:
            self._dial_hinted(hinted, dials, now)
        if now >= self._draw_at:
            self._draw(dials, now)
        return dials

    def addresses_of(self, node: NodeId) -> tuple[Address, ...]:
        """What is known of one node, best first."""
        places = {a: p for target in self._of(node) for a, p in target.places.items()}
        return tuple(
            address for address, _ in sorted(places.items(), key=lambda item: -item[1].rank)
        )

    # Rules.

    def _is_alive(self, target: Target, now: float) -> bool:
        """It runs at this moment: what has failed before says little. True: it is due now."""
        target.failures = min(target.failures, 1)
        if now >= target.hasten_at and now < target.due_at and self._is_wanted(target):
            target.hasten_at = now + HASTENED_EVERY_S
            target.due_at = now
            return True
        target.due_at = min(target.due_at, now + self._config.redial_first_s)
        return False

    def _dial(self, target: Target, dials: list[Dial]) -> None:
        expected = None if target.nameless else target.node
        known = sorted(target.places.items(), key=lambda item: -item[1].rank)
        for address, place in known:
            place.in_flight = True
            dials.append(Dial(address, expected))

    def _dial_hinted(self, hinted: list[Target], dials: list[Dial], now: float) -> None:
        """Those that wait longest, as far as patience with strangers goes."""
        in_flight = sum(t.in_flight_count for t in self._targets.values() if t.hinted)
        for target in sorted(hinted, key=lambda target: target.due_at):
            count = len(target.places)
            if in_flight and in_flight + count > HINTED_DIALS_MAX:
                self._hinted_at = math.inf
                return
            if not self._hinted_dials.take(count, now=now):
                self._hinted_at = self._hinted_dials.available_at(count, now=now)
                return
            in_flight += count
            self._dial(target, dials)

    def _draw(self, dials: list[Dial], now: float) -> None:
        """Dial one of those lost long ago; when the next is drawn depends on how many we are."""
        lost = [t for t in self._targets.values() if t.waits_for_draw and self._is_wanted(t)]
        if lost:
            self._dial(self._rng.choice(lost), dials)
        self._draw_at = now + self._draw_pause_s() if lost else math.inf

    def _draw_pause_s(self) -> float:
        pause_s = self._rng.expovariate(1.0 / (DRAW_EVERY_S * max(1, self._side())))
        return max(PAUSE_MIN_S, pause_s)

    def _of(self, node: NodeId) -> list[Target]:
        own = self._targets.get(node)
        nameless = [t for t in self._targets.values() if t.nameless and t.node == node]
        return nameless if own is None else [own, *nameless]

    def _is_wanted(self, target: Target) -> bool:
        if target.in_flight or not target.places:
            return False
        return target.node is None or target.node not in self._linked

    def _proves_gone(
        self, target: Target, address: Address, place: Place, outcome: Outcome, now: float
    ) -> NodeId | None:
        """The machine that the link led to answers, and says that nobody listens."""
        if outcome is not Outcome.NOBODY or now > target.gone_until or target.node is None:
            return None
        if place.succeeded_at is None and address.host != target.remote_host:
            return None
        for other in self._of(target.node):
            other.gone_until = 0.0
        return target.node

    def _plan(self, target: Target, outcome: Outcome, now: float) -> None:
        """When the next round begins."""
        if outcome is Outcome.OURSELF:
            target.due_at = now + OURSELF_PAUSE_S
            return
        if outcome is Outcome.UP:
            return  # linked, or lost again meanwhile: `lost` has said when
        if target.lost_at is not None and now - target.lost_at >= LOST_FOR_S:
            target.wait_for_draw()
            if self._draw_at == math.inf:
                self._draw_at = now + self._draw_pause_s()
            return
        if target.lost_at is not None and (target.brief <= 1 or target.by_reset):
            target.due_at = now + self._rng.uniform(*LOST_PAUSE_S)
            return
        target.due_at = now + self._backoff_s(max(target.failures, target.brief))
        target.failures = min(target.failures + 1, _DOUBLINGS_MAX)

    def _backoff_s(self, failures: int) -> float:
        return backoff_s(
            failures,
            first_s=self._config.redial_first_s,
            max_s=self._config.redial_max_s,
            rng=self._rng,
        )

    def _make_room(self, *, hinted: bool) -> None:
        if hinted and sum(t.hinted for t in self._targets.values()) >= HINTED_MAX:
            self._forget_oldest([key for key, t in self._targets.items() if t.hinted])
        elif len(self._targets) >= NODES_MAX:
            # What the user gave stays.
            self._forget_oldest([key for key, t in self._targets.items() if not t.static])

    def _forget_oldest(self, keys: list[NodeId | Address]) -> None:
        """Those of which only beacons speak go first, then those that never answered."""

        def worth(key: NodeId | Address) -> tuple[bool, bool, float]:
            target = self._targets[key]
            return not target.hinted, target.succeeded, target.added_at

        idle = [key for key in keys if not self._targets[key].in_flight] or keys
        if idle:
            del self._targets[min(idle, key=worth)]

    def _forget_one(self, target: Target) -> bool:
        """The address of a node that answered longest ago, or never, gives way to a new one."""
        idle = [a for a, place in target.places.items() if not place.in_flight]
        if not idle:
            return False
        del target.places[min(idle, key=lambda a: target.places[a].rank)]
        return True


def backoff_s(failures: int, *, first_s: float, max_s: float, rng: Random) -> float:
    """A random wait up to a bound that doubles with each failure in a row."""
    bound_s = min(max_s, first_s * 2.0 ** min(failures, _DOUBLINGS_MAX))
    return max(PAUSE_MIN_S, rng.uniform(0.0, bound_s))
