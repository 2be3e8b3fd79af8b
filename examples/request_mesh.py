"""Make a mesh, or join the one that is there: the first node of a state directory creates it.

python examples/request_mesh.py
"""

import asyncio

from mreza import DiscoveryConfig, LoadBalancerConfig, MeshNetwork, SecurityConfig


async def main() -> None:
    mesh_network = MeshNetwork(
        discovery_config=DiscoveryConfig(),
        security_config=SecurityConfig(),
        load_balancer_config=LoadBalancerConfig(),
    )
    await mesh_network.initialize()
    try:
        print(f"mesh    {mesh_network.mesh_id}")
        print(f"node    {mesh_network.node_id} ({mesh_network.name})")
        print(f"listens {', '.join(map(str, mesh_network.listen_addresses))}")
        for member in mesh_network.members:
            print(f"member  {member.name}: {member.state}")
    finally:
        await mesh_network.close(timeout_s=5)


if __name__ == "__main__":
    asyncio.run(main())
