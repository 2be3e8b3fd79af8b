"""Hear what happens in the mesh: members and links that come and go.

python examples/events.py
"""

import asyncio

from mreza import LinkUp, MemberChanged, MemberState, MeshNetwork


async def watch(mesh: MeshNetwork, met: asyncio.Event) -> None:
    async for event in mesh.events():
        match event:
            case MemberChanged(label=name, new=state, cause=cause):
                print(f"{name} is {state} ({cause})")
                met.set()
                if state is MemberState.LEFT:
                    return
            case LinkUp(label=name, dialed=dialed):
                print(f"link to {name}, dialed by {'us' if dialed else 'them'}")


async def main() -> None:
    async with MeshNetwork(name="watcher") as mesh:
        met = asyncio.Event()
        watching = asyncio.create_task(watch(mesh, met))
        guest = MeshNetwork(name="guest")
        await guest.initialize()
        await asyncio.wait_for(met.wait(), 30)
        await guest.leave("going home")
        await asyncio.wait_for(watching, 30)


if __name__ == "__main__":
    asyncio.run(main())
