"""Nodes that open and close leave nothing behind; a thousand pairs are in tests/stress."""

from __future__ import annotations

from mreza import DiscoveryConfig, LinkConfig, MeshNetwork
from tests.support.leaks import no_leaks_async
from tests.support.meshes import offers

ROUNDS = 20
QUICK = DiscoveryConfig(state_poll_s=0.02)
MANY = LinkConfig(accepts_per_address_per_s=1000)
"All pairs come from one address, as a flood of strangers would."


async def open_and_close_one() -> None:
    async with MeshNetwork(name="alone") as mesh:
        assert [member.name for member in mesh.members] == ["alone"]


async def a_pair_makes_a_call(number: int) -> None:
    async with (
        MeshNetwork(name="a", discovery_config=QUICK, link_config=MANY) as a,
        MeshNetwork(name="b", discovery_config=QUICK, link_config=MANY) as b,
    ):

        @b.process("double")
        def double(value: int) -> int:
            return 2 * value

        await offers(a, "b", "double")
        assert await a.call("double", number) == 2 * number


async def test_twenty_nodes_and_twenty_pairs_leave_nothing_behind() -> None:
    # The first ones start what the process keeps: the loop's executor, caches, lazy modules.
    await open_and_close_one()
    await a_pair_makes_a_call(0)
    async with no_leaks_async():
        for _ in range(ROUNDS):
            await open_and_close_one()
        for number in range(ROUNDS):
            await a_pair_makes_a_call(number)
