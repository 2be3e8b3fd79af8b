"""init, invite and join: what they do, without a running node."""

from __future__ import annotations

import ipaddress
import re
import socket
import sys
from pathlib import Path
from typing import Any

import psutil

from mreza.address import DEFAULT_PORT, Address
from mreza.cli.problems import CommandFailed, UsageProblem
from mreza.errors import AdmissionError
from mreza.ids import NodeId
from mreza.io.clock import SystemClock
from mreza.node.joins import join
from mreza.node.listening import ListeningFiles
from mreza.node.mesh_folder import find_mesh
from mreza.node.state import begin_join, open_node
from mreza.node.token_ledger import FileTokenLedger
from mreza.security.admission import Granted, Joiner
from mreza.security.identity import Identity
from mreza.security.join_token import TOKEN_ADDRESSES_MAX, JoinToken

TTL_MAX_S = 365 * 86400
"A token that outlives the certificates it stands for is a mistake."
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_TRY_NEXT = ("unreachable", "wrong_mesh")
"Codes of a failed join that say something of the address, not of the token."

clock = SystemClock()


def seconds(text: str) -> int:
    """Read a time such as 90s, 30m, 1h or 7d.

    Raises:
        UsageProblem: it is none, or out of bounds.
    """
    found = re.fullmatch(r"(\d{1,9})\s*([smhd])", text.strip().lower())
    if found is None:
        raise UsageProblem(f"--ttl {text!r} is not a time; write 90s, 30m, 1h or 7d")
    length = int(found[1]) * _UNITS[found[2]]
    if not 1 <= length <= TTL_MAX_S:
        raise UsageProblem(f"--ttl {text} is out of bounds; allowed is 1s to 365d")
    return length


def make_mesh(state: Path, *, mesh: str, name: str | None) -> dict[str, Any]:
    """Create the mesh and this node's identity.

    Raises:
        CommandFailed: there is a mesh already.
        StateError: the directory cannot be used.
    """
    present = find_mesh(state)
    if present is not None:
        raise CommandFailed(
            f"{state} holds the mesh {present.name!r} already; start a node of it with `mreza up`, "
            "or make another mesh elsewhere with --state DIR"
        )
    with open_node(state, name, mesh_name=mesh, wall=clock.wall()) as node:
        return {
            "mesh": str(node.credentials.mesh),
            "mesh_name": node.credentials.mesh_name,
            "node": str(node.credentials.node_id),
            "name": node.name,
            "state": str(state),
        }


def make_token(
    state: Path, *, uses: int, ttl_s: int, role: str, addresses: tuple[str, ...] = ()
) -> dict[str, Any]:
    """A join token of the authority in this state directory.

    Raises:
        CommandFailed: there is no mesh, or its authority's key is elsewhere.
    """
    mesh = find_mesh(state)
    if mesh is None:
        raise CommandFailed(f"no mesh in {state}; make one with `mreza init` or `mreza up`")
    if not mesh.authorities:
        raise CommandFailed(
            f"{state} holds no authority key; make the token where the mesh {mesh.name!r} was made"
        )
    token = FileTokenLedger(mesh).create(
        mesh.authorities[0],
        uses=uses,
        lifetime_s=ttl_s,
        role=role,
        addresses=_token_addresses(state, addresses),
        wall=clock.wall(),
    )
    return {
        "token": token.encode(),
        "mesh": str(token.mesh),
        "mesh_name": token.mesh_name,
        "addresses": list(token.addresses),
        "expires": token.expires,
        "uses": uses,
        "role": role,
        "running": bool(ListeningFiles(state / "nodes").running()),
    }


def read_token(text: str) -> JoinToken:
    """A token from the command line, or from standard input for `-`.

    Raises:
        AdmissionError: it is damaged, or none.
    """
    return JoinToken.parse(sys.stdin.read(8192) if text == "-" else text)


async def join_mesh(
    state: Path, token: JoinToken, *, name: str | None, addresses: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Prove the token to a member, get a certificate, store it.

    Raises:
        AdmissionError: no member let us in; the text says why.
        StateError: the directory holds another mesh, or this node already.
    """
    where = [Address.parse(text) for text in dict.fromkeys((*addresses, *token.addresses))]
    if not where:
        raise UsageProblem("the token names no address; say where to join with --address HOST:PORT")
    with begin_join(state, name, token, wall=clock.wall()) as joining:
        granted, met = await _ask_in_turn(where, token, joining.identity, name=joining.name)
        joining.finish(granted, wall=clock.wall(), met=met)
        return {
            "mesh": str(granted.mesh),
            "mesh_name": granted.mesh_name,
            "node": str(joining.identity.node_id),
            "name": joining.name,
            "state": str(state),
        }


async def _ask_in_turn(
    addresses: list[Address], token: JoinToken, identity: Identity, *, name: str
) -> tuple[Granted, tuple[NodeId, Address] | None]:
    """The membership, and the member that was asked for it."""
    failures: list[AdmissionError] = []
    for address in addresses:
        joiner = Joiner(token, identity, name=name)
        try:
            granted = await join(address, joiner, clock=clock)
            return granted, None if joiner.server is None else (joiner.server, address)
        except AdmissionError as error:
            failures.append(error)
            if error.code not in _TRY_NEXT:
                break
    if len(failures) == 1 or failures[-1].code not in _TRY_NEXT:
        raise failures[-1]
    raise AdmissionError(
        f"none of the {len(failures)} addresses let us in: {'; '.join(map(str, failures))}",
        code=failures[-1].code,
    )


def _token_addresses(state: Path, given: tuple[str, ...]) -> tuple[str, ...]:
    """Given ones; else where nodes of this directory listen or did; else this host's own."""
    if given:
        return tuple(str(Address.parse(text)) for text in given)[:TOKEN_ADDRESSES_MAX]
    files = ListeningFiles(state / "nodes")
    found = [address for one in files.running() or files.all() for address in one.addresses]
    return tuple(dict.fromkeys(found or _host_addresses()))[:TOKEN_ADDRESSES_MAX]


def _host_addresses() -> list[str]:
    """This host's addresses, those that others can reach first, with the default port."""
    found: list[ipaddress.IPv4Address | ipaddress.IPv6Address] = []
    for interface in psutil.net_if_addrs().values():
        for one in interface:
            if one.family in {socket.AF_INET, socket.AF_INET6}:
                address = ipaddress.ip_address(one.address.partition("%")[0])
                if not address.is_link_local:
                    found.append(address)
    found.sort(key=lambda address: (address.is_loopback, address.version, int(address)))
    return [str(Address(str(address), DEFAULT_PORT)) for address in found]
