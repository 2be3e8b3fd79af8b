"""A peer that keeps no rules: raw TLS with any certificate and ALPN, and any bytes behind it."""

from __future__ import annotations

import socket
import ssl
import tempfile
from pathlib import Path
from typing import NamedTuple, Self

from mreza.address import Address
from mreza.ids import make_epoch
from mreza.security.authority import Authority, create_mesh
from mreza.security.credentials import Credentials
from mreza.security.identity import Identity
from mreza.wire.frame import BODY_MAX, FrameReader, FrameType, encode_frame
from mreza.wire.link import ALPN_MEMBER, HELLO, PROTOCOL_VERSION, REFUSED, Hello, Refused

TIMEOUT_S = 20.0


class Ended(NamedTuple):
    """How a connection ended, as this side saw it."""

    frames: list[tuple[int, bytes]]
    alert: str
    "Name of the TLS alert, as OpenSSL spells it; empty: none came."

    @property
    def refusal(self) -> Refused | None:
        """The REFUSED frame, if one came."""
        bodies = [body for kind, body in self.frames if kind == FrameType.REFUSED]
        return REFUSED.decode(bodies[0]) if bodies else None


class Stranger:
    """One connection to a node."""

    def __init__(self, stream: socket.socket) -> None:
        self._stream = stream
        self._reader = FrameReader(limit=BODY_MAX)

    @classmethod
    def tcp(cls, address: str) -> Self:
        """Plain TCP."""
        host, port = Address.parse(address)
        return cls(socket.create_connection((host, port), timeout=TIMEOUT_S))

    @classmethod
    def tls(
        cls,
        address: str,
        *,
        credentials: Credentials | None = None,
        alpn: str | None = ALPN_MEMBER,
    ) -> Self:
        """TLS that believes everything. TLS 1.3 lets a client speak before it is judged.

        Raises:
            ssl.SSLError: the server ended the handshake.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        if alpn is not None:
            context.set_alpn_protocols([alpn])
        if credentials is not None:
            with tempfile.NamedTemporaryFile() as pem:
                pem.write(credentials.identity.to_pem() + credentials.chain_pem)
                pem.flush()
                context.load_cert_chain(pem.name)
        host, port = Address.parse(address)
        plain = socket.create_connection((host, port), timeout=TIMEOUT_S)
        try:
            return cls(context.wrap_socket(plain))
        except BaseException:
            plain.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._stream.close()

    def send(self, data: bytes) -> None:
        """Bytes as they are."""
        self._stream.sendall(data)

    def send_frame(self, kind: int, body: bytes) -> None:
        self.send(encode_frame(kind, body))

    def say_hello(self, credentials: Credentials, *, name: str = "stranger") -> None:
        """A good hello, so that what follows is judged as a member's."""
        hello = Hello(
            version=PROTOCOL_VERSION,
            features=(),
            epoch=make_epoch(boot=1, random_bits=1),
            uptime_s=0.0,
            name=name,
            addresses=(),
            mesh=credentials.mesh,
        )
        self.send_frame(FrameType.HELLO, HELLO.encode(hello))

    def wait_for(self, kind: int) -> bytes:
        """The body of the first frame of this type."""
        while data := self._stream.recv(1 << 16):
            for found, body in self._reader.feed(data):
                if found == kind:
                    return body
        raise AssertionError(f"the connection ended before a frame of type {kind}")

    def read_to_end(self) -> Ended:
        """Everything until the node closes; what came over plain TCP is no frame and left out."""
        frames: list[tuple[int, bytes]] = []
        try:
            while data := self._stream.recv(1 << 16):
                if isinstance(self._stream, ssl.SSLSocket):
                    frames += self._reader.feed(data)
        except ssl.SSLError as error:
            return Ended(frames, error.reason or str(error))
        except ConnectionError:
            # Closed with bytes of ours unread: TCP resets, and what the node said may be lost.
            return Ended(frames, "")
        return Ended(frames, "")


def authority_of(state: Path) -> Authority:
    """The authority whose key is in a state directory."""
    folder = next((state / "mesh" / "authorities").iterdir())
    root = next((state / "mesh" / "roots").glob("*.der"))
    return Authority(
        (folder / "key.pem").read_bytes(), (folder / "cert.der").read_bytes(), root.read_bytes()
    )


def member_of(
    state: Path, *, wall: float, lifetime_s: float = 3600.0, backdated_s: float = 3600.0
) -> Credentials:
    """A new member of the mesh in `state`, with dates of one's choice."""
    return _issue(authority_of(state), wall=wall, lifetime_s=lifetime_s, backdated_s=backdated_s)


def member_of_another_mesh(*, wall: float) -> Credentials:
    """A member in good standing, elsewhere."""
    secrets = create_mesh("elsewhere", wall=wall)
    authority = Authority(secrets.authority_key_pem, secrets.authority_der, secrets.root_der)
    return _issue(authority, wall=wall, lifetime_s=3600.0, backdated_s=3600.0)


def _issue(
    authority: Authority, *, wall: float, lifetime_s: float, backdated_s: float
) -> Credentials:
    identity = Identity.generate()
    chain = authority.issue(
        identity.public_key,
        name="stranger",
        wall=wall,
        lifetime_s=lifetime_s,
        backdated_s=backdated_s,
    )
    return Credentials(identity, authority.mesh, "mesh", chain, (authority.root_der,))
