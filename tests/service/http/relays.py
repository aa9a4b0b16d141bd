"""Several processes' relays over the same streams, in one process and on one real Redis."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from service.relay import Relay
from tests.service.scripted import Scripted, deployment
from tests.service.streams.processes import Process, processes, redis
from tests.service.usage.servers import Server


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Two of them."""

    server: Server
    processes: Sequence[Process]
    relays: Sequence[Relay]

    async def holds(self, words: bytes) -> bool:
        """Whether these words lie in Redis, in any key, name or value."""
        keys = await self.server.ask("KEYS", "*")
        dumped = [await self.server.ask("DUMP", key) or b"" for key in keys]
        return any(words in key + dump for key, dump in zip(keys, dumped, strict=True))


@asynccontextmanager
async def relays(folder: Path, provider: Scripted, *, ttl: float = 600) -> AsyncIterator[Elsewhere]:
    """Both ask `provider`, known as openai."""
    async with redis(folder / "r") as server, processes(server.address, 2, ttl=ttl) as both:
        # A dump is not compressed, so that a word can be looked for in it.
        await server.ask("CONFIG", "SET", "rdbcompression", "no")
        known = deployment({"openai": provider})
        made = [Relay(one.store, known, processes=one.shared) for one in both]
        yield Elsewhere(server, both, made)
