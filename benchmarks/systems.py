"""The systems under test: each a few processes, started once and measured again and again."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import ipaddress
import json
import os
import secrets
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Any, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from benchmarks.child import ANSWER_LIMIT
from benchmarks.figures import Case, Measured
from benchmarks.peers import PEERS
from mreza.security.authority import Authority, create_mesh
from mreza.security.credentials import to_pem
from mreza.security.identity import Identity

ROOT = Path(__file__).resolve().parents[1]
IN_FLIGHT = 100
NEAR, FAR, RELAY = "near", "far", "relay"


class Child:
    """One process that obeys; see child.py."""

    def __init__(self, process: asyncio.subprocess.Process, what: str) -> None:
        self._process = process
        self._what = what

    @classmethod
    async def start(cls, kind: str, *, what: str, env: dict[str, str]) -> Self:
        paths = [str(ROOT), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "benchmarks.child",
            kind,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=ANSWER_LIMIT,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(filter(None, paths)),
                **env,
            },
        )
        return cls(process, what)

    async def ask(self, do: str, **more: Any) -> dict[str, Any]:
        """One command, one answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": do, **more}).encode() + b"\n")
        line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the {self._what} process ended while doing {do!r}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def end(self) -> None:
        """Let it close; kill it if it does not."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(10):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


class System:
    """Processes by role. The near end does what a case says, the far end counts or sends back."""

    def __init__(self, name: str, children: dict[str, Child]) -> None:
        self.name = name
        self._children = children

    async def run(self, case: Case, *, seconds: float) -> Measured:
        """One measurement, CPU time of every process included."""
        near, far = self._children[NEAR], self._children[FAR]
        if case.do in ("round_trips", "calls_many"):
            await far.ask("echo")
        else:
            await far.ask("count", size=case.size)
        for child in self._children.values():
            await child.ask("mark")
        more = {"in_flight": IN_FLIGHT} if case.do == "calls_many" else {}
        done = await near.ask(case.do, size=case.size, seconds=seconds, **more)
        if case.do == "one_way":
            there = await far.ask("received", count=done["sent"])
            done = {"messages": done["sent"], "seconds": there["at"] - done["at"]}
        cpu_us = {
            role: (await child.ask("cpu"))["cpu_s"] * 1e6 / done["messages"]
            for role, child in self._children.items()
        }
        return Measured(
            messages=done["messages"],
            seconds=done["seconds"],
            cpu_us=cpu_us,
            p50_us=done.get("p50_us"),
            p99_us=done.get("p99_us"),
        )


@contextlib.asynccontextmanager
async def children(kind: str, *roles: str, **env: str) -> AsyncIterator[dict[str, Child]]:
    """Processes of one kind, ended with the block."""
    started: dict[str, Child] = {}
    try:
        for role in roles:
            started[role] = await Child.start(kind, what=f"{kind} {role}", env=env)
        yield started
    finally:
        for child in reversed(started.values()):
            await child.end()


@contextlib.asynccontextmanager
async def mesh(folder: Path) -> AsyncIterator[System]:
    """Two nodes that share a state directory, linked directly."""
    state = str(folder / "mesh")
    common: dict[str, Any] = {"state": state, "peers": [], "only_peers": False}
    async with children("mesh", FAR, NEAR) as nodes:
        await nodes[FAR].ask("open", name=FAR, expect=[], **common)
        await nodes[NEAR].ask("open", name=NEAR, expect=[NEAR, FAR], **common)
        await nodes[NEAR].ask("aim", name=FAR)
        yield System("mreza", nodes)


@contextlib.asynccontextmanager
async def mesh_line(folder: Path) -> AsyncIterator[System]:
    """Three nodes in a line: the ends have no link."""
    common: dict[str, Any] = {"state": str(folder / "line"), "only_peers": True}
    async with children("mesh", RELAY, FAR, NEAR) as nodes:
        opened = await nodes[RELAY].ask("open", name=RELAY, peers=[], expect=[], **common)
        common["peers"] = [opened["address"]]
        await nodes[FAR].ask("open", name=FAR, expect=[RELAY], **common)
        await nodes[NEAR].ask("open", name=NEAR, expect=[RELAY, FAR], **common)
        await nodes[NEAR].ask("aim", name=FAR)
        yield System("mreza, one relay", nodes)


@contextlib.asynccontextmanager
async def tls(kind: str, folder: Path) -> AsyncIterator[System]:
    """Two processes, one TLS connection."""
    roots, pems = certificates(folder / kind)
    async with children(kind, FAR, NEAR) as ends:
        there = await ends[FAR].ask("open", pem=pems[FAR], roots=roots)
        await ends[NEAR].ask("open", pem=pems[NEAR], roots=roots, address=there["address"])
        yield System(kind, ends)


@contextlib.asynccontextmanager
async def peer(kind: str, folder: Path) -> AsyncIterator[System]:
    """Another library: a server or a cluster in one process (and those it starts), and a caller."""
    own = folder / kind
    p256_certificates(own)
    # A token of this run alone: Ray would make one for all clusters of this user.
    token = own / "ray.token"
    token.touch(mode=0o600)
    token.write_text(secrets.token_hex(32))
    env = {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    async with children(kind, FAR, NEAR, **env) as ends:
        there = await ends[FAR].ask("open", folder=str(own), role=FAR)
        await ends[NEAR].ask("open", folder=str(own), role=NEAR, address=there["address"])
        yield System(kind, ends)


def certificates(folder: Path) -> tuple[str, dict[str, str]]:
    """A root and two members of it, as files: the same kind of certificate as ours."""
    folder.mkdir()
    wall = time.time()
    made = create_mesh("benchmark", wall=wall)
    authority = Authority(made.authority_key_pem, made.authority_der, made.root_der)
    roots = folder / "roots.pem"
    roots.write_bytes(to_pem([made.root_der]))
    pems = {}
    for role in (NEAR, FAR):
        identity = Identity.generate()
        chain = authority.issue(identity.public_key, name=role, wall=wall)
        file = folder / f"{role}.pem"
        file.touch(mode=0o600)
        file.write_bytes(identity.to_pem() + to_pem(chain))
        pems[role] = str(file)
    return str(roots), pems


def p256_certificates(folder: Path) -> None:
    """As `certificates`, of P-256, for TLS libraries that do not take Ed25519."""
    folder.mkdir()
    now = dt.datetime.now(dt.UTC)
    root_key = ec.generate_private_key(ec.SECP256R1())
    root_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "root")])

    def issue(name: str, key: ec.EllipticCurvePrivateKey, *, is_root: bool) -> bytes:
        made = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(root_name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(minutes=5))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=is_root, path_length=None), critical=True)
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
                critical=False,
            )
            .sign(root_key, hashes.SHA256())
        )
        return made.public_bytes(Encoding.PEM)

    (folder / "root.pem").write_bytes(issue("root", root_key, is_root=True))
    for role in (NEAR, FAR):
        key = ec.generate_private_key(ec.SECP256R1())
        (folder / f"{role}.pem").write_bytes(issue(role, key, is_root=False))
        secret = folder / f"{role}.key"
        secret.touch(mode=0o600)
        secret.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


@contextlib.asynccontextmanager
async def all_systems(folder: Path, wanted: set[str]) -> AsyncIterator[dict[str, System]]:
    """Those of the systems that are wanted, by name, running side by side."""
    makers: dict[str, Callable[[Path], AbstractAsyncContextManager[System]]] = {
        "mreza": mesh,
        "mreza, one relay": mesh_line,
        **{kind: partial(tls, kind) for kind in ("tls-blocks", "tls-batches", "tls-streams")},
        **{kind: partial(peer, kind) for kind in PEERS},
    }
    async with contextlib.AsyncExitStack() as stack:
        yield {
            name: await stack.enter_async_context(make(folder))
            for name, make in makers.items()
            if name in wanted
        }
