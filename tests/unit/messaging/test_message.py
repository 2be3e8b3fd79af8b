from __future__ import annotations

from typing import Any

import pytest

from mreza.errors import PayloadError
from mreza.ids import MessageId, NodeId
from mreza.messaging.message import Message, Receipt, ReceivedMessage
from mreza.qos import Delivery, MessageType, Priority

NODE = NodeId(b"n" * 16)


def test_a_message_needs_only_a_type_and_a_payload() -> None:
    message = Message(MessageType.PROCESS, {"work": 1})
    assert message.process == "default"
    assert message.priority is Priority.NORMAL
    assert message.delivery is Delivery.AT_LEAST_ONCE
    assert message.destination is None
    assert message.timeout_s is None
    assert dict(message.headers) == {}
    by_name = Message(type=MessageType.PROCESS, payload={"work": 1}, priority=Priority.HIGH)
    assert by_name.priority is Priority.HIGH


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"type": "process"}, "MessageType"),
        ({"type": MessageType.DATA}, "destination"),
        ({"type": MessageType.PROCESS, "timeout_s": 0}, "positive"),
        ({"type": MessageType.PROCESS, "timeout_s": float("nan")}, "positive"),
        ({"type": MessageType.PROCESS, "process": "p" * 129}, "128"),
        ({"type": MessageType.PROCESS, "headers": {str(n): "" for n in range(33)}}, "33 headers"),
    ],
)
def test_a_message_that_cannot_be_meant_is_refused(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(PayloadError, match=said):
        Message(**arguments)


def test_a_received_message_has_the_name_that_every_node_gives_it() -> None:
    received = ReceivedMessage(NODE, [1], Priority.HIGH, (7, 2, 5), 3)
    assert received.id == MessageId(NODE, 7, 2, 5, 3)
    assert dict(received.headers) == {}
    assert str(received.id) in repr(received)


def test_a_receipt_is_a_value() -> None:
    receipt = Receipt(MessageId(NODE, 1, 1, 1, 0), NODE, (NODE,), 1, 0.5, "done")
    assert receipt.result == "done"
    assert receipt == Receipt(MessageId(NODE, 1, 1, 1, 0), NODE, (NODE,), 1, 0.5, "done")


@pytest.mark.parametrize("delivery", [Delivery.AT_MOST_ONCE, Delivery.ORDERED])
def test_a_delivery_that_a_receipt_cannot_have_is_refused(delivery: Delivery) -> None:
    with pytest.raises(PayloadError, match="AT_LEAST_ONCE"):
        Message(MessageType.PROCESS, 1, delivery=delivery)
