"""Keys and certificates of a world, made from its seed, and checked once for all of its nodes.

What is checked in a world is checked by the code of the mesh; only the second and later nodes that
check the very same bytes get the first one's answer.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from random import Random

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mreza.ids import ID_BYTES, MeshId
from mreza.security.authority import Authority, create_mesh
from mreza.security.certificates import MemberCertificate, TrustAnchors, load_certificate
from mreza.security.credentials import Credentials
from mreza.security.identity import PUBLIC_KEY_BYTES, Identity

_SERIAL_BITS_LEAST = 152
"A serial number has 159 random bits; with so many it takes 20 bytes, as nearly all do."


class SharedAnchors(TrustAnchors):
    """Judges a chain once for the whole world."""

    def __init__(self, mesh: MeshId, roots: tuple[bytes, ...]) -> None:
        super().__init__(mesh, roots)
        self._judged: dict[tuple[bytes, ...], MemberCertificate] = {}

    def check_chain(self, certificates: Sequence[bytes], *, wall: float) -> MemberCertificate:
        """As `TrustAnchors` does; of a chain that was accepted only the dates count anew."""
        chain = tuple(certificates)
        member = self._judged.get(chain)
        if member is not None and member.not_before <= wall <= member.not_after:
            return member
        member = super().check_chain(chain, wall=wall)
        self._judged[chain] = member
        return member


@dataclasses.dataclass(frozen=True, slots=True)
class SharedCredentials(Credentials):
    """Credentials whose judge is the world's."""

    judge: TrustAnchors | None = None

    @property
    def anchors(self) -> TrustAnchors:
        return self.judge or TrustAnchors(self.mesh, self.roots)


class Trust:
    """The authority of a world."""

    def __init__(self, *, rng: Random, wall: float) -> None:
        self._rng = rng
        self._wall = wall
        secrets = create_mesh("sim", wall=wall, mesh=MeshId(rng.randbytes(ID_BYTES)))
        while _serial_bits(secrets.authority_der) < _SERIAL_BITS_LEAST:
            secrets = create_mesh("sim", wall=wall, mesh=secrets.mesh)
        self.authority = Authority(
            secrets.authority_key_pem, secrets.authority_der, secrets.root_der
        )
        self.anchors = SharedAnchors(secrets.mesh, (secrets.root_der,))
        self._issued: dict[tuple[bytes, str], tuple[bytes, bytes]] = {}

    def identity(self) -> Identity:
        """A key pair from the seed."""
        seed = self._rng.randbytes(PUBLIC_KEY_BYTES)
        return Identity(Ed25519PrivateKey.from_private_bytes(seed))

    def credentials(self, identity: Identity, name: str) -> Credentials:
        """What a node proves itself with: the same for each of its lives."""
        key = (identity.public_key, name)
        chain = self._issued.get(key)
        while chain is None or _serial_bits(chain[0]) < _SERIAL_BITS_LEAST:
            chain = self.authority.issue(
                identity.public_key, name=name, role="member", wall=self._wall
            )
        self._issued[key] = chain
        return SharedCredentials(
            identity=identity,
            mesh=self.anchors.mesh,
            mesh_name="sim",
            chain=chain,
            roots=self.anchors.roots,
            judge=self.anchors,
        )


def _serial_bits(der: bytes) -> int:
    return load_certificate(der).serial_number.bit_length()
