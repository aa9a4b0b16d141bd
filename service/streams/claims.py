"""Idempotency-Keys across processes: whose generation one is, said before it starts.

A key is claimed in Redis for the name of a stream that does not exist yet. Who comes second waits
for that stream and attaches to it; a claim of which nothing came is given back, and one whose
process has died, or whose stream has expired, is taken over. Without Redis everybody gets the key.

Lifetime: a claim lies in Redis for as long as its stream could.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from adapters.errors import RequestError
from adapters.events import ErrorCode
from service import clock, tasks
from service.streams.buffer_scripts import CLAIM, RELEASE, Shards
from service.streams.copies import LIVE_MS
from service.streams.store import conflicting
from service.streams.stream import Stream
from service.streams.waiting import LOOK, PATIENCE, Asks, AsksPatiently, unreachable
from service.usage.client import Client

Find = Callable[[str], Awaitable[Stream]]
"""The stream of a name, whoever makes it; raises RequestError."""


class Claims:
    """What this process claims."""

    def __init__(
        self,
        shards: Shards,
        client: Client,
        process: str,
        *,
        asks: Asks,
        patiently: AsksPatiently,
        find: Find,
        ttl: float,
    ) -> None:
        """`ttl`: seconds an ended stream is kept."""
        self._shards = shards
        self._client = client
        self._process = process
        self._asks = asks
        self._patiently = patiently
        self._find = find
        self._kept_ms = round(ttl * 1000) + LIVE_MS
        self._claiming: dict[str, asyncio.Event] = {}
        """By what is to be held: the claims that Redis has not answered."""

    async def take(self, key: str, fingerprint: bytes, stream_id: str) -> Stream | None:
        """Take a key for `stream_id`; else the stream that has it already.

        Raises RequestError: conflict, or that the others cannot be asked.
        """
        try:
            return await self._taken(key, fingerprint, stream_id)
        except (asyncio.CancelledError, RequestError):
            # Nobody is left who could start what the key is held for.
            _ = tasks.spawn(self.release(key, fingerprint, stream_id), name="streams: release")
            raise

    async def release(self, key: str, fingerprint: bytes, stream_id: str) -> None:
        """Give back what `take` has taken, or may take yet: nothing came of it."""
        held = f"{stream_id} {fingerprint.hex()} {self._process}"
        await self._asks(self._release(key, held))

    async def _taken(self, key: str, fingerprint: bytes, stream_id: str) -> Stream | None:
        digest, stale, theirs = fingerprint.hex(), "", None
        ours = f"{stream_id} {digest} {self._process}"
        deadline = clock.monotonic() + PATIENCE
        while True:
            held = await self._asks(self._claim(key, ours, stale))
            if held is None and theirs is not None:
                held = await self._surely(key, ours, stale)
            if held in {None, ours}:
                return None
            theirs, their_digest, owner = str(held).split()
            if their_digest != digest:
                raise conflicting()
            stale = ""
            try:
                return await self._find(theirs)
            except RequestError as missing:
                code = missing.error.code
            if code is ErrorCode.STREAM_EXPIRED:
                stale = str(held)
            elif code is not ErrorCode.NOT_FOUND:
                raise unreachable()
            elif clock.monotonic() >= deadline:
                if await self._patiently(self._lives(owner, key)):
                    raise unreachable()
                stale = str(held)
            else:
                await asyncio.sleep(LOOK)

    async def _claim(self, key: str, ours: str, stale: str) -> str:
        where = [self._shards.find(key).claim(key)]
        answered = self._claiming[ours] = asyncio.Event()
        try:
            held: bytes = await CLAIM.run(self._client, where, [ours, self._kept_ms, stale])
        finally:
            del self._claiming[ours]
            answered.set()
        return held.decode()

    async def _surely(self, key: str, ours: str, stale: str) -> str:
        """Who has a key that somebody else was known to have: to go on alone would be a second one.

        Raises RequestError where Redis does not say so in time.
        """
        deadline = clock.monotonic() + PATIENCE
        while (left := deadline - clock.monotonic()) > 0:
            answered = self._claiming.get(ours)
            if answered is None:
                held = await self._asks(self._claim(key, ours, stale))
                if held is not None:
                    return held
                await asyncio.sleep(LOOK)
            else:  # one claim at a time
                with suppress(TimeoutError):
                    async with asyncio.timeout(left):
                        await answered.wait()
        raise unreachable()

    async def _release(self, key: str, held: str) -> None:
        answered = self._claiming.get(held)
        if answered is not None:
            await answered.wait()  # overtaken, it would hold the key for nobody
        await RELEASE.run(self._client, [self._shards.find(key).claim(key)], [held])

    async def _lives(self, process: str, key: str) -> bool:
        return bool(await self._client.exists(self._shards.find(key).lease(process)))
