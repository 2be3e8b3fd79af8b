"""Three nodes in a line: the ends have no link, and work crosses the node between them.

python examples/line.py
"""

import asyncio

from mreza import DiscoveryConfig, MeshNetwork, TopologyConfig

FIXED = TopologyConfig(only_peers=True)


def node(name: str, *peers: str) -> MeshNetwork:
    return MeshNetwork(
        name=name,
        listen="127.0.0.1:0",
        topology_config=FIXED,
        discovery_config=DiscoveryConfig(peers=peers, lan=False, mdns=False),
    )


async def main() -> None:
    async with (
        node("a") as a,
        node("b", str(a.listen_addresses[0])) as b,
        node("c", str(b.listen_addresses[0])) as c,
    ):

        @c.process("shout")
        def shout(text: str) -> str:
            return text.upper()

        print(await a.call("shout", "hello"))
        print("links of a:", [link.name for link in a.links])
        print("way to c:", [hop.name for hop in await a.trace("c")])
        print("forwarded by b:", b.snapshot()["forwarded_envelopes"] > 0)


if __name__ == "__main__":
    asyncio.run(main())
