"""A load balancer alone, fed by hand, and one that balances a mesh.

python examples/request_load_balancer.py
"""

import asyncio

from mreza import LoadBalancer, MeshNetwork, NodeLoad, Strategy


async def alone() -> None:
    load_balancer = LoadBalancer(strategy=Strategy.ROUND_ROBIN, threshold=0.8)
    report = await load_balancer.optimize()
    print(f"alone: attached={report.attached}; {report.advice[0]}")

    load_balancer.update(NodeLoad("left", in_flight=9, capacity=10))
    load_balancer.update(NodeLoad("right", in_flight=1, capacity=10))
    lease = load_balancer.acquire()
    lease.succeeded(latency_s=0.002)
    print(f"alone: the work goes to {lease.node}; {load_balancer.why('left')}")


async def with_a_mesh() -> None:
    async with MeshNetwork(name="one") as one, MeshNetwork(name="two") as two:

        @two.process("double")
        def double(number: int) -> int:
            return 2 * number

        print(f"mesh: 2 × 21 = {await one.call('double', 21)}")
        load_balancer = LoadBalancer(strategy=Strategy.ROUND_ROBIN, threshold=0.8, mesh=one)
        report = await load_balancer.optimize()
        names = ", ".join(sorted(load.label for load in report.nodes.values()))
        print(f"mesh: attached={report.attached}; nodes {names}")


async def main() -> None:
    await alone()
    await with_a_mesh()


if __name__ == "__main__":
    asyncio.run(main())
