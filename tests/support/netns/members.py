"""Nodes that run the probes app, what they are asked, and what they heard."""

from __future__ import annotations

import itertools
import json
import statistics
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from mreza.node.control_protocol import Call, Leave, Routes, Trace
from tests.support.eventually import GENEROUS_S, eventually
from tests.support.netns.hosts import Host
from tests.support.netns.probes import EVENTS
from tests.support.processes import NodeProcess

APP = "tests.support.netns.probes:app"
PROBE_EVERY_S = 0.01
SETTLE_S = 60.0
"Enough for many processes to start on two busy cores."


class Heard(msgspec.Struct, frozen=True):
    """An event, when a node's program heard it."""

    at: float
    name: str
    fields: dict[str, Any]


class Member:
    """A node of a measured mesh."""

    def __init__(self, host: Host, process: NodeProcess) -> None:
        self.host = host
        self.process = process

    @property
    def name(self) -> str:
        return self.process.name

    def ask(self, process: str, payload: Any = None, *, timeout_s: float = 60.0) -> Any:
        """One of the app's processes, on this node."""
        call = Call(
            process=f"netns.{process}", payload=payload, node=self.name, timeout_s=timeout_s
        )
        return self.process.ask(call, timeout_s=timeout_s + 5.0)["result"]

    def events(self, name: str | None = None, *, since: float = 0.0, **fields: Any) -> list[Heard]:
        """What its program heard: of this name, from then on, with these values."""
        found = []
        # The last line may be half written.
        for line in self.process.output(EVENTS).split(b"\n")[:-1]:
            event = json.loads(line)
            at = event.pop("monotonic")
            if at < since or (name is not None and event["event"] != name):
                continue
            if all(event.get(key) == value for key, value in fields.items()):
                found.append(Heard(at, event["event"], event))
        return found

    def hears(self, name: str, *, since: float = 0.0, **fields: Any) -> Heard:
        """The first such event, once it is there."""
        found: list[Heard] = eventually(
            lambda: self.events(name, since=since, **fields), f"{self.name} hears {name} {fields}"
        )
        return found[0]

    def became(self, label: str, state: str, *, since: float) -> float | None:
        """When it heard, after `since`, that the member took that state."""
        heard = self.events("member_changed", since=since, label=label, new=state)
        return heard[0].at if heard else None

    def path(self, to: str) -> list[str]:
        """Names of the nodes on the way, ends included."""
        hops = self.process.ask(Trace(node=to))["path"]
        return [self.name, *(hop["name"] for hop in hops)]

    def routes(self) -> list[dict[str, Any]]:
        """The JSON of `mreza routes`."""
        found: list[dict[str, Any]] = self.process.ask(Routes())
        return found

    def leave(self) -> None:
        self.process.ask(Leave(reason="test"))


def all_see_all(members: Sequence[Member], *, timeout_s: float = SETTLE_S) -> None:
    """Wait until each sees each alive."""
    names = {member.name for member in members}
    for member in members:
        member.process.sees(*names, timeout_s=timeout_s)


def known_to(
    members: Iterable[Member],
    label: str,
    state: str,
    *,
    since: float,
    timeout_s: float = GENEROUS_S,
) -> dict[str, float]:
    """Seconds after `since` until each heard that `label` took that state."""
    found: dict[str, float] = {}
    for member in members:

        def heard(member: Member = member) -> float | None:
            return member.became(label, state, since=since)

        at = eventually(heard, f"{member.name} hears {label} {state}", timeout_s=timeout_s)
        assert at is not None
        found[member.name] = at - since
    return found


class Flow:
    """Probes from one node to another, and when they flowed."""

    def __init__(self, source: Member, target: Member, *, every_s: float = PROBE_EVERY_S) -> None:
        self.source, self.target, self.every_s = source, target, every_s
        source.ask("probe", {"to": target.name, "every_s": every_s})
        self.again(0.0)

    def again(self, since: float, *, timeout_s: float = SETTLE_S) -> float:
        """Seconds without probes, up to the first one sent after `since` that arrived.

        Counted at the receiver: what was on its way past the fault still arrived after it.
        """
        order = {"source": self.source.process.node_id, "since": since}
        before, at = self.target.ask("flows", order, timeout_s=timeout_s)
        return float(at - before)

    def longest_gap_s(self, *, since: float = 0.0, until: float = float("inf")) -> float:
        """The longest time in which no probe arrived."""
        order = {"source": self.source.process.node_id, "since": since}
        times = [at for _, at in self.target.ask("came", order) if at <= until]
        return max((b - a for a, b in itertools.pairwise(times)), default=0.0)

    def stop(self) -> list[float]:
        sent: list[float] = self.source.ask("probe_stop")
        return sent


class Load:
    """Messages with receipts from one node to another, and what became of them."""

    def __init__(self, source: Member, target: Member, *, per_s: float) -> None:
        self.source, self.target = source, target
        source.ask("load", {"to": target.name, "per_s": per_s})

    def stop(self, *, timeout_s: float = 120.0) -> Outcome:
        """Wait for every receipt, and compare with what the target did."""
        said = self.source.ask("load_stop", timeout_s=timeout_s)
        order = {"source": self.source.process.node_id, "first": said["first"]}
        seen = self.target.ask("handled", order)
        return Outcome(
            sent=said["sent"],
            failed=said["failed"],
            slowest_s=said["slowest_s"],
            handled=seen["count"],
            twice=seen["twice"],
        )


class Outcome(msgspec.Struct, frozen=True):
    """Of messages with receipts."""

    sent: int
    failed: list[str]
    "Receipts that did not come, and why."
    slowest_s: float
    handled: int
    twice: list[int]
    "Numbers of messages that were handled more than once."

    @property
    def lost_or_doubled(self) -> int:
        return len(self.failed) + len(self.twice) + (self.sent - self.handled)


def median_and_worst(figures: Sequence[float]) -> tuple[float, float]:
    return statistics.median(figures), max(figures)


def wait_until(condition: Callable[[], Any], what: str, *, timeout_s: float = SETTLE_S) -> Any:
    """`eventually`, with the patience that whole meshes need."""
    return eventually(condition, what, timeout_s=timeout_s)
