"""Three nodes of which one is cut off for ten minutes: a second or two of real time."""

from __future__ import annotations

from mreza import MeshNetwork
from mreza.sim import SimMesh, sees


def app(mesh: MeshNetwork) -> None:
    @mesh.process("double")
    async def double(number: int) -> int:
        return 2 * number


async def main(sim: SimMesh) -> None:
    a, _, c = await sim.grow("a", "b", "c", app=app)
    sim.link("a", latency_s=0.040, jitter=0.5, loss=0.01)
    sim.partition("c")
    await sim.sleep(600)
    print(f"at {sim.now:.0f} s a sees {sorted(sees(a))}, c sees {sorted(sees(c))}")
    sim.repair()
    print(f"one mesh again after {await sim.agree():.1f} s")
    print(f"c doubles 21 for a: {await a.call('double', 21, node='c')}")


with SimMesh(seed=7) as sim:
    sim.run(main(sim))
