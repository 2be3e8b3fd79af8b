"""TLS 1.3 as a value: bytes in, bytes out, and a reason in words when a handshake fails (RFC 8446).

Drives `ssl.SSLObject` over memory instead of leaving it to asyncio, because only so do both ends
learn why a handshake failed: the alert of the end that refuses is written before it closes, and its
name is read at the other.
"""

from __future__ import annotations

import contextlib
import os
import ssl
import tempfile
from collections.abc import Iterator
from pathlib import Path

from mreza.errors import MeshError
from mreza.security.credentials import Credentials
from mreza.wire.link import ALPN_JOIN, ALPN_MEMBER, RefusalCode

RECORD_MAX = 16 * 1024
"Plaintext of one TLS record (RFC 8446, section 5.1)."
HANDSHAKE_MAX = 64 * 1024
"Bytes taken from a stranger before the handshake is over; ours with a chain of three has 6 KiB."

_VERIFY_FAILURES = {
    # Codes of OpenSSL's x509_vfy.h: (refusal, what it means).
    2: (RefusalCode.OTHER_MESH, "its authority is unknown here: it belongs to another mesh"),
    7: (RefusalCode.BAD_CERTIFICATE, "its signature is broken"),
    9: (RefusalCode.BAD_CERTIFICATE, "it is not yet valid: compare the clocks of both machines"),
    10: (RefusalCode.BAD_CERTIFICATE, "it has expired: renew it"),
    18: (RefusalCode.OTHER_MESH, "it is signed by itself, not by an authority of this mesh"),
    19: (RefusalCode.OTHER_MESH, "its root is unknown here: it belongs to another mesh"),
    20: (RefusalCode.OTHER_MESH, "its authority is unknown here: it belongs to another mesh"),
    21: (RefusalCode.OTHER_MESH, "its chain is incomplete or belongs to another mesh"),
    26: (RefusalCode.BAD_CERTIFICATE, "it is not made for this end of a link"),
}
_ALERTS = {
    # What the peer says of us (RFC 8446, section 6.2).
    "unknown ca": (
        RefusalCode.OTHER_MESH,
        "the peer does not know the authority of our certificate: it belongs to another mesh",
    ),
    "certificate expired": (
        RefusalCode.BAD_CERTIFICATE,
        "the peer says that our certificate has expired: renew it, or compare the clocks",
    ),
    "bad certificate": (
        RefusalCode.BAD_CERTIFICATE,
        "the peer rejects our certificate as malformed or not yet valid: compare the clocks",
    ),
    "decrypt error": (
        RefusalCode.BAD_CERTIFICATE,
        "the peer says that a signature in our certificate chain is broken",
    ),
    "certificate required": (RefusalCode.NO_CERTIFICATE, "the peer demands a certificate"),
    "unsupported certificate": (
        RefusalCode.BAD_CERTIFICATE,
        "the peer says that our certificate is not made for this end of a link",
    ),
    "protocol version": (RefusalCode.VERSION, "the peer does not speak TLS 1.3"),
    "no application protocol": (RefusalCode.WRONG_ALPN, "the peer does not speak mreza"),
}


class TlsFailed(MeshError):
    """A handshake or record that TLS does not accept. `code` is a RefusalCode."""

    def __init__(self, message: str, *, code: str, by_us: bool) -> None:
        super().__init__(message)
        self.code = code
        self.by_us = by_us
        "False: the peer sent the alert."


class TlsStream:
    """One TLS connection without its socket."""

    def __init__(self, context: ssl.SSLContext, *, server_side: bool) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=server_side)
        self._handshake_bytes = 0
        self.established = False
        self.ended = False
        "The peer has said that nothing more comes."
        self.failure: TlsFailed | None = None
        "Why the connection cannot go on. Our alert, if there is one, is in `data_to_send`."

    @property
    def alpn(self) -> str | None:
        """The protocol agreed on, None if there is none."""
        return self._tls.selected_alpn_protocol()

    @property
    def version(self) -> str:
        """The protocol version in use, such as TLSv1.3; empty before the handshake."""
        return self._tls.version() or ""

    @property
    def peer_certificate(self) -> bytes | None:
        """DER; None if the peer showed none.

        OpenSSL has verified it unless the context says otherwise.
        """
        return self._tls.getpeercert(binary_form=True)

    def start(self) -> None:
        """Begin the handshake (the client speaks first)."""
        self._advance_handshake()

    def receive(self, data: bytes) -> bytes:
        """Take bytes from the socket; returns plaintext. Handshake answers are in `data_to_send`.

        Then look at `failure` and `ended`: plaintext that came before them is good.
        """
        if self.failure is not None or self.ended:
            return b""
        self._incoming.write(data)
        if not self.established:
            self._handshake_bytes += len(data)
            if self._handshake_bytes > HANDSHAKE_MAX:
                self.failure = TlsFailed(
                    f"more than {HANDSHAKE_MAX} bytes of handshake",
                    code=RefusalCode.TOO_LARGE,
                    by_us=True,
                )
                return b""
            self._advance_handshake()
            if not self.established:
                return b""
        return self._read()

    def send(self, plaintext: bytes) -> None:
        """Encrypt; the result is in `data_to_send`."""
        written = self._tls.write(plaintext)
        while written < len(plaintext):  # pragma: no cover - OpenSSL writes all into memory
            written += self._tls.write(plaintext[written:])

    def data_to_send(self) -> bytes:
        """Bytes for the socket, once."""
        return self._outgoing.read()

    def end(self) -> None:
        """Say that nothing more comes (close_notify); reading goes on."""
        with contextlib.suppress(ssl.SSLError):
            self._tls.unwrap()

    def _advance_handshake(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return
        except ssl.SSLError as error:
            self.failure = _explain(error)
            return
        self.established = True

    def _read(self) -> bytes:
        read = self._tls.read
        pieces: list[bytes] = []
        try:
            # A read returns one record; asking again with nothing pending would only cost an
            # exception.
            while self._incoming.pending and not self.ended:
                piece = read(RECORD_MAX)
                if piece:
                    pieces.append(piece)
                else:
                    self.ended = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.ended = True
        except ssl.SSLError as error:
            self.failure = _explain(error)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def server_context(credentials: Credentials) -> ssl.SSLContext:
    """For listening: members show a certificate, joiners have none yet."""
    context = _context(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_OPTIONAL
    # A resumed session would accept a certificate that has expired meanwhile.
    context.num_tickets = 0
    context.set_alpn_protocols([ALPN_MEMBER, ALPN_JOIN])
    _load(context, credentials)
    return context


def member_context(credentials: Credentials) -> ssl.SSLContext:
    """For dialing as a member. Ids in certificates take the place of host names."""
    context = _context(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.set_alpn_protocols([ALPN_MEMBER])
    _load(context, credentials)
    return context


def joiner_context() -> ssl.SSLContext:
    """For dialing with a token: the token, not TLS, says whom to believe."""
    context = _context(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols([ALPN_JOIN])
    return context


def _context(protocol: int) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context


def _load(context: ssl.SSLContext, credentials: Credentials) -> None:
    context.load_verify_locations(cadata=credentials.roots_pem.decode("ascii"))
    with _as_file(credentials.identity.to_pem() + credentials.chain_pem) as path:
        context.load_cert_chain(path)


@contextlib.contextmanager
def _as_file(content: bytes) -> Iterator[str]:
    """A file only this process can open, and only meanwhile: `ssl` takes keys by path alone."""
    if hasattr(os, "memfd_create") and Path("/proc/self/fd").exists():
        descriptor = os.memfd_create("mreza", os.MFD_CLOEXEC)
        try:
            os.write(descriptor, content)
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
        return
    descriptor, path = tempfile.mkstemp(prefix="mreza-")  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        yield path
    finally:
        Path(path).unlink()


def _explain(error: ssl.SSLError) -> TlsFailed:
    if isinstance(error, ssl.SSLCertVerificationError):
        code, meaning = _VERIFY_FAILURES.get(
            error.verify_code, (RefusalCode.BAD_CERTIFICATE, error.verify_message)
        )
        return TlsFailed(f"certificate refused: {meaning}", code=code, by_us=True)
    reason = error.reason or str(error)
    _, is_alert, alert = reason.partition("ALERT_")
    if is_alert:
        alert = alert.lower().replace("_", " ")
        code, meaning = _ALERTS.get(alert, (RefusalCode.MALFORMED, "the peer ended the handshake"))
        return TlsFailed(f"{meaning} (TLS alert {alert!r})", code=code, by_us=False)
    if reason == "UNSUPPORTED_PROTOCOL":
        return TlsFailed("the peer does not speak TLS 1.3", code=RefusalCode.VERSION, by_us=True)
    words = reason.lower().replace("_", " ")
    return TlsFailed(f"not TLS as we speak it: {words}", code=RefusalCode.MALFORMED, by_us=True)
