"""Work offered by one node and asked for by another, and every way in which it can fail.

python examples/work.py
"""

import asyncio
from dataclasses import dataclass

from mreza import (
    CallContext,
    DeadlineExceeded,
    MeshError,
    MeshNetwork,
    NoSuchProcess,
    Overloaded,
    PayloadError,
    WorkerLost,
)


@dataclass
class Resize:
    width: int
    height: int
    factor: float = 0.5


def offer(mesh: MeshNetwork) -> None:
    @mesh.process("resize", concurrency=2, timeout_s=10)
    def resize(job: Resize) -> tuple[int, int]:
        if job.factor <= 0:
            raise ValueError(f"factor is {job.factor}, must be above 0")
        return round(job.width * job.factor), round(job.height * job.factor)

    @mesh.process("wait", idempotent=True)
    async def wait(seconds: float, context: CallContext) -> str:
        await asyncio.sleep(seconds)
        return f"waited {seconds} s at attempt {context.attempt}"


async def careful(mesh: MeshNetwork, job: Resize) -> list[int] | None:
    """Each error says what to do."""
    for _ in range(3):
        try:
            size: list[int] = await mesh.call("resize", job, timeout_s=5)
            return size
        except Overloaded as error:
            await asyncio.sleep(error.retry_after_s)  # full: the work did not run
        except WorkerLost as error:
            if error.may_have_run:
                raise  # only you know whether it may run twice
        except ValueError as error:
            print(f"the handler raised: {error}")
            return None
    return None


async def main() -> None:
    worker = MeshNetwork(name="worker")
    offer(worker)
    async with worker, MeshNetwork(name="asker") as mesh:
        print(await mesh.call("wait", 0.1))

        done = await mesh.call_detailed("resize", Resize(640, 480))
        print(f"{done.result} from worker: {done.node == worker.node_id}, attempt {done.attempts}")

        print(await careful(mesh, Resize(640, 480, factor=0.25)))
        print(await careful(mesh, Resize(640, 480, factor=-1)))

        for name, payload, timeout_s in (
            ("resize", "not a job", 5.0),
            ("wait", 5.0, 0.2),
            ("no-such-work", None, 0.2),
        ):
            try:
                await mesh.call(name, payload, timeout_s=timeout_s)
            except (PayloadError, DeadlineExceeded, NoSuchProcess) as error:
                print(f"{type(error).__name__}: a MeshError, {isinstance(error, MeshError)}")


if __name__ == "__main__":
    asyncio.run(main())
