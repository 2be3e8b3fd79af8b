"""A node's part of a state directory: key, certificate, boot counter, addresses.

nodes/NAME/key.pem, chain.pem     who it is
nodes/NAME/boot                   counts starts; on disk before the number is used
nodes/NAME/listen.json            where it listens, or did last, for the nodes beside it
nodes/NAME/addresses.json         the address book
nodes/NAME/lock, control.sock     held, and open, while it runs
"""

from __future__ import annotations

import contextlib
import platform
import re
from pathlib import Path
from types import TracebackType
from typing import Self

from mreza.address import Address
from mreza.config.security import default_state_dir
from mreza.errors import AdmissionError, CertificateRejected, StateError
from mreza.ids import NodeId
from mreza.io.files import FileLock, make_private_folder, read_file, write_atomic
from mreza.node.address_book import AddressBook
from mreza.node.listening import Listening, ListeningFiles, read_listening, write_listening
from mreza.node.mesh_folder import (
    MeshFolder,
    adopt_mesh,
    find_mesh,
    found_mesh,
    lock_state,
    other_mesh,
)
from mreza.node.token_ledger import FileTokenLedger
from mreza.security.admission import Granted
from mreza.security.authority import DAY_S
from mreza.security.certificates import MEMBER_ROLE, MemberCertificate, load_certificate
from mreza.security.credentials import Credentials, from_pem, to_pem
from mreza.security.identity import Identity, check_name
from mreza.security.join_token import JoinToken

__all__ = [
    "JoiningNode",
    "NodeState",
    "begin_join",
    "default_state_dir",
    "node_folders",
    "open_node",
]

RENEW_BEFORE_S = 60 * DAY_S
"A certificate is renewed in its last 60 of 365 days: two months of absence are survived."
BOOTS_MAX = 2**32
"An epoch has 32 bits for it."
NAMES_TRIED_MAX = 256
"Nodes without a name in one state directory."


class NodeState:
    """One node's folder, held until `close`."""

    def __init__(
        self,
        directory: Path,
        *,
        mesh_folder: MeshFolder,
        credentials: Credentials,
        certificate: MemberCertificate,
        lock: FileLock,
    ) -> None:
        self.directory = directory
        self.name = directory.name
        self.mesh_folder = mesh_folder
        self.credentials = credentials
        self.certificate = certificate
        "Our own, as others read it."
        self.tokens = FileTokenLedger(mesh_folder)
        self.addresses = AddressBook(directory / "addresses.json")
        self._lock = lock
        self._listening: Listening | None = None
        self._siblings = ListeningFiles(directory.parent, but_not=directory.name)

    @property
    def state_dir(self) -> Path:
        return self.directory.parent.parent

    def next_boot(self, at_least: int = 0) -> int:
        """Raise the boot counter and return it; it is on disk before this returns."""
        boot = max(_read_boot(self.directory) + 1, at_least)
        if boot >= BOOTS_MAX:
            raise StateError(f"the boot counter of {self.name!r} is used up; join under a new name")
        write_atomic(self.directory / "boot", b"%d\n" % boot)
        return boot

    def write_listen(self, addresses: tuple[str, ...], *, epoch: int) -> None:
        """Tell the other nodes of this state directory where we can be dialed."""
        self._listening = Listening.of_this_process(
            self.credentials.node_id, addresses=addresses, epoch=epoch
        )
        write_listening(self.directory, self._listening)

    def siblings(self) -> list[tuple[NodeId, tuple[str, ...]]]:
        """Where the other running nodes of this state directory listen; cheap to ask."""
        return [(one.node, one.addresses) for one in self._siblings.running()]

    def create_token(
        self,
        *,
        uses: int = 1,
        lifetime_s: float = 3600.0,
        role: str = MEMBER_ROLE,
        addresses: tuple[str, ...] = (),
        wall: float,
    ) -> JoinToken:
        """A join token of the first authority whose key is here."""
        if not self.credentials.authorities:
            raise AdmissionError(
                f"{self.state_dir} holds no authority key; make the token on a node that does",
                code="no_authority",
            )
        return self.tokens.create(
            self.credentials.authorities[0],
            uses=uses,
            lifetime_s=lifetime_s,
            role=role,
            addresses=addresses,
            wall=wall,
        )

    def close(self) -> None:
        """Stop being listed as running, and let another process use the folder."""
        if self._lock.held:
            try:
                if self._listening is not None:
                    # On a full disk the old file stays; its process is gone, and readers see that.
                    with contextlib.suppress(StateError):
                        write_listening(self.directory, self._listening.ended())
            finally:
                self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class JoiningNode:
    """The folder of a node about to join. Its key stays: a second try is the same node's."""

    def __init__(self, directory: Path, *, identity: Identity, lock: FileLock) -> None:
        self.directory = directory
        self.name = directory.name
        self.identity = identity
        self._lock = lock

    def finish(
        self, granted: Granted, *, wall: float, met: tuple[NodeId, Address] | None = None
    ) -> None:
        """Store the membership, and where a member was met; `open_node` then starts this node."""
        state_dir = self.directory.parent.parent
        with lock_state(state_dir):
            adopt_mesh(
                state_dir,
                mesh=granted.mesh,
                name=granted.mesh_name,
                roots=granted.roots,
                wall=wall,
            )
            write_atomic(self.directory / "chain.pem", to_pem(granted.chain))
        if met is not None:
            # The node is to find its mesh by this alone: there may be no multicast between them.
            book = AddressBook(self.directory / "addresses.json")
            book.learn(met[0], (str(met[1]),), wall=wall)
            book.save()

    def close(self) -> None:
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def open_node(state_dir: Path, name: str | None, *, mesh_name: str, wall: float) -> NodeState:
    """Take a node's folder; create the mesh, the key and the certificate if they are not there yet.

    Raises:
        StateError: the node runs already, or the directory is damaged or not ours.
        AdmissionError: no authority key is here to sign a certificate with; see its text.
    """
    with lock_state(state_dir):
        mesh = find_mesh(state_dir)
        if mesh is None:
            _refuse_while_joining(state_dir)
            mesh = found_mesh(state_dir, mesh_name, wall=wall)
        directory, lock = _take_folder(state_dir, name, may_sign=bool(mesh.authorities))
        try:
            identity = _identity(directory)
            credentials, certificate = _credentials(directory, identity, mesh, wall=wall)
        except BaseException:
            lock.release()
            raise
    return NodeState(
        directory,
        mesh_folder=mesh,
        credentials=credentials,
        certificate=certificate,
        lock=lock,
    )


def begin_join(state_dir: Path, name: str | None, token: JoinToken, *, wall: float) -> JoiningNode:
    """Take the folder of a node that has no valid certificate, and make its key if it has none."""
    with lock_state(state_dir):
        mesh = find_mesh(state_dir)
        if mesh is not None and mesh.mesh != token.mesh:
            raise other_mesh(state_dir, mesh)
        names = _host_names() if name is None else [check_name(name)]
        for candidate in names:
            directory = state_dir / "nodes" / candidate
            if _is_member(directory, wall=wall):
                continue
            make_private_folder(directory)
            lock = FileLock.try_acquire(directory / "lock")
            if lock is not None:
                return JoiningNode(directory, identity=_identity(directory), lock=lock)
    raise StateError(
        f"the node {names[0]!r} of {state_dir} is a member already or is joining now; "
        "choose another name (--name)"
    )


def _is_member(directory: Path, *, wall: float) -> bool:
    """True if the node of this folder has a certificate that has not expired."""
    pem = read_file(directory / "chain.pem")
    if pem is None:
        return False
    leaf = load_certificate(from_pem(pem)[0])
    return wall < leaf.not_valid_after_utc.timestamp()


def node_folders(state_dir: Path) -> list[Path]:
    """The folders of all nodes of a state directory, by name."""
    nodes = state_dir / "nodes"
    return sorted(path for path in nodes.iterdir() if path.is_dir()) if nodes.is_dir() else []


def _take_folder(state_dir: Path, name: str | None, *, may_sign: bool) -> tuple[Path, FileLock]:
    """Lock the named folder, or the first that is free."""
    if name is not None:
        directory = state_dir / "nodes" / check_name(name)
        if not may_sign and not (directory / "chain.pem").exists():
            raise _needs_token(state_dir, name)
        make_private_folder(directory)
        lock = FileLock.try_acquire(directory / "lock")
        if lock is None:
            running = read_listening(directory)
            by = f" (process {running.pid})" if running is not None and running.pid else ""
            raise StateError(f"the node {name!r} of {state_dir} is running already{by}")
        return directory, lock
    for candidate in _host_names():
        directory = state_dir / "nodes" / candidate
        if not may_sign and not (directory / "chain.pem").exists():
            continue
        make_private_folder(directory)
        if (lock := FileLock.try_acquire(directory / "lock")) is not None:
            return directory, lock
    # No authority here: any folder that has joined will do.
    started: list[str] = []
    for directory in node_folders(state_dir):
        if (directory / "chain.pem").exists():
            lock = FileLock.try_acquire(directory / "lock")
            if lock is not None:
                return directory, lock
            started.append(directory.name)
    if started:
        raise AdmissionError(
            f"the nodes of {state_dir} that have joined run already ({', '.join(started)}); "
            "another needs a token of its own: `mreza invite` on an authority, then "
            "`mreza join TOKEN --name NAME`",
            code="needs_token",
        )
    raise _needs_token(state_dir, None)


def _host_names() -> list[str]:
    """The host's name, then -2, -3 and so on."""
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "-", platform.node().partition(".")[0])
    host = plain.lstrip(".-")[:58] or "node"
    return [host, *(f"{host}-{number}" for number in range(2, NAMES_TRIED_MAX + 1))]


def _refuse_while_joining(state_dir: Path) -> None:
    """No mesh of its own for a directory whose node has asked another mesh to be let in."""
    for directory in node_folders(state_dir):
        if (directory / "key.pem").exists() and not (directory / "chain.pem").exists():
            raise AdmissionError(
                f"the node {directory.name!r} in {state_dir} has asked to join a mesh and was not "
                "let in: `mreza join TOKEN` again; to make a mesh of its own instead, remove "
                f"{directory}",
                code="needs_token",
            )


def _needs_token(state_dir: Path, name: str | None) -> AdmissionError:
    who = "a node" if name is None else f"the node {name!r}"
    return AdmissionError(
        f"{who} in {state_dir} needs a token: no authority key is here to admit it. "
        "Make one on an authority (`mreza invite`), then `mreza join TOKEN`.",
        code="needs_token",
    )


def _read_boot(directory: Path) -> int:
    """The boot counter on disk; a lost one counts as 0, and the mesh tells us to go beyond."""
    text = (read_file(directory / "boot") or b"").strip()
    return int(text) if text.isdigit() and len(text) <= 10 else 0


def _identity(directory: Path) -> Identity:
    """The key of a node; made, and on disk, at first use."""
    pem = read_file(directory / "key.pem")
    if pem is not None:
        return Identity.from_pem(pem)
    identity = Identity.generate()
    write_atomic(directory / "key.pem", identity.to_pem())
    return identity


def _credentials(
    directory: Path, identity: Identity, mesh: MeshFolder, *, wall: float
) -> tuple[Credentials, MemberCertificate]:
    """The node's certificate, issued or renewed here if it must be and can be."""
    pem = read_file(directory / "chain.pem")
    role = MEMBER_ROLE
    if pem is not None:
        held = _with_chain(identity, mesh, from_pem(pem))
        ends = load_certificate(held.chain[0]).not_valid_after_utc.timestamp()
        certificate = _own_certificate(held, wall=min(wall, ends))
        if wall < ends - (RENEW_BEFORE_S if mesh.authorities else 0):
            return held, certificate
        role = certificate.role
        if not mesh.authorities:
            raise AdmissionError(
                f"the certificate of {directory.name!r} has expired; "
                "join again with a new token (`mreza invite`, then `mreza join TOKEN`)",
                code="expired",
            )
    elif not mesh.authorities:
        raise _needs_token(directory.parent.parent, directory.name)
    chain = mesh.authorities[0].issue(
        identity.public_key, name=directory.name, role=role, wall=wall
    )
    mesh.audit(
        "certificate_issued",
        {"node": str(identity.node_id), "name": directory.name, "role": role},
        wall=wall,
    )
    write_atomic(directory / "chain.pem", to_pem(chain))
    made = _with_chain(identity, mesh, chain)
    return made, _own_certificate(made, wall=wall)


def _with_chain(identity: Identity, mesh: MeshFolder, chain: tuple[bytes, ...]) -> Credentials:
    return Credentials(
        identity=identity,
        mesh=mesh.mesh,
        mesh_name=mesh.name,
        chain=chain,
        roots=mesh.roots,
        authorities=mesh.authorities,
    )


def _own_certificate(credentials: Credentials, *, wall: float) -> MemberCertificate:
    try:
        certificate = credentials.check(wall=wall)
    except CertificateRejected as error:
        raise AdmissionError(
            f"our own certificate is not valid: {error}", code=error.code
        ) from error
    if certificate.node_id != credentials.node_id:
        raise StateError(
            f"the certificate is that of {certificate.node_id}, not of this node's key"
        )
    return certificate
