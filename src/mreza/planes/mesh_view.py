"""What a node knows of the mesh: the half of the control plane that others read."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from mreza.errors import AmbiguousName, InvalidId, UnknownNode
from mreza.events import MemberState
from mreza.ids import ID_LETTERS, NodeId
from mreza.membership.member import Member
from mreza.membership.roster import Roster
from mreza.records.database import Database
from mreza.routing.computation import RouteComputation
from mreza.routing.router import Router
from mreza.routing.spf import Route
from mreza.wire.records import AgedRecord, Introduction, Prekey, RecordKind

_CACHED_MAX = 1024


class MeshView:
    """Questions about members, routes and records. Changes nothing."""

    def __init__(
        self,
        *,
        me: NodeId,
        database: Database,
        roster: Roster,
        computation: RouteComputation,
        keys: Mapping[NodeId, bytes],
        roles: Mapping[NodeId, str],
        introductions: Mapping[NodeId, Introduction],
        now: float,
    ) -> None:
        self.me = me
        self.database = database
        self.roster = roster
        self.router: Router = computation.router
        self.computation = computation
        self._keys = keys
        self._roles = roles
        self._now = now
        self._introductions = introductions
        self._offering: dict[str, tuple[NodeId, ...]] = {}
        self._offering_version = -1
        self._found: dict[str | NodeId, NodeId] = {}
        self._found_version = -1

    @property
    def routes(self) -> Mapping[NodeId, Route]:
        """Destination → route, this node left out."""
        return self.router.routes

    @property
    def members(self) -> Mapping[NodeId, Member]:
        """All known nodes, this one included."""
        return self.roster.members

    def path_to(self, destination: NodeId) -> tuple[NodeId, ...]:
        """This node, all relays, the destination; empty if there is no path."""
        return self.router.path_to(destination)

    def detour_to(self, destination: NodeId) -> tuple[NodeId, ...]:
        """As `path_to`, but leaving by another first hop; empty if there is no such way."""
        return self.computation.detour(destination)

    def is_whole(self, path: tuple[NodeId, ...]) -> bool:
        """Whether both ends of every link of this path still list it."""
        return self.computation.is_whole(path)

    def epoch_of(self, node: NodeId) -> int | None:
        """The epoch of a node's newest introduction, if the node is known."""
        member = self.roster.members.get(node)
        return None if member is None else member.epoch

    def prekey_of(self, node: NodeId) -> Prekey | None:
        """The newest key to seal for, if the node is known."""
        introduction = self._introductions.get(node)
        return introduction.prekeys[0] if introduction and introduction.prekeys else None

    def public_key_of(self, node: NodeId) -> bytes | None:
        """The raw Ed25519 key of a node, if it is known."""
        return self._keys.get(node)

    def role_of(self, node: NodeId) -> str:
        """The role in a node's certificate; empty if the node is not known."""
        return self._roles.get(node, "")

    def introduction_of(self, node: NodeId) -> Introduction | None:
        """What the node says of itself."""
        return self._introductions.get(node)

    def newest_introduction(self, node: NodeId, *, now: float | None = None) -> AgedRecord | None:
        """The signed record, to show to others; `now` defaults to the last time told."""
        record = self.database.get(node, RecordKind.INTRODUCTION)
        if record is None:
            return None
        return self.database.aged(record, now=self._now if now is None else now)

    def offering(self, process: str) -> tuple[NodeId, ...]:
        """The alive nodes that do this work, by id; this one included if it does."""
        if self._offering_version != self.roster.version:
            self._offering = {}
            self._offering_version = self.roster.version
        found = self._offering.get(process)
        if found is None:
            found = tuple(
                sorted(
                    member.id
                    for member in self.roster.members.values()
                    if member.state is MemberState.ALIVE and process in member.offers
                )
            )
            if len(self._offering) >= _CACHED_MAX:
                self._offering = {}
            self._offering[process] = found
        return found

    def label_of(self, node: NodeId) -> str:
        """Its name, or the beginning of its id."""
        member = self.roster.members.get(node)
        return node.short if member is None else member.label

    def find(self, name_or_id: str | NodeId) -> NodeId:
        """The node of that id or name.

        A name counts for the members that have it and did not fail or leave, if there are any.

        Raises:
            UnknownNode: no member has it.
            AmbiguousName: several members have this name.
        """
        if self._found_version != self.roster.version:
            self._found = {}
            self._found_version = self.roster.version
        found = self._found.get(name_or_id)
        if found is None:
            found = self._search(name_or_id)
            if len(self._found) >= _CACHED_MAX:
                self._found = {}
            self._found[name_or_id] = found
        return found

    def _search(self, name_or_id: str | NodeId) -> NodeId:
        members = self.roster.members
        if isinstance(name_or_id, NodeId):
            if name_or_id in members:
                return name_or_id
            raise UnknownNode(f"no node {name_or_id} is known to this mesh")
        if len(name_or_id) == ID_LETTERS:
            try:
                node = NodeId.parse(name_or_id)
            except InvalidId:
                pass
            else:
                return self._search(node)
        named = [member for member in members.values() if member.name == name_or_id]
        here = [m for m in named if m.state in (MemberState.ALIVE, MemberState.SUSPECT)] or named
        if not here:
            names = sorted(member.name for member in members.values())
            close = difflib.get_close_matches(name_or_id, names, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(names)}"
            raise UnknownNode(f"no node is named {name_or_id!r}; {hint}")
        if len(here) > 1:
            ids = ", ".join(str(member.id) for member in here)
            raise AmbiguousName(f"{len(here)} nodes are named {name_or_id!r}; use an id: {ids}")
        return here[0].id
