"""Which errors speak against a node."""

from __future__ import annotations

import pytest

from mreza.balancing.outcome import Blame, blame_for
from mreza.errors import (
    ConfigError,
    DeadlineExceeded,
    NoSuchProcess,
    OutboxFull,
    Overloaded,
    PayloadError,
    RemoteError,
    WorkerLost,
)


@pytest.mark.parametrize(
    ("error", "blame"),
    [
        (RemoteError("broken"), Blame.NODE),
        (DeadlineExceeded("late"), Blame.NODE),
        (WorkerLost("gone", may_have_run=True), Blame.NODE),
        (ValueError("anything"), Blame.NODE),
        (Overloaded("full"), Blame.FULL),
        (OutboxFull("full"), Blame.FULL),
        (WorkerLost("leaving", may_have_run=False), Blame.NOBODY),
        (PayloadError("wrong"), Blame.NOBODY),
        (NoSuchProcess("none"), Blame.NOBODY),
        (ConfigError("wrong"), Blame.NOBODY),
    ],
)
def test_blame(error: Exception, blame: Blame) -> None:
    assert blame_for(error) is blame
