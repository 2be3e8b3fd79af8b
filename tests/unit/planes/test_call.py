"""What a call may ask."""

from __future__ import annotations

import msgspec
import pytest

from mreza.errors import ConfigError, PayloadError
from mreza.ids import NodeId
from mreza.planes.call import Attempt, Call, check_call

NODE = NodeId(b"n" * 16)


def test_a_process_has_a_name_and_a_message_a_destination() -> None:
    check_call("p", None, 1.0, None, to_handler=False)
    check_call("", NODE, 1.0, {"h": "v"}, to_handler=True)
    with pytest.raises(ConfigError, match="process name"):
        check_call("", None, 1.0, None, to_handler=False)
    with pytest.raises(PayloadError, match="destination="):
        check_call("", None, 1.0, None, to_handler=True)


@pytest.mark.parametrize("timeout_s", [0.0, -1.0, float("nan")])
def test_a_timeout_is_a_positive_number(timeout_s: float) -> None:
    with pytest.raises(ConfigError, match="timeout_s"):
        check_call("p", None, timeout_s, None, to_handler=False)


def test_a_call_says_what_it_is() -> None:
    call = Call(1, "parse", msgspec.Raw(b"\xc0"))
    assert call.describe() == "process 'parse'"
    call.to_handler = True
    assert call.describe() == "the message"


def test_only_those_who_have_the_call_now_are_out() -> None:
    call = Call(1, "p", msgspec.Raw(b"\xc0"))
    first, second, third = (Attempt(call, number, NODE, None, 0.0) for number in range(3))
    call.current, call.rival = third, second
    assert [attempt.is_out for attempt in (first, second, third)] == [False, True, True]
