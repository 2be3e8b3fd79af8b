import asyncio

from mreza import MeshNetwork


async def main() -> None:
    async with MeshNetwork(name="caller") as mesh:
        print(await mesh.call("greet", "world"))


asyncio.run(main())
