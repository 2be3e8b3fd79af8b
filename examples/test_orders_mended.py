"""The shop of test_orders.py, mended: what a dead desk may have booked is not booked again."""

from __future__ import annotations

import asyncio

from mreza import MeshNetwork
from mreza.sim import SimMesh

# The program.


class Shop:
    def __init__(self) -> None:
        self.booked: list[int] = []  # at the bank, whatever becomes of our machines

    def desk(self, mesh: MeshNetwork) -> None:
        @mesh.process("book", idempotent=True)
        async def book(order: int) -> str:
            if order not in self.booked:  # a desk that died may have been here before us
                self.booked.append(order)
            await asyncio.sleep(0.2)  # the receipt is printed
            return f"receipt of order {order}"

    async def order(self, till: MeshNetwork, order: int) -> str:
        return str(await till.call("book", order))


# The test.


async def test_every_order_is_booked_once(mesh_sim: SimMesh) -> None:
    shop = Shop()
    (till,) = await mesh_sim.grow("till")
    await mesh_sim.grow("desk1", "desk2", app=shop.desk)
    orders = [asyncio.create_task(shop.order(till, number)) for number in range(20)]
    await mesh_sim.sleep(0.1)
    mesh_sim.crash("desk1")
    await asyncio.gather(*orders)
    assert sorted(shop.booked) == list(range(20))
