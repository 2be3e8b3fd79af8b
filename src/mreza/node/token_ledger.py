"""Join tokens on disk, shared by all nodes of a state directory: who may join, who has."""

from __future__ import annotations

from pathlib import Path

import msgspec

from mreza.errors import InvalidId, StateError
from mreza.ids import NodeId
from mreza.io.files import read_file, write_atomic
from mreza.node.mesh_folder import MeshFolder
from mreza.security.admission import TokenRecord
from mreza.security.authority import Authority
from mreza.security.certificates import MEMBER_ROLE
from mreza.security.join_token import (
    TOKEN_ADDRESSES_MAX,
    TOKEN_ID_BYTES,
    JoinToken,
    fingerprint,
    new_secret,
)

TOKENS_MAX = 4096
"Tokens that are neither used up nor expired; more is a mistake in a script."


class _Redemption(msgspec.Struct, frozen=True):
    node: str
    at: float


class _TokenFile(msgspec.Struct, frozen=True):
    """Contents of tokens/ID.json."""

    id: str
    secret: str
    authority: str
    created: float
    expires: float
    uses: int
    role: str
    redeemed: list[_Redemption] = []


class FileTokenLedger:
    """The token ledger of a mesh folder. A redemption is on disk before anybody acts on it."""

    def __init__(self, folder: MeshFolder) -> None:
        self._folder = folder

    def create(
        self,
        authority: Authority,
        *,
        uses: int = 1,
        lifetime_s: float = 3600.0,
        role: str = MEMBER_ROLE,
        addresses: tuple[str, ...] = (),
        wall: float,
    ) -> JoinToken:
        """Make a token of this authority; whoever gets to see it can join."""
        if uses < 1 or lifetime_s <= 0:
            raise StateError(f"a token needs uses and a lifetime, not {uses} and {lifetime_s} s")
        token_id, secret = new_secret()
        token = JoinToken(
            mesh=self._folder.mesh,
            root_fingerprint=fingerprint(authority.root_der),
            token_id=token_id,
            secret=secret,
            expires=int(wall + lifetime_s),
            authority_id=authority.authority_id,
            addresses=addresses[:TOKEN_ADDRESSES_MAX],
            mesh_name=self._folder.name,
            uses=uses,
            role=role,
        )
        with self._folder.lock():
            self._forget_old(wall=wall)
            self._folder.audit(
                "token_created",
                {"token": token_id.hex(), "uses": uses, "expires": token.expires, "role": role},
                wall=wall,
            )
            self._write(
                _TokenFile(
                    id=token_id.hex(),
                    secret=secret.hex(),
                    authority=authority.authority_id.hex(),
                    created=wall,
                    expires=token.expires,
                    uses=uses,
                    role=role,
                )
            )
        return token

    def lookup(self, token_id: bytes) -> TokenRecord | None:
        """The token as it is on disk now, None if there is none of this id."""
        file = self._read(token_id)
        if file is None:
            return None
        try:
            return TokenRecord(
                token_id=token_id,
                secret=bytes.fromhex(file.secret),
                authority_id=bytes.fromhex(file.authority),
                expires=file.expires,
                uses=file.uses,
                role=file.role,
                redeemed=tuple(NodeId.parse(one.node) for one in file.redeemed),
            )
        except (InvalidId, ValueError) as error:
            raise StateError(f"{self._path(token_id)} is damaged: {error}") from error

    def redeem(self, token_id: bytes, node_id: NodeId, *, wall: float) -> bool:
        """Use the token once for this node; True again if it has: its answer was lost."""
        with self._folder.lock():
            file = self._read(token_id)
            if file is None:
                return False
            if any(one.node == str(node_id) for one in file.redeemed):
                return True
            if len(file.redeemed) >= file.uses:
                return False
            entry = _Redemption(node=str(node_id), at=wall)
            self._write(msgspec.structs.replace(file, redeemed=[*file.redeemed, entry]))
            self._folder.audit(
                "token_redeemed", {"token": token_id.hex(), "node": str(node_id)}, wall=wall
            )
        return True

    def _forget_old(self, *, wall: float) -> None:
        """Drop expired tokens (they stay in the audit log), so that the folder is bounded."""
        left = 0
        for path in sorted(self._folder.tokens_path.glob("*.json")):
            try:
                file = _decode(path)
            except StateError:
                # Nobody can use it; the others can be used all the same.
                left += 1
                continue
            if file is not None and file.expires < wall:
                path.unlink(missing_ok=True)
            else:
                left += 1
        if left >= TOKENS_MAX:
            raise StateError(f"there are {left} open tokens, limit {TOKENS_MAX}")

    def _path(self, token_id: bytes) -> Path:
        return self._folder.tokens_path / f"{token_id.hex()}.json"

    def _read(self, token_id: bytes) -> _TokenFile | None:
        return _decode(self._path(token_id)) if len(token_id) == TOKEN_ID_BYTES else None

    def _write(self, file: _TokenFile) -> None:
        path = self._folder.tokens_path / f"{file.id}.json"
        write_atomic(path, msgspec.json.format(msgspec.json.encode(file)))


def _decode(path: Path) -> _TokenFile | None:
    data = read_file(path)
    if data is None:
        return None
    try:
        return msgspec.json.decode(data, type=_TokenFile)
    except msgspec.DecodeError as error:
        raise StateError(f"{path} is damaged: {error}") from error
