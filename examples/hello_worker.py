import asyncio

from mreza import MeshNetwork

mesh = MeshNetwork(name="worker")


@mesh.process("greet")
def greet(name: str) -> str:
    return f"Hello, {name}!"


async def main() -> None:
    async with mesh:
        await mesh.wait_closed()


asyncio.run(main())
