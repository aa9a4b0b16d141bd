"""Several processes' shares of the same streams, in one process and on one real Redis."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from adapters.errors import RequestError
from adapters.events import ErrorCode, Event
from adapters.request import ChatRequest
from service import clock, tasks
from service.streams.log import MAX_BYTES, StreamLog
from service.streams.question import Question
from service.streams.shared import Rhythm, SharedStreams
from service.streams.store import Store
from service.streams.stream import Stream
from service.usage.client import Address, connect
from tests.service.streams.events_for_tests import attempt, start, text_block
from tests.service.usage.servers import Server, binary, free_port, until

REQUEST = ChatRequest.model_validate({"messages": [{"role": "user", "content": "hi"}]})
TS = 1_795_392_000_123
PATIENCE = 15.0
RHYTHM = Rhythm(beat=0.1, lease=1, alone=0.5, followed=0.4, retry=0.03)
"""Faster than it is, but not so fast that a machine that is busy looks like one that died."""


class Process:
    """What one process has of them."""

    def __init__(self, address: Address, *, ttl: float = 600, max_bytes: int = MAX_BYTES) -> None:
        """Not started."""
        self.store = Store(ttl=ttl)
        self.max_bytes = max_bytes
        self.shared = SharedStreams(
            self.store,
            lambda most: connect(address, connections=most, timeout=2),
            max_bytes=max_bytes,
            max_events=50_000,
            rhythm=RHYTHM,
        )

    def stream(self, name: str, *, cancel_after: float | None = None) -> Stream:
        """A stream of this process, shared from its first event on."""
        log = StreamLog(name, max_bytes=self.max_bytes)
        stream = Stream(log, REQUEST, cancel_after=cancel_after)
        self.store.add(stream)
        self.shared.share(stream)
        return stream

    def end(self, stream: Stream, last: Event) -> None:
        """As a runner does."""
        stream.log.append([last], TS)
        stream.mark_ended()
        self.store.ended(stream, clock.monotonic())

    async def copied(self) -> None:
        """Wait until every stream has ended and lies in Redis whole."""
        async with asyncio.timeout(PATIENCE):
            await self.shared._copies.done()

    async def dies(self) -> None:
        """As after kill -9: nothing more is sent, and the lease runs out."""
        await self._stop(self.shared._tasks)

    async def sleeps(self, name: str) -> None:
        """One of its tasks does nothing more."""
        await self._stop([t for t in self.shared._tasks if t.get_name() == f"streams: {name}"])

    async def _stop(self, running: Sequence["asyncio.Task[None]"]) -> None:
        for task in running:
            await tasks.end(task)


@asynccontextmanager
async def redis(folder: Path) -> AsyncIterator[Server]:
    """A server of its own."""
    server = await Server(binary("valkey"), folder).start()
    try:
        yield server
    finally:
        await server.kill()


@asynccontextmanager
async def cluster(folder: Path) -> AsyncIterator[Server]:
    """A cluster of one, with what sets a cluster apart: slots."""
    options = ("--port", str(free_port()), "--bind", "127.0.0.1", "--cluster-enabled", "yes")
    bus = ("--cluster-port", str(free_port()))
    server = await Server(binary("valkey"), folder, *options, *bus).start()

    async def agreed() -> bool:
        return b"cluster_state:ok" in await server.ask("CLUSTER", "INFO")

    try:
        await server.ask("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
        await until(agreed)
        yield server
    finally:
        await server.kill()


@asynccontextmanager
async def processes(
    address: Address, count: int, *, ttl: float = 600, max_bytes: int = MAX_BYTES
) -> AsyncIterator[list[Process]]:
    """So many of them, started."""
    async with AsyncExitStack() as stack:
        made = [Process(address, ttl=ttl, max_bytes=max_bytes) for _ in range(count)]
        for process in made:
            await process.shared.start()
            stack.push_async_callback(process.shared.close)
        yield made


async def reaches(stream: Stream, count: int) -> None:
    """Wait until a log has so many events."""
    grown = asyncio.Event()

    class Watcher:
        def push(self, new: list[bytes], upto: int) -> None:
            del new, upto
            grown.set()

    watcher = Watcher()
    stream.log.subscribe(watcher)
    async with asyncio.timeout(PATIENCE):
        while stream.log.next < count:
            grown.clear()
            await grown.wait()
    stream.log.unsubscribe(watcher)


def begin(
    process: Process,
    name: str,
    *,
    cancel_after: float | None = None,
    question: Question | None = None,
) -> Stream:
    """A stream whose answer has begun: events 0 to 4."""
    stream = process.stream(name, cancel_after=cancel_after)
    stream.question = question
    stream.log.append([start()], TS)
    stream.mark_committed()
    stream.log.append([*attempt(), *text_block("b1.0", "a")[:-1]], TS)
    return stream


async def refused(asked: Awaitable[object]) -> ErrorCode:
    """Why it is."""
    with pytest.raises(RequestError) as refusal:
        await asked
    return refusal.value.error.code
