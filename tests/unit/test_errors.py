"""Errors: one tree, the builtins that Python programmers expect, and safe to send on."""

from __future__ import annotations

import copy
import pickle

import pytest

from mreza import errors
from mreza.errors import MeshError

EXAMPLES: list[MeshError] = [
    errors.AdmissionError("no", code="used"),
    errors.CertificateRejected("no", code="expired"),
    errors.Overloaded("full", retry_after_s=0.5),
    errors.OutboxFull("full"),
    errors.WorkerLost("gone", may_have_run=True),
    errors.RemoteError("boom", type_name="ValueError", traceback_text="…", node="alpha"),
    *(
        kind("what happened")
        for kind in vars(errors).values()
        if isinstance(kind, type)
        and issubclass(kind, MeshError)
        and kind not in (errors.CertificateRejected, errors.WorkerLost)
    ),
]


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_an_error_survives_pickling_and_copying_with_all_it_says(error: MeshError) -> None:
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):  # noqa: S301
        assert type(again) is type(error)
        assert (again.args, again.__dict__, str(again)) == (
            error.args,
            error.__dict__,
            str(error),
        )


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (errors.InvalidId, ValueError),
        (errors.InvalidAddress, ValueError),
        (errors.ConfigError, ValueError),
        (errors.PayloadError, TypeError),
        (errors.NotRunning, RuntimeError),
        (errors.DecodeError, ValueError),
        (errors.UnknownNode, LookupError),
        (errors.AmbiguousName, LookupError),
        (errors.NoSuchProcess, LookupError),
        (errors.DeadlineExceeded, TimeoutError),
        (errors.OutboxFull, errors.Overloaded),
    ],
)
def test_an_error_is_also_the_builtin_that_is_expected(
    kind: type[MeshError], builtin: type[Exception]
) -> None:
    assert issubclass(kind, builtin)
    assert issubclass(kind, MeshError)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (errors.RemoteError("boom"), "error: boom"),
        (errors.RemoteError("boom", type_name="KeyError"), "KeyError: boom"),
        (errors.RemoteError("boom", type_name="KeyError", node="b"), "KeyError on node b: boom"),
    ],
)
def test_a_remote_error_says_what_and_where(error: errors.RemoteError, text: str) -> None:
    assert str(error) == text
