"""What a run is measured by."""

from __future__ import annotations

from collections.abc import Iterable

from mreza.sim.agenda import START_S
from mreza.sim.check_routes import fingerprint
from mreza.sim.ledger import Ledger
from mreza.sim.world import World


def is_one(world: World) -> bool:
    """All living nodes see each other, and hold equal databases."""
    living = world.living()
    return world.agree() and len({fingerprint(node) for node in living}) <= 1


def measured(world: World, ledger: Ledger) -> dict[str, float]:
    """Figures of a run that is over, however it ended."""
    figures: dict[str, float] = {}
    ways = [way for link in world.links.values() for way in link.ways]
    messages, calls = ledger.messages.values(), ledger.calls.values()
    handled = [sent.handled_at - sent.at for sent in messages if sent.handled_at is not None]
    receipts = [c.resolved_at - c.at for c in calls if c.outcome is not None]
    figures["virtual_s"] = world.now - START_S
    figures["instants"] = float(world.instants)
    figures["frames"] = float(sum(way.frames_carried for way in ways))
    figures["bytes"] = float(sum(way.bytes_carried for way in ways))
    figures["messages"] = float(len(messages))
    figures["handled"] = float(len(handled))
    figures["losses"] = float(len(messages) - len(handled))
    figures["refused"] = float(ledger.refused)
    figures["calls"] = float(len(calls))
    figures["calls_done"] = float(
        sum(c.outcome is not None and c.outcome.error is None for c in calls)
    )
    figures |= _percentiles("latency_s", handled)
    figures |= _percentiles("call_s", receipts)
    figures |= _percentiles("hops", ledger.hops)
    return {name: round(value, 6) for name, value in figures.items()}


def _percentiles(name: str, values: Iterable[float]) -> dict[str, float]:
    ordered = sorted(values)
    if not ordered:
        return {}
    last = len(ordered) - 1
    return {f"{name}_p{share}": float(ordered[last * share // 100]) for share in (50, 99)}
