"""Watchers for tests: what was said to them, and a stream of events to watch."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from functools import partial

from service.usage import scripts
from service.usage.client import Client, close, connect
from service.usage.live import Live, Said, Seen, parse
from service.usage.scripts import Keys
from service.usage.sources import of_redis
from tests.service.usage.servers import Server

MOST = 1_000_000


def live(server: Server) -> Live:
    """The events on a server."""
    return Live(partial(of_redis, partial(connect, server.address)))


class Watcher:
    """One who watches; `heard` is all that was said."""

    def __init__(self, steps: Callable[[], Awaitable[Sequence[Said]]]) -> None:
        self._steps = steps
        self.heard: list[Said] = []

    async def until(self, holds: Callable[[list[Said]], object]) -> list[Said]:
        """Go on until it holds of what was said."""
        async with asyncio.timeout(20):
            while not holds(self.heard):
                self.heard += await self._steps()
        return self.heard

    async def events(self, count: int) -> list[bytes]:
        """Once it has seen so many: what they are."""
        await self.until(lambda heard: len(bodies(heard)) >= count)
        return bodies(self.heard)


def bodies(heard: Sequence[Said]) -> list[bytes]:
    return [said.body for said in heard if isinstance(said, Seen)]


def ids(heard: Sequence[Said]) -> list[str]:
    return [said.id for said in heard if isinstance(said, Seen)]


@asynccontextmanager
async def watching(live: Live, after: str | None = None) -> AsyncIterator[Watcher]:
    """A watcher after that position; None: from now, and it has begun."""
    async with aclosing(live.follow(None if after is None else parse(after))) as said:
        watcher = Watcher(said.__anext__)
        if after is None:
            await watcher.until(len)
        yield watcher


def numbered(numbers: Sequence[int]) -> list[bytes]:
    """Events, as far as a watcher is concerned."""
    return [b'{"n":%d}' % number for number in numbers]


async def publish(
    client: Client, keys: Keys, told: Sequence[bytes], *, first: int = 1, producer: str = "p"
) -> None:
    """As the publisher does."""
    args = [producer, first - 1, first, 1, MOST, *told]
    await scripts.PUBLISH.run(client, [keys.stream, keys.marks], args)


async def published(server: Server, told: Sequence[bytes], *, first: int = 1) -> None:
    """The same, by itself."""
    client = server.client()
    try:
        await publish(client, scripts.UNSHARDED.all[0], told, first=first)
    finally:
        await close(client)
