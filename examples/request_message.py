"""Send work into the mesh; another process, which shares nothing but the state directory, does it.

python examples/request_message.py
"""

import asyncio
import os
import sys

from mreza import MeshNetwork, Message, MessageType, Priority


async def work() -> None:
    """The other process: offers the process that messages are for unless they name one."""
    mesh_network = MeshNetwork(name="worker")

    @mesh_network.process("default")
    def process(data: dict[str, list[int]]) -> dict[str, int]:
        return {"sum": sum(data["numbers"]), "pid": os.getpid()}

    async with mesh_network:
        await mesh_network.wait_closed()


async def ask() -> None:
    """This process: sends one message and prints the receipt."""
    process_data = {"numbers": [3, 5, 7]}
    async with MeshNetwork(name="asker") as mesh_network:
        message = Message(type=MessageType.PROCESS, payload=process_data, priority=Priority.HIGH)
        receipt = await mesh_network.send_message(message)
        print(f"this is node {mesh_network.node_id} in process {os.getpid()}")
        print(f"answered by  {receipt.node} in process {receipt.result['pid']}")
        print(f"sum {receipt.result['sum']} after {receipt.latency_s * 1000:.1f} ms")
        for link in mesh_network.links:
            print(f"link to {link.name} at {link.address}: {link.state}")


async def main() -> None:
    worker = await asyncio.create_subprocess_exec(sys.executable, __file__, "--work")
    try:
        await ask()
    finally:
        worker.kill()
        await worker.wait()


if __name__ == "__main__":
    asyncio.run(work() if "--work" in sys.argv else main())
