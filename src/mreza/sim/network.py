"""All links of a world: who is connected, who notices what when, and who dials again.

Nothing polls. A link that cannot come up waits until a cut is repaired or a node returns, so that
two days of partition cost nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import TYPE_CHECKING, Literal

from mreza.config.mesh import MeshConfig
from mreza.link.liveness import MARGIN
from mreza.link.rtt import RoundTripTime
from mreza.sim.agenda import Agenda, tick
from mreza.sim.link import SimLink, Way
from mreza.sim.probing import Probing

if TYPE_CHECKING:
    from mreza.sim.node import SimNode

SILENT = "silent"
OVER = -1.0
"Of a connection that one end has closed: no silence that follows keeps it."
MEASURE_S = 0.5
"How often the round-trip time of a link is measured; nodes do it with each probe,"
SAMPLES = 5
"which are so many in that time."
STEADY_AFTER = 60
"Measurements of an undisturbed link after which it is not measured any more."
HANDSHAKE_ROUND_TRIPS = 2
"TCP, then TLS 1.3 with both hellos."


Liveness = Literal["modelled", "real"]
"Whether silence is noticed as the machine of each link would, or by that machine with its probes."


class Network:
    """Links by their ends, and the life of their connections."""

    def __init__(
        self, *, agenda: Agenda, config: MeshConfig, rng: Random, liveness: Liveness = "modelled"
    ) -> None:
        self.agenda = agenda
        self.links: dict[tuple[str, str], SimLink] = {}
        self._rng = rng
        self._of: dict[str, list[SimLink]] = {}
        self._redial_s = config.discovery.redial_first_s
        self._link = config.link
        self._real = liveness == "real"

    # Questions.

    def of(self, name: str) -> list[SimLink]:
        """The links of one node, up or not."""
        return self._of.get(name, [])

    def between(self, a: str, b: str) -> SimLink | None:
        return self.links.get((min(a, b), max(a, b)))

    def crossing(self, side: set[str], rest: set[str]) -> Iterator[Way]:
        """Every way from a node of `side` to one of `rest`, in the order of building."""
        for link in self.links.values():
            for way in link.ways:
                if way.source.name in side and way.target.name in rest:
                    yield way

    # Building.

    def add(self, a: SimNode, b: SimNode, *, delay_s: float) -> SimLink:
        """A new link; it is dialed at once."""
        if b.name < a.name:
            a, b = b, a
        link = SimLink(a, b, delay_s=delay_s, agenda=self.agenda, rng=self._rng)
        self.links[link.ends] = link
        for name in link.ends:
            self._of.setdefault(name, []).append(link)
        return link

    def remove(self, name: str) -> None:
        """Forget the links of a node that is no more."""
        for link in self._of.pop(name, []):
            link.dialing = True  # nobody dials it again
            del self.links[link.ends]
            self._of[link.other(name)].remove(link)

    def dial(self, link: SimLink) -> None:
        """Connect now, or as soon as it can be."""
        if link.up or link.dialing or not link.free:
            return
        ends = [way.source for way in link.ways]
        if not all(node.alive and not node.frozen for node in ends):
            self._refused(link)
            return
        link.dialing = True
        handshake_s = HANDSHAKE_ROUND_TRIPS * self._round_trip_s(link)
        self.agenda.after(tick(handshake_s), self._connected, link)

    def redial(self, link: SimLink) -> None:
        """Dial after the wait of a neighbor just lost."""
        if not link.up and not link.dialing:
            link.dialing = True
            self.agenda.after(tick(self._redial_s * self._rng.uniform(0.8, 1.2)), self._dial, link)

    # Breaking and mending.

    def block(self, way: Way, cause: object) -> None:
        """Nothing passes any more."""
        way.blocks[cause] = None
        self.broken(way)

    def unblock(self, way: Way, cause: object) -> None:
        if way.blocks.pop(cause, way) is None:
            self.mended(way)

    def clog(self, way: Way, cause: object) -> None:
        """Frames wait, but signs of life pass."""
        way.clogs[cause] = None

    def unclog(self, way: Way, cause: object) -> None:
        way.clogs.pop(cause, None)
        self.mended(way)

    def broken(self, way: Way) -> None:
        """Signs of life may come no more over this way: its target notices after a while."""
        if not self._real and way.quiet is None and not way.passes and way.back.is_open:
            way.quiet = object()
            interval_s = self._interval_s(way)
            intervals = self._link.missed_probes + MARGIN - self._rng.random()
            patience_s = tick(max(1.0, intervals) * interval_s)
            generation = way.link.generation
            self.agenda.after(patience_s, self._given_up, way, way.quiet, generation)

    def mended(self, way: Way, *, speaks: bool = False) -> None:
        """Signs of life may pass again; if the source speaks, at once."""
        if way.passes:
            way.quiet = None
        link = way.link
        if self._real:
            way.resume()
        elif self.agenda.now < link.kept_until and not link.up:
            if all(each.passes for each in link.ways):
                probe_s = 0.0 if speaks else self._link.idle_probe_interval_s * self._rng.random()
                heard_s = probe_s + max(each.extra_s for each in link.ways)
                at = link.generation
                self.agenda.after(tick(link.delay_s + heard_s), self._revived, link, at)
        else:
            way.resume()
        self.redial(link)

    # The life of a connection.

    def close(self, way: Way, cause: str) -> None:
        """The source of this way ends its link; the other end hears of it if it can."""
        way.probing = None
        if way.is_open:
            way.is_open = False
            way.source.link_ended(way, cause)
            self._tell(way, cause)
        if cause == SILENT:
            if not way.link.kept_until:
                kept_s = self._link.silent_after_s - self._link.unusable_after_s
                way.link.kept_until = self.agenda.now + kept_s
        else:
            way.link.kept_until = OVER
        self.redial(way.link)

    def node_died(self, name: str, *, silently: bool) -> None:
        """A process ended: its kernel resets its connections, unless the machine went with it."""
        for link in self.of(name):
            way = link.way_from(name)
            link.kept_until = OVER
            was_probing, way.probing = way.probing, None
            if way.is_open or was_probing is not None:
                way.is_open = False
                if silently:
                    self.broken(way)
                else:
                    self._tell(way, "gone")
            elif not silently:
                self._refused(link)

    def node_quiet(self, name: str) -> None:
        """A node froze."""
        for link in self.of(name):
            self.broken(link.way_from(name))

    def node_back(self, name: str) -> None:
        """A node started, or thawed: it is heard, listens anew, and is dialed."""
        for link in self.of(name):
            out = link.way_from(name)
            self.mended(out, speaks=True)
            out.back.quiet = None
            self.broken(out.back)

    def watch(self, link: SimLink) -> None:
        """Its round-trip time may change: have both ends measure it."""
        if not link.watched:
            link.watched = True
            self.agenda.after(MEASURE_S, self._measure, link, 0)

    # Rules.

    def _measure(self, link: SimLink, steady: int) -> None:
        """What the echoes of probes would show; steady links are let alone after a while."""
        varies = any(way.bytes_per_s or way.extra_s for way in link.ways)
        steady = 0 if varies else steady + 1
        if steady > STEADY_AFTER or link.ends not in self.links:
            link.watched = False
            return
        if link.up:
            sample_s = sum(way.draw() + way.extra_s + way.backlog_s for way in link.ways)
            for way in link.ways:
                for _ in range(SAMPLES):
                    way.rtt.sample(sample_s)
                if not way.source.frozen and way.rtt.smoothed_s is not None:
                    way.source.link_measured(way, rtt_s=way.rtt.smoothed_s)
        self.agenda.after(MEASURE_S, self._measure, link, steady)

    def _interval_s(self, way: Way) -> float:
        """How often its source gives a sign of life."""
        if way.target.id in way.source.next_hops:
            return self._link.probe_interval_s
        return max(self._link.probe_interval_s, self._link.idle_probe_interval_s)

    @staticmethod
    def _round_trip_s(link: SimLink) -> float:
        return 2 * link.delay_s + sum(way.extra_s for way in link.ways)

    def _dial(self, link: SimLink) -> None:
        link.dialing = False
        self.dial(link)

    def _refused(self, link: SimLink) -> None:
        """Whoever reaches the machine of a dead process learns that it is gone."""
        for way in link.ways:
            node, peer = way.source, way.target
            if node.alive and not peer.alive and not peer.dark and link.free and not way.is_open:
                node.peer_is_gone(peer)

    def _connected(self, link: SimLink) -> None:
        link.dialing = False
        a, b = (way.source for way in link.ways)
        if link.up or not link.free:
            return
        if not all(node.alive and not node.frozen for node in (a, b)):
            self._refused(link)
            return
        if not self._welcome(a, b):
            self.redial(link)
            return
        for way in link.ways:
            if way.is_open:
                # Its peer lost its end of the connection before: this one takes its place.
                way.is_open = False
                way.source.link_ended(way, "replaced")
        link.generation += 1
        link.kept_until = 0.0
        for way in link.ways:
            way.clear()
            way.quiet = None
            way.is_open = True
            way.rtt = RoundTripTime()
        if any(way.bytes_per_s or way.extra_s for way in link.ways):
            self.watch(link)
        for way in link.ways:
            way.source.link_began(way, rtt_s=self._round_trip_s(link))
            if self._real:
                way.probing = Probing(
                    way,
                    config=self._link,
                    agenda=self.agenda,
                    usable_changed=self._usable_changed,
                    over=self._silent_for_too_long,
                )

    def _usable_changed(self, way: Way, usable: bool) -> None:  # noqa: FBT001 - a callback
        """The machine at the source of this way holds its link usable, or not."""
        way.is_open = usable
        if usable:
            way.source.link_began(way, rtt_s=way.rtt.smoothed_s or self._round_trip_s(way.link))
            way.back.resume()
        else:
            way.source.link_ended(way, SILENT)
            self.redial(way.link)

    def _silent_for_too_long(self, way: Way) -> None:
        self.close(way, SILENT)

    def _revived(self, link: SimLink, generation: int) -> None:
        """A link that was silent is heard again on the same connection."""
        if link.generation != generation or self.agenda.now >= link.kept_until:
            return
        if not all(way.passes and way.target.alive for way in link.ways):
            return
        link.kept_until = 0.0
        for way in link.ways:
            way.quiet = None
            if not way.is_open:
                way.is_open = True
                way.source.link_began(way, rtt_s=self._round_trip_s(link))
        for way in link.ways:
            way.resume()

    def _tell(self, way: Way, cause: str) -> None:
        """The last word of a connection, from the source of this way."""
        if way.back.is_open or way.back.probing is not None:
            if way.blocks:
                self.broken(way)
            else:
                generation = way.link.generation
                self.agenda.after(way.draw() + way.extra_s, self._heard_end, way, generation, cause)

    def _heard_end(self, way: Way, generation: int, cause: str) -> None:
        heeds = way.back.is_open or way.back.probing is not None
        if way.link.generation != generation or not heeds:
            return
        if way.blocks:
            self.broken(way)
        elif way.target.frozen:
            way.target.when_thawed(self._heard_end, way, generation, cause)
        else:
            self.close(way.back, cause)

    def _given_up(self, way: Way, quiet: object, generation: int) -> None:
        """The target's patience has ended."""
        if way.quiet is not quiet or way.link.generation != generation:
            return
        way.quiet = None
        if way.back.is_open and not way.target.frozen:
            self.close(way.back, SILENT)

    def _welcome(self, a: SimNode, b: SimNode) -> bool:
        """False if one of them shows an older epoch than the other knows; it is told so."""
        welcome = True
        for host, guest in ((a, b), (b, a)):
            epoch = guest.core.epoch
            newest = host.core.control.newest_introduction(guest.id)
            known = 0 if newest is None else newest.record.epoch
            for way, twin in self._twins(host, guest):
                known = max(known, twin.core.epoch)
                if twin.core.epoch < epoch:
                    self.close(way, "old_epoch")
            if known > epoch:
                if newest is not None:
                    guest.hear_of_itself(newest)
                welcome = False
        return welcome

    def _twins(self, host: SimNode, guest: SimNode) -> list[tuple[Way, SimNode]]:
        """Links that `host` has to other processes with the guest's key."""
        found = []
        for link in self.of(host.name):
            way = link.way_from(host.name)
            if way.is_open and way.target is not guest and way.target.id == guest.id:
                found.append((way, way.target))
        return found
