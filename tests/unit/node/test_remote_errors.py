"""A handler's error on another node is an error of the same kind here."""

from __future__ import annotations

import asyncio
import builtins
import copy
import pickle
import traceback

import pytest
from hypothesis import given, strategies as st

from mreza.errors import RemoteError
from mreza.node.remote_errors import remote_error
from mreza.wire.packet import Failure

BUILTINS = [
    name
    for name, kind in vars(builtins).items()
    if isinstance(kind, type) and issubclass(kind, Exception)
]
NO_EXCEPTIONS = ["SystemExit", "KeyboardInterrupt", "BaseException", "BaseExceptionGroup"]
CANNOT_BE_RAISED_HERE = ["StopIteration", "StopAsyncIteration", "ExceptionGroup"]


def told(type_name: str, message: str = "m", text: str = "Traceback …\nV: m\n") -> RemoteError:
    return remote_error(
        Failure(type_name=type_name, message=message, traceback=text), node="abcdefgh"
    )


@pytest.mark.parametrize("name", [name for name in BUILTINS if name not in CANNOT_BE_RAISED_HERE])
def test_every_builtin_error_is_caught_as_itself_and_as_remote(name: str) -> None:
    with pytest.raises(getattr(builtins, name)) as caught:
        raise told(name)
    error = caught.value
    assert isinstance(error, RemoteError)
    assert str(error) == f"{name} on node abcdefgh: m"
    assert (error.type_name, error.node) == (name, "abcdefgh")


@pytest.mark.parametrize(
    "name",
    [
        *CANNOT_BE_RAISED_HERE,
        "SystemExit",
        "KeyboardInterrupt",
        "BaseException",
        "BaseExceptionGroup",
    ],
)
def test_what_would_do_harm_is_only_a_remote_error(name: str) -> None:
    assert type(told(name)) is RemoteError


@pytest.mark.parametrize(
    "name", ["MyError", "", "print", "__import__", "int", "__builtins__", "a.b", "KeyError "]
)
def test_what_is_no_builtin_error_is_only_a_remote_error(name: str) -> None:
    error = told(name)
    assert type(error) is RemoteError
    assert error.type_name == name


@given(st.text(), st.text(), st.text())
def test_nothing_that_a_node_says_breaks_it(name: str, message: str, text: str) -> None:
    error = told(name, message, text)
    assert error.args == (message,)
    assert message in str(error)


@pytest.mark.parametrize("name", [*BUILTINS, "MyError"])
def test_it_can_be_pickled_and_copied(name: str) -> None:
    error = told(name)
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error)):  # noqa: S301
        assert type(other) is type(error)
        assert str(other) == str(error)
        assert other.traceback_text == error.traceback_text
        assert other.__notes__ == error.__notes__


def test_the_remote_traceback_is_printed_below_the_local_one() -> None:
    lines = "".join(traceback.format_exception(told("KeyError")))
    assert lines.endswith("On node abcdefgh:\nTraceback …\nV: m\n")
    assert not hasattr(told("KeyError", text=""), "__notes__")


def test_without_a_node_it_says_less() -> None:
    error = remote_error(Failure(type_name="ValueError", message="m", traceback="t"))
    assert str(error) == "ValueError: m"
    assert isinstance(error, ValueError)


def test_equal_errors_have_one_class() -> None:
    assert type(told("KeyError")) is type(told("KeyError", "other"))
    assert type(told("KeyError")).__name__ == "RemoteKeyError"


@pytest.mark.parametrize("name", BUILTINS)
async def test_it_can_be_the_outcome_of_a_future(name: str) -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    future.set_exception(told(name))
    with pytest.raises(RemoteError):
        await future
