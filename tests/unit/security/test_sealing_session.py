from __future__ import annotations

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from mreza.security.sealing_session import (
    SESSIONS_PER_SOURCE_MAX,
    ReceivingSession,
    SendingSession,
    Source,
)


def session(prekey_id: int = 1) -> ReceivingSession:
    return ReceivingSession(AESGCM(bytes(32)), prekey_id=prekey_id)


def test_a_source_has_a_few_sessions_and_uses_up_the_ids_of_older_ones() -> None:
    source = Source(9)
    for session_id in range(1, 8):
        source.add(session_id, session())
    assert list(source.sessions) == [4, 5, 6, 7]
    assert len(source.sessions) == SESSIONS_PER_SOURCE_MAX
    assert (source.floor, source.newest) == (3, 7)


def test_sessions_may_arrive_out_of_order() -> None:
    source = Source(9)
    source.add(20, session())
    source.add(10, session())
    assert (source.floor, source.newest) == (0, 20)


def test_keys_of_dead_prekeys_go_and_do_not_come_back() -> None:
    source = Source(9)
    source.add(1, session(prekey_id=1))
    source.add(2, session(prekey_id=2))
    source.drop_before(2)
    assert list(source.sessions) == [2]
    assert (source.floor, source.newest, source.newest_prekey) == (1, 2, 2)
    source.drop_all()
    assert not source.sessions
    assert (source.floor, source.newest) == (2, 0)


def test_a_sending_session_starts_at_zero() -> None:
    sending = SendingSession(5, key=bytes(32), epoch=1, wrap=b"w", expires_at=10)
    assert (sending.id, sending.counter, sending.wrap) == (5, 0, b"w")
