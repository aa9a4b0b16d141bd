"""Chats across processes: which stream each is at, in Redis.

What a process puts is sent in the next turn of the loop, by a task of its own, together with all
that was put meanwhile: no request waits for it, and a page that is opened anew cannot ask before
it is there, as it has a document and a script to load first. The script keeps the newest stream's
name, so it does not matter in which order processes are heard, or how often. While Redis is away
what was put waits, the newest of each chat; and to a Redis that came back empty all chats of this
process are told again.

Chats' names may say something, so they lie there as digests. Of a conversation nothing does.

Lifetime: `send` is run by `SharedStreams` for as long as it serves. An entry outlives its stream by
an hour if nobody was told the end, and leads nowhere then.
"""

import asyncio
from itertools import groupby
from typing import Any, Final

from service.streams.buffer_scripts import AT, Shard, Shards
from service.streams.chats import At, Chats, newest
from service.streams.copies import LIVE_MS
from service.streams.waiting import Asks
from service.usage.client import Client

MOST: Final = 10_000
"""Chats that wait while Redis is away; the oldest are dropped."""


class SharedChats:
    """`chats.Others`, over Redis."""

    def __init__(
        self, shards: Shards, client: Client, chats: Chats, *, asks: Asks, ttl: float
    ) -> None:
        """`chats` are this process's own; `ttl`: seconds an ended stream is kept."""
        self._shards = shards
        self._client = client
        self._chats = chats
        self._asks = asks
        ended_ms = round(ttl * 1000)
        self._kept = (ended_ms + LIVE_MS, ended_ms)
        self._waiting: dict[str, At] = {}
        self._bell = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def put(self, chat: str, at: At) -> None:
        """Tell the other processes, soon."""
        latest = newest((self._waiting.pop(chat, None), at)) or at
        self._waiting[chat] = latest
        if len(self._waiting) > MOST:
            del self._waiting[next(iter(self._waiting))]
        self._bell.set()
        self._idle.clear()

    async def done(self) -> None:
        """Wait until all that was put is in Redis."""
        await self._idle.wait()

    async def find(self, chat: str) -> At | None:
        """What Redis knows of a chat; None where that is nothing, or Redis is away."""
        return await self._asks(self._find(chat))

    def doubt(self, shard: Shard) -> None:
        """Redis may have lost what it had: tell it everything again."""
        for chat, at in self._chats:
            if self._shards.find(chat) == shard:
                self.put(chat, at)

    async def send(self, client: Client) -> None:
        """Wait for something to send and send it.

        Whatever the client raises is passed on, and nothing is lost by it.
        """
        await self._bell.wait()
        self._bell.clear()
        taken, self._waiting = self._waiting, {}
        try:
            for shard, chats in groupby(sorted(taken, key=self._number), key=self._shards.find):
                await self._deliver(client, shard, {chat: taken[chat] for chat in chats})
        except BaseException:
            newer, self._waiting = self._waiting, {}
            for chat, at in (*taken.items(), *newer.items()):
                self.put(chat, at)
            raise
        if not self._waiting:
            self._idle.set()

    async def _deliver(self, client: Client, shard: Shard, chats: dict[str, At]) -> None:
        keys = [shard.chat(chat) for chat in chats]
        args = [arg for at in chats.values() for arg in (at.stream, "1" if at.told else "0")]
        await AT.run(client, keys, [*self._kept, *args])

    async def _find(self, chat: str) -> At | None:
        key = self._shards.find(chat).chat(chat)
        held: Any = await self._client.hmget(key, ["stream", "told"])
        stream, told = held
        return None if stream is None else At(stream.decode(), told == b"1")

    def _number(self, chat: str) -> int:
        return self._shards.find(chat).number
