"""What a node offers: `mreza up --app workers:register` calls register before the node starts."""

import asyncio
import hashlib
from dataclasses import dataclass
from typing import Any

from mreza import CallContext, MeshNetwork, ReceivedMessage


@dataclass
class Resize:
    width: int
    height: int
    factor: float = 0.5


def register(mesh: MeshNetwork) -> None:
    @mesh.process("count-words", idempotent=True)
    def count_words(text: str) -> dict[str, int]:
        counts: dict[str, int] = {}
        for word in text.lower().split():
            counts[word] = counts.get(word, 0) + 1
        return counts

    @mesh.process("resize", concurrency=2, timeout_s=10)
    def resize(job: Resize) -> tuple[int, int]:
        if job.factor <= 0:
            raise ValueError(f"factor is {job.factor}, must be above 0")
        return round(job.width * job.factor), round(job.height * job.factor)

    @mesh.process("sha256")
    def sha256(data: bytes) -> str:
        return hashlib.sha256(data).hexdigest()

    @mesh.process("wait")
    async def wait(seconds: float, context: CallContext) -> str:
        await asyncio.sleep(seconds)
        return f"waited {seconds} s for {context.source}"

    @mesh.on_message
    async def heard(message: ReceivedMessage[Any]) -> str:
        print(f"{message.source} says {message.payload!r}", flush=True)
        return "thank you"
