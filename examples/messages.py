"""Two nodes that talk: `send` for streams of small messages, `send_message` where you must know.

python examples/messages.py
"""

import asyncio

from mreza import (
    Delivery,
    MeshNetwork,
    Message,
    MessageType,
    OutboxFull,
    Priority,
    ReceivedMessage,
    RemoteError,
)


async def main() -> None:
    async with MeshNetwork(name="station") as station, MeshNetwork(name="sensor") as sensor:
        readings: list[float] = []
        all_came = asyncio.Event()

        @station.on_message
        async def heard(message: ReceivedMessage[float]) -> int:
            if message.payload < 0:
                raise ValueError("a pressure is never negative")
            readings.append(message.payload)
            if len(readings) == 1000:
                all_came.set()
            return len(readings)

        await sensor.wait_for("station", timeout_s=10)

        # Plain: returns when the outbox took it.
        for number in range(1000):
            try:
                sensor.send("station", float(number), delivery=Delivery.ORDERED)
            except OutboxFull:
                await sensor.drain("station")
                sensor.send("station", float(number), delivery=Delivery.ORDERED)
        await all_came.wait()
        print(f"{len(readings)} readings, in order: {readings == sorted(readings)}")

        # With a receipt: returns when the handler has returned.
        receipt = await sensor.send_message(
            Message(
                type=MessageType.DATA,
                payload=1013.25,
                destination="station",
                priority=Priority.HIGH,
                timeout_s=10,
            )
        )
        print(f"handled by {receipt.node == station.node_id}, result {receipt.result}")

        # A handler that raises: the sender of a message with a receipt hears of it.
        try:
            await sensor.send_message(Message(MessageType.DATA, -1.0, destination="station"))
        except RemoteError as error:
            print(f"{error.type_name}; a ValueError here, too: {isinstance(error, ValueError)}")


if __name__ == "__main__":
    asyncio.run(main())
