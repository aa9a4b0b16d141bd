"""Where usage events can be watched: in a Redis Stream or a cluster's, or in this process' journal.

In Redis each shard's new entries are read over a connection of their own, because a read that waits
occupies one; what those want who are behind goes over a few others that all of them share. Reading
leaves no trace: it is done without a group. Whether something that came after a place was trimmed
cannot be told where the place itself was: then it may have been.

Without an engine the journal is what is watched. Its earlier epochs are what earlier processes
wrote; a place names the epoch and the number in it. Only the journal of this process is watched,
and not those that it drains for others.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, Final, Protocol, TypeVar

from redis.exceptions import ResponseError

from service.usage import publisher, scripts
from service.usage.client import Client, close
from service.usage.live import BEGINNING, PAGE, Place, Placed, Source, parse
from service.usage.publisher import Wake
from service.usage.scripts import Keys

BLOCK_MS: Final = 1_000
"""How long a read waits; below the clients' timeout."""

AT_ONCE: Final = 4
"""Reads that those who are behind may have under way together."""

IDLE_S: Final = 1.0
"""Seconds between two looks at a journal that does not say that there is something new."""

T = TypeVar("T")

Connect = Callable[[], Client]


async def of_redis(connect: Connect) -> Sequence[Source]:
    """A Redis' shards; raises what its client does."""
    client = connect()
    try:
        shards = await scripts.shards(client)
    finally:
        await close(client)
    reads = _Reads(connect)
    return [_Stream(keys, connect, reads) for keys in shards.all]


class Journal(publisher.Journal, Protocol):
    """What is asked of a journal here, from other threads."""

    @property
    def epoch(self) -> int:
        """The one that is written to."""

    def floor(self, epoch: int) -> int:
        """The number that the first event kept comes after."""


async def of_journal(journal: Journal, appended: Wake) -> Sequence[Source]:
    """A journal as the only shard; `appended`: set when events were committed, for this alone."""
    return [_Epochs(journal, appended)]


# --- Redis ----------------------------------------------------------------------------------


class _Reads:
    """A client for all who are behind; one that failed once is asked nothing new.

    It is closed when nothing is asked with it any more: redis-py would connect anew for whoever
    tries once more, and nobody would close that connection.
    """

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._client: Client | None = None
        self._asking: Counter[Client] = Counter()
        self._turn = asyncio.Semaphore(AT_ONCE)

    async def ask(self, question: Callable[[Client], Awaitable[T]]) -> T:
        async with self._turn:
            client = self._client = self._client or self._connect()
            self._asking[client] += 1
            try:
                return await question(client)
            except Exception:
                if self._client is client:
                    self._client = None
                raise
            finally:
                self._asking[client] -= 1
                if self._client is not client:
                    await self._leave(client)

    async def reset(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await self._leave(client)

    async def _leave(self, client: Client) -> None:
        if not self._asking[client]:
            del self._asking[client]
            await close(client)


class _Stream:
    """A shard's stream; `service.usage.live.Source`."""

    def __init__(self, keys: Keys, connect: Connect, reads: _Reads) -> None:
        self._key = keys.stream
        self._connect = connect
        self._reads = reads
        self._waiting: Client | None = None

    async def last(self) -> Place:
        self._waiting = self._waiting or self._connect()
        return _last(await self._info(self._waiting))

    async def holds(self, after: Place) -> bool:
        info = await self._reads.ask(self._info)
        last = _last(info)
        if after >= last:
            return after == last
        first = info.get("first-entry")
        return first is not None and _place(first[0]) <= after

    async def read(self, after: Place) -> Sequence[Placed]:
        async def page(client: Client) -> Any:  # noqa: ANN401 - redis-py's own types
            return await client.xrange(self._key, min=f"({_id(after)}", count=PAGE)

        return _entries(await self._reads.ask(page))

    async def wait(self, after: Place) -> Sequence[Placed]:
        client = self._waiting = self._waiting or self._connect()
        found: Any = await client.xread({self._key: _id(after)}, count=PAGE, block=BLOCK_MS)
        return [entry for entries in found.values() for entry in _entries(entries)]

    async def reset(self) -> None:
        client, self._waiting = self._waiting, None
        if client is not None:
            await close(client)
        await self._reads.reset()

    async def _info(self, client: Client) -> dict[str, Any]:
        try:
            info: dict[str, Any] = await client.xinfo_stream(self._key)
        except ResponseError as refusal:
            if not str(refusal).startswith("no such key"):
                raise
            return {}  # nothing was published yet
        return info


def _entries(found: Sequence[tuple[bytes, dict[bytes, bytes]]]) -> list[Placed]:
    return [Placed(_place(key), fields.get(b"e")) for key, fields in found]


def _last(info: dict[str, Any]) -> Place:
    return _place(info["last-generated-id"]) if info else BEGINNING


def _place(key: bytes) -> Place:
    (place,) = parse(key.decode())
    return place


def _id(place: Place) -> str:
    return f"{place[0]}-{place[1]}"


# --- Journals -------------------------------------------------------------------------------


class _Epochs:
    """A journal's epochs, one after the other; `service.usage.live.Source`."""

    def __init__(self, journal: Journal, appended: Wake) -> None:
        self._journal = journal
        self._appended = appended

    async def last(self) -> Place:
        return await asyncio.to_thread(self._last)

    async def holds(self, after: Place) -> bool:
        return await asyncio.to_thread(self._holds, after)

    async def read(self, after: Place) -> Sequence[Placed]:
        return await asyncio.to_thread(self._read, after)

    async def wait(self, after: Place) -> Sequence[Placed]:
        # Cleared first: what is appended while it is read wakes it again.
        self._appended.clear()
        found = await self.read(after)
        if not found:
            with suppress(TimeoutError):
                async with asyncio.timeout(IDLE_S):
                    await self._appended.wait()
        return found

    async def reset(self) -> None:
        """Nothing was opened."""

    def _last(self) -> Place:
        epoch = self._journal.epoch
        return epoch, self._journal.head(epoch)

    def _holds(self, after: Place) -> bool:
        epoch, seq = after
        epochs = self._journal.epochs()
        return (
            epoch in epochs
            and self._journal.floor(epoch) <= seq <= self._journal.head(epoch)
            and not any(self._journal.floor(later) for later in epochs if later > epoch)
        )

    def _read(self, after: Place) -> Sequence[Placed]:
        for epoch in self._journal.epochs():
            if epoch >= after[0]:
                seq = after[1] if epoch == after[0] else 0
                rows = self._journal.rows(epoch, seq, PAGE)
                if rows:
                    return [Placed((epoch, row.seq), row.body) for row in rows]
        return []
