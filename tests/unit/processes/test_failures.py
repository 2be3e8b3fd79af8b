"""Whatever an exception does, the requester gets bounded text."""

from __future__ import annotations

from hypothesis import given, strategies as st

from mreza.processes.failures import bounded, failure_of
from mreza.wire.packet import FAILURE, Failure


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError


def raised(error: Exception) -> Exception:
    try:
        raise error
    except Exception as caught:  # noqa: BLE001
        return caught


def test_type_message_and_traceback_are_told() -> None:
    failure = failure_of(raised(KeyError("k")), retry_after_s=0.25)
    assert (failure.type_name, failure.message, failure.retry_after_ms) == ("KeyError", "'k'", 250)
    assert failure.traceback.startswith("Traceback")
    assert "in raised" in failure.traceback
    assert failure.traceback.endswith("KeyError: 'k'\n")


def test_an_error_without_text_is_told_all_the_same() -> None:
    failure = failure_of(raised(Unprintable()))
    assert failure.type_name == "Unprintable"
    assert failure.message == "(its text cannot be read)"


def test_a_long_traceback_keeps_its_end() -> None:
    failure = failure_of(raised(ValueError("x" * 100_000 + "end")))
    assert failure.traceback.endswith("xend\n")
    assert FAILURE.encode(failure)


@given(st.text(st.characters(codec=None), max_size=50), st.integers(1, 3000))
def test_any_text_travels(text: str, times: int) -> None:
    failure = failure_of(ValueError(text * times))
    assert FAILURE.decode(FAILURE.encode(failure)) == failure
    told = Failure(type_name=text * times, message=text * times, traceback=text * times)
    assert FAILURE.decode(FAILURE.encode(bounded(told))) == bounded(told)


def test_our_own_frames_are_not_part_of_the_story() -> None:
    source = compile("def run(f):\n    f()\n", "/x/mreza/io/executors/y.py", "exec")
    scope: dict[str, object] = {}
    exec(source, scope)  # noqa: S102

    def handler() -> None:
        raise ValueError("mine")

    try:
        scope["run"](handler)  # type: ignore[operator]
    except ValueError as error:
        error.__traceback__ = error.__traceback__.tb_next if error.__traceback__ else None
        text = failure_of(error).traceback
    assert "in handler" in text
    assert "executors" not in text


def test_a_traceback_that_cannot_be_formatted_hides_nothing_else() -> None:
    class Broken(ValueError):
        @property
        def __cause__(self) -> None:  # type: ignore[override]
            raise RuntimeError

    assert failure_of(Broken("still told")).message == "still told"
