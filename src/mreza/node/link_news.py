"""What links hear: an input of the core, news for discovery, an event for the program."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from mreza.address import Address
from mreza.clock import Clock
from mreza.events import Event, LinkDown, LinkUp, PeerRefused
from mreza.ids import NodeId
from mreza.link.quality import Quality
from mreza.link.send_queue import Body
from mreza.node.link_events import PeerRefusal
from mreza.node.logs import Log
from mreza.planes.core import NodeCore
from mreza.wire.link import Hello
from mreza.wire.records import AgedRecord


class Finder(Protocol):
    """What looks for peers; `mreza.node.discovery.Discovery` does."""

    def link_up(
        self, peer: NodeId, address: Address, *, dialed: bool, addresses: tuple[str, ...]
    ) -> None: ...
    def link_down(self, peer: NodeId, cause: str) -> None: ...


class LinkNews:
    """`LinkEvents` of a running node. It translates, wakes the driver, and decides nothing."""

    def __init__(
        self,
        core: NodeCore,
        *,
        finder: Callable[[], Finder],
        clock: Clock,
        emit: Callable[[Event], None],
        wake: Callable[[], None],
        log: Log,
    ) -> None:
        """`finder` is asked for with each news: it dials with the links that tell us."""
        self._core = core
        self._finder = finder
        self._clock = clock
        self._emit = emit
        self._wake = wake
        self._log = log

    def link_up(
        self, peer: NodeId, hello: Hello, address: Address, *, dialed: bool, rtt_s: float
    ) -> None:
        self._core.link_up(peer, peer_epoch=hello.epoch, rtt_s=rtt_s, now=self._now)
        self._finder().link_up(peer, address, dialed=dialed, addresses=hello.addresses)
        self._emit(
            LinkUp(
                at=self._clock.wall(),
                peer=peer,
                label=hello.name,
                address=str(address),
                dialed=dialed,
            )
        )
        self._wake()

    def link_down(self, peer: NodeId, cause: str) -> None:
        label = self._core.control.label_of(peer)
        self._core.link_down(peer, cause=cause, now=self._now)
        self._finder().link_down(peer, cause)
        self._emit(LinkDown(at=self._clock.wall(), peer=peer, label=label, cause=cause))
        self._wake()

    def link_measured(self, peer: NodeId, quality: Quality) -> None:
        rtt_s, loss, load = quality
        control = self._core.control
        if control.link_measured(peer, rtt_s=rtt_s, loss=loss, load=load, now=self._now):
            self._wake()

    def link_reset(self, peer: NodeId) -> None:
        self._core.link_down(peer, cause="reset", now=self._now)
        self._finder().link_down(peer, "reset")
        self._wake()

    def peer_gone(self, peer: NodeId) -> None:
        self._core.link_down(peer, cause="gone", now=self._now)
        self._wake()

    def frame(self, peer: NodeId, kind: int, body: bytes) -> None:
        self._core.frame(peer, kind, body, now=self._now)
        self._wake()

    def frame_dropped(self, peer: NodeId, kind: int, body: Body) -> None:
        self._core.frame_dropped(peer, kind, body, now=self._now)
        self._wake()

    def refused(self, refusal: PeerRefusal) -> None:
        self._emit(
            PeerRefused(
                at=self._clock.wall(),
                address=str(refusal.address),
                code=refusal.code,
                text=refusal.text,
                by_us=refusal.by_us,
                peer=refusal.peer,
            )
        )
        if refusal.introduction is not None:
            self._core.offer(refusal.introduction, now=self._now)
        self._wake()

    def identity_conflict(
        self,
        address: Address,
        epoch: int,
        introduction: AgedRecord | None,
        *,
        uptime_s: float | None = None,
    ) -> None:
        self._log.warning("identity_conflict", address=str(address), epoch=f"{epoch:016x}")
        if introduction is not None:
            self._core.offer(introduction, now=self._now)
        if uptime_s is not None:
            self._core.own_key_said_hello(epoch, uptime_s=uptime_s, now=self._now)
        self._wake()

    @property
    def _now(self) -> float:
        return self._clock.monotonic()
