"""JSON of the reading commands as rows of a table, for people."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from typing import Any

from mreza.cli.problems import one_line

Json = Mapping[str, Any]

STATE_STYLES = {
    "alive": "green",
    "up": "green",
    "suspect": "yellow",
    "failed": "red",
    "left": "dim",
}
NOTHING = "-"


def duration(seconds: float | None) -> str:
    """A length of time with the two units that matter: 850 ms, 12 s, 3 min 5 s, 2 h 10 min."""
    if seconds is None:
        return NOTHING
    if seconds < 1:
        return f"{max(seconds, 0.0) * 1000:.0f} ms"
    whole = int(seconds)
    for unit, length, smaller, smaller_length in (
        ("d", 86400, "h", 3600),
        ("h", 3600, "min", 60),
        ("min", 60, "s", 1),
    ):
        if whole >= length:
            rest = whole % length // smaller_length
            return f"{whole // length} {unit}" + (f" {rest} {smaller}" if rest else "")
    return f"{whole} s"


def milliseconds(value: float | None) -> str:
    """A round trip."""
    return NOTHING if value is None else f"{value:.2f} ms"


def size(count: float) -> str:
    """A number of bytes: 512 B, 1.5 KiB, 20.0 MiB."""
    if count < 1024:
        return f"{count:.0f} B"
    if count < 1024**2:
        return f"{count / 1024:.1f} KiB"
    if count < 1024**3:
        return f"{count / 1024**2:.1f} MiB"
    return f"{count / 1024**3:.1f} GiB"


def counted(count: int, what: str) -> str:
    """So many of something: 1 file, 2 files, 1,000 files."""
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def node_rows(nodes: Sequence[Json]) -> list[list[str]]:
    """Columns: name, state, since, offers, cause, id."""
    return [
        [
            f"{node['name']} (here)" if node.get("me") else str(node["name"]),
            str(node["state"]),
            duration(node["since_s"]),
            ", ".join(node["offers"]) or NOTHING,
            node["cause"] or NOTHING,
            str(node["id"]),
        ]
        for node in nodes
    ]


NODE_COLUMNS = ("name", "state", "since", "offers", "cause", "id")


def link_rows(links: Sequence[Json]) -> list[list[str]]:
    """Columns: name, state, round trip, cost, dialed by, address, peer."""
    return [
        [
            str(link["name"]),
            str(link["state"]),
            milliseconds(link["rtt_ms"]),
            NOTHING if link["cost"] is None else str(link["cost"]),
            "us" if link["dialed"] else "them",
            str(link.get("address") or NOTHING),
            str(link["peer"]),
        ]
        for link in links
    ]


LINK_COLUMNS = ("name", "state", "rtt", "cost", "dialed by", "address", "peer")


def route_rows(routes: Sequence[Json]) -> list[list[str]]:
    """Columns: to, through, hops, cost, destination."""
    return [
        [
            str(route["name"]),
            str(route.get("next_hop_name") or route["next_hop"]),
            str(route["hops"]),
            str(route["cost"]),
            str(route["destination"]),
        ]
        for route in routes
    ]


ROUTE_COLUMNS = ("to", "through", "hops", "cost", "destination")


def trace_rows(path: Sequence[Json]) -> list[list[str]]:
    """Columns: hop, name, round trip, node."""
    return [
        [str(number), str(hop["name"]), milliseconds(hop["rtt_ms"]), str(hop["node"])]
        for number, hop in enumerate(path, start=1)
    ]


TRACE_COLUMNS = ("hop", "name", "rtt", "node")


def status_rows(status: Json) -> list[list[str]]:
    """One fact a row; what this version does not know is left out."""
    rows = []
    for key, value in status.items():
        if value is None or value == {}:
            continue
        if key == "partitions":
            rows += [["partition", partition_line(partition)] for partition in value]
            continue
        if isinstance(value, Mapping):
            rows += [[f"{key} {name}", _fact(name, inner)] for name, inner in value.items()]
        else:
            rows.append([key, _plain(value)])
    return rows


def partition_line(partition: Json) -> str:
    """Both sides by name, and for how long."""
    ours, theirs = (", ".join(partition[key]) for key in ("our_names", "their_names"))
    return f"for {duration(partition['since_s'])}: here {ours}; out of reach {theirs}"


def _fact(name: str, value: Any) -> str:
    if name in {"not_before", "not_after"} and isinstance(value, int | float):
        return f"{dt.datetime.fromtimestamp(value, tz=dt.UTC):%Y-%m-%d %H:%M} UTC"
    return _plain(value)


def _plain(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_plain, value)) or NOTHING
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_plain(inner)}" for name, inner in value.items()) or NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    return NOTHING if value is None else str(value)


def event_line(event: Json) -> str:
    """Time, name, and what else it says; of many nodes the names, not the ids."""
    at = dt.datetime.fromtimestamp(event["at"], tz=dt.UTC).astimezone()
    facts = " ".join(
        f"{key}={_plain(value)}"
        for key, value in event.items()
        if key not in {"at", "event", "ours", "theirs"} and value is not None
    )
    return one_line(f"{at:%H:%M:%S}.{at.microsecond // 1000:03d} {event['event']} {facts}")


def ping_summary(times_s: Sequence[float | None]) -> dict[str, Any]:
    """The JSON of `ping`: nearest-rank percentiles of the answers that came."""
    answered = sorted(time * 1000 for time in times_s if time is not None)

    def rank(share: float) -> float | None:
        if not answered:
            return None
        return round(answered[max(0, math.ceil(share * len(answered)) - 1)], 3)

    return {
        "sent": len(times_s),
        "received": len(answered),
        "rtt_ms": {"min": rank(0.0), "p50": rank(0.5), "p99": rank(0.99), "max": rank(1.0)},
    }


def plain_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Aligned columns, nothing cut off: for pipes and files."""
    clean = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(columns, *clean, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [[name.upper() for name in columns], *clean]
    ]
