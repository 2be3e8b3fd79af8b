"""All that must hold: safety after every instant, progress at the end of the quiet phase."""

from __future__ import annotations

from collections.abc import Callable

from mreza.sim.check_messages import Calls, Messages, OneOwner
from mreza.sim.check_records import Edges, Newest, Rest
from mreza.sim.check_routes import Hops, Routes
from mreza.sim.check_state import Agreement, Bounds
from mreza.sim.checker import Checker, CheckFailed
from mreza.sim.ledger import Ledger
from mreza.sim.world import World

__all__ = ["KNOWN", "CheckFailed", "Checker"]

KNOWN: dict[str, Callable[[World, Ledger], Checker]] = {
    "hops": Hops,
    "routes": Routes,
    "edges": Edges,
    "newest": Newest,
    "messages": Messages,
    "calls": Calls,
    "one_owner": OneOwner,
    "bounds": Bounds,
    "rest": Rest,
    "agreement": Agreement,
}
"Every checker by its name; a scenario's `checks` chooses among them."
