"""The mesh part of a state directory: trust anchors and, where this is an authority, its key.

    mesh/mesh.json            id, name and root fingerprints
    mesh/roots/*.der          root certificates
    mesh/root.key             until it is exported to a safe place
    mesh/authorities/ID/      key.pem and cert.der of each authority whose key is here
    mesh/tokens/ID.json       join tokens of these authorities
    mesh/lock, audit.log

A mesh is put together in a folder beside and then renamed, under the lock of the state directory:
whoever looks sees no mesh or a whole one.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from mreza.errors import CertificateRejected, ConfigError, InvalidId, StateError
from mreza.ids import MeshId
from mreza.io.files import (
    FileLock,
    append_line,
    make_private_folder,
    read_file,
    sync_folder,
    write_atomic,
)
from mreza.security.authority import Authority, create_authority, create_mesh
from mreza.security.join_token import fingerprint
from mreza.wire.records import NAME_MAX

FOLDER = "mesh"
_UNFINISHED = "mesh.new"
_AUTHORITIES_MAX = 16
_ROOTS_MAX = 4


class _MeshFile(msgspec.Struct, frozen=True):
    """Contents of mesh.json."""

    mesh: str
    name: str
    roots: list[str]
    "SHA-256 of each root certificate, in hexadecimal; a file that is not listed is not trusted."


class MeshFolder:
    """The mesh of one state directory. Keys of authorities are read once, on opening."""

    def __init__(self, path: Path) -> None:
        file = read_mesh_file(path)
        if file is None:
            raise StateError(f"there is no mesh in {path.parent}")
        self.path = path
        try:
            self.mesh = MeshId.parse(file.mesh)
        except InvalidId as error:
            raise StateError(f"{path / 'mesh.json'} is damaged: {error}") from error
        self.name = file.name
        self.roots = tuple(_read_root(path, digest) for digest in file.roots)
        self.authorities = self._read_authorities()

    @property
    def tokens_path(self) -> Path:
        return self.path / "tokens"

    @property
    def root_key_path(self) -> Path:
        """The root's private key; gone after an export."""
        return self.path / "root.key"

    def lock(self) -> FileLock:
        """Held while tokens or authorities change."""
        return FileLock.acquire(self.path / "lock")

    def audit(self, event: str, details: Mapping[str, Any], *, wall: float) -> None:
        """Write down what was decided about trust, on disk before it takes effect."""
        line = msgspec.json.encode({"at": round(wall, 3), "event": event, **details})
        append_line(self.path / "audit.log", line)

    def add_authority(self, *, wall: float) -> Authority:
        """Make one more authority with the root's key, if that is still here."""
        with self.lock():
            root_key = read_file(self.root_key_path)
            if root_key is None:
                raise StateError("the root's key is not in this state directory any more")
            key_pem, der = create_authority(root_key, self.roots[0], wall=wall)
            made = Authority(key_pem, der, self.roots[0])
            self.audit("authority_created", {"authority": made.authority_id.hex()}, wall=wall)
            _write_authority(self.path, key_pem, der, made.authority_id)
        self.authorities = (*self.authorities, made)
        return made

    def _read_authorities(self) -> tuple[Authority, ...]:
        folder = self.path / "authorities"
        found = sorted(folder.iterdir())[:_AUTHORITIES_MAX] if folder.is_dir() else []
        authorities: list[Authority] = []
        for one in found:
            key_pem, der = read_file(one / "key.pem"), read_file(one / "cert.der")
            # The certificate is written last: without it the authority was never finished.
            if key_pem is not None and der is not None:
                try:
                    authorities.append(Authority(key_pem, der, self.roots[0]))
                except (StateError, CertificateRejected) as error:
                    raise StateError(f"{one} is damaged: {error}") from error
        return tuple(authorities)


def find_mesh(state_dir: Path) -> MeshFolder | None:
    """The mesh of a state directory, if it has one."""
    path = state_dir / FOLDER
    return MeshFolder(path) if read_mesh_file(path) is not None else None


def lock_state(state_dir: Path) -> FileLock:
    """Held while the mesh is created or the folder of a new node is chosen."""
    make_private_folder(state_dir)
    return FileLock.acquire(state_dir / "lock")


def found_mesh(state_dir: Path, name: str, *, wall: float) -> MeshFolder:
    """Create a mesh and its first authority. The caller holds `lock_state`."""
    if len(name.encode()) > NAME_MAX:
        raise ConfigError(f"the mesh's name {name!r} is longer than {NAME_MAX} bytes")
    secrets = create_mesh(name, wall=wall)
    new = _begin(state_dir)
    write_atomic(new / "root.key", secrets.root_key_pem)
    authority = Authority(secrets.authority_key_pem, secrets.authority_der, secrets.root_der)
    _write_authority(new, authority.key_pem, authority.der, authority.authority_id)
    made = _finish(state_dir, new, mesh=secrets.mesh, name=name, roots=(secrets.root_der,))
    made.audit(
        "mesh_created",
        {"mesh": str(secrets.mesh), "name": name, "authority": authority.authority_id.hex()},
        wall=wall,
    )
    return made


def adopt_mesh(
    state_dir: Path, *, mesh: MeshId, name: str, roots: tuple[bytes, ...], wall: float
) -> MeshFolder:
    """Store the trust anchors of a mesh that was joined. The caller holds `lock_state`."""
    if (present := find_mesh(state_dir)) is not None:
        if present.mesh != mesh:
            raise other_mesh(state_dir, present)
        return present
    made = _finish(state_dir, _begin(state_dir), mesh=mesh, name=name, roots=roots)
    made.audit("mesh_joined", {"mesh": str(mesh), "name": name}, wall=wall)
    return made


def other_mesh(state_dir: Path, present: MeshFolder) -> StateError:
    """The error for a state directory that belongs to another mesh."""
    return StateError(
        f"{state_dir} holds the mesh {present.name!r} ({present.mesh}); "
        "a state directory belongs to one mesh: use another one (--state)"
    )


def read_mesh_file(path: Path) -> _MeshFile | None:
    """Contents of mesh.json, None if there is no mesh."""
    data = read_file(path / "mesh.json")
    if data is None:
        return None
    try:
        file = msgspec.json.decode(data, type=_MeshFile)
    except msgspec.DecodeError as error:
        raise StateError(f"{path / 'mesh.json'} is damaged: {error}") from error
    if not 1 <= len(file.roots) <= _ROOTS_MAX:
        raise StateError(f"{path / 'mesh.json'} lists {len(file.roots)} roots")
    return file


def _begin(state_dir: Path) -> Path:
    new = state_dir / _UNFINISHED
    if new.exists():
        # Left by a crash before the rename: nobody has ever used it.
        shutil.rmtree(new)
    for folder in (new, new / "roots", new / "authorities", new / "tokens"):
        make_private_folder(folder)
    return new


def _finish(
    state_dir: Path, new: Path, *, mesh: MeshId, name: str, roots: tuple[bytes, ...]
) -> MeshFolder:
    digests = [fingerprint(root).hex() for root in roots]
    for digest, root in zip(digests, roots, strict=True):
        write_atomic(new / "roots" / f"{digest}.der", root)
    file = _MeshFile(mesh=str(mesh), name=name, roots=digests)
    write_atomic(new / "mesh.json", msgspec.json.format(msgspec.json.encode(file)))
    try:
        new.rename(state_dir / FOLDER)
    except OSError as error:
        raise StateError(f"cannot create {state_dir / FOLDER}: {error.strerror}") from error
    sync_folder(state_dir)
    return MeshFolder(state_dir / FOLDER)


def _write_authority(path: Path, key_pem: bytes, der: bytes, authority_id: bytes) -> None:
    folder = path / "authorities" / authority_id.hex()
    make_private_folder(folder)
    write_atomic(folder / "key.pem", key_pem)
    write_atomic(folder / "cert.der", der)
    sync_folder(folder.parent)


def _read_root(path: Path, digest: str) -> bytes:
    file = path / "roots" / f"{digest}.der"
    root = read_file(file) if digest.isalnum() else None
    if root is None or fingerprint(root).hex() != digest:
        raise StateError(f"{file} is missing or damaged")
    return root
