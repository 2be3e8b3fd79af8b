"""The disks of simulated hosts: real folders, gone with the simulation.

A process that is killed lets go of its disk at once. Here it cannot: the process goes on to hold
its files, and its locks, in this very process. So it keeps the folder; the next one gets a copy.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from random import Random

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mreza.io.files import make_private_folder, write_atomic
from mreza.node.mesh_folder import adopt_mesh, lock_state
from mreza.security.credentials import to_pem
from mreza.security.identity import PUBLIC_KEY_BYTES, Identity
from mreza.sim.trust import Trust

_IN_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
"Nothing there waits for a disk."


class Disks:
    """One folder for each host, below one of the simulation."""

    def __init__(self, *, seed: int, trust: Trust, wall: float) -> None:
        memory = _IN_MEMORY if os.access(_IN_MEMORY, os.W_OK) else None
        self.folder = Path(tempfile.mkdtemp(prefix="mreza-sim-", dir=memory))
        self._seed = seed
        self._trust = trust
        self._wall = wall
        self._crashes = 0

    def of(self, name: str) -> Path:
        """The disk of a host."""
        return self.folder / name

    def admit(self, name: str) -> None:
        """Give a host the trust anchors of the mesh, and its node a key and a certificate."""
        state = self.of(name) / "state"
        node = state / "nodes" / name
        if node.exists():
            return
        seed = Random(f"{self._seed}/key/{name}").randbytes(PUBLIC_KEY_BYTES)  # noqa: S311
        identity = Identity(Ed25519PrivateKey.from_private_bytes(seed))
        credentials = self._trust.credentials(identity, name)
        with lock_state(state):
            adopt_mesh(
                state,
                mesh=credentials.mesh,
                name=credentials.mesh_name,
                roots=credentials.roots,
                wall=self._wall,
            )
        make_private_folder(node)
        write_atomic(node / "key.pem", identity.to_pem(), durable=False)
        write_atomic(node / "chain.pem", to_pem(credentials.chain), durable=False)

    def crashed(self, name: str) -> None:
        """What is on the disk stays; who wrote to it has no part in it any more."""
        self._crashes += 1
        here = self.of(name)
        if here.exists():
            left = here.rename(self.folder / f".{name}-{self._crashes}")
            shutil.copytree(left, here, ignore=_special)

    def remove(self) -> None:
        """All of them."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _special(folder: str, names: list[str]) -> list[str]:
    """Sockets cannot be copied."""
    return [name for name in names if (Path(folder) / name).is_socket()]
