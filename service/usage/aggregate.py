"""From the stream into the sums: one consumer of a group, of which there may be any number.

A batch is read, counted in one transaction of the database (`service.usage.rollups`), and only then
acknowledged, all of it in one call. Redis delivers at least once, the database counts what is new:
what is delivered twice is counted once. Dying anywhere in between costs a second delivery.

Redis gives nothing back by itself: what a consumer was given and did not acknowledge stays with it.
So a consumer begins with what its name still owes (names are those of places, not of processes) and
looks every few seconds for what has lain with anybody for too long. It asks for the list of it
(XPENDING) and claims what it then knows the number of deliveries of; XAUTOCLAIM would hand things
out untold. That number is Redis' own, so it counts what killed its consumer, too. What was
delivered often is dealt with alone, so that it does not take others with it, and is given up in the
end (`service.usage.batch`): into the dead letters' table and stream, acknowledged, and told to the
observer. A database that is away is nobody's fault: the batch is kept in memory and tried again,
and no delivery is counted for it.

A group that is gone is made again, from the beginning of the stream. What a group itself forgot,
because its consumer was deleted or its position was set, no group will deliver; but the numbers of
a producer's events have no gap. So where its mark stays ahead of what was taken although nothing is
unread or pending, the stream is read once more without the group. What is missing even there must
come from the journals (`service.usage.replay`), and the observer is told.

Beside the stream, `applied` says up to which number a producer's events have all been taken: that
much may be purged from its journal. It is written from the database, and so is right again after
Redis has lost it.

Lifetime: `run` until it is cancelled. Each shard has a task and a client of its own, so that one
that is away does not keep the others waiting.
"""

import asyncio
import logging
import math
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from redis.exceptions import ResponseError

from service import clock, jitter, tasks
from service.settings import COST
from service.usage import group, scripts
from service.usage.batch import DELIVERIES, Entry, Fields, Settled, producer_of, settle
from service.usage.client import Client, close
from service.usage.database import UnavailableError
from service.usage.rollups import Letter, Retention, Rollups
from service.usage.scripts import Keys, Shards

log = logging.getLogger(__name__)

GROUP: Final = COST

FORGET_S: Final = 3_600
"""Seconds between two times that old ids are dropped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How much at once, and how often."""

    batch: int = 500
    """Entries in one read and one transaction."""

    block_ms: int = 1_000
    """How long a read waits for the first one; below the client's timeout."""

    look_s: float = 5
    """Between two looks at what others left behind and at what is missing."""

    idle_s: float = 60
    """How long something may lie with a consumer before another one takes it: longer than any
    transaction takes."""


class Observer(Protocol):
    """What is told of aggregating, for metrics and alarms; called on the event loop."""

    def counted(self, new: int, repeated: int) -> None:
        """So many events are in the sums now that were not before, and so many already were."""

    def buried(self, letter: Letter) -> None:
        """An event was given up: somebody should look at it."""

    def missing(self, producer: str, after: int, mark: int) -> None:
        """Events after the one number, up to the other, are in no stream: a replay is needed."""

    def failed(self, reason: str | None) -> None:
        """A shard cannot go on, for that reason; None: one that could not does again."""


class Silent:
    """Tells nobody."""

    def counted(self, new: int, repeated: int) -> None:
        """Pass over it."""

    def buried(self, letter: Letter) -> None:
        """Pass over it."""

    def missing(self, producer: str, after: int, mark: int) -> None:
        """Pass over it."""

    def failed(self, reason: str | None) -> None:
        """Pass over it."""


class Aggregator:
    """A consumer of every shard's stream."""

    def __init__(
        self,
        rollups: Rollups,
        connect: Callable[[], Client],
        *,
        consumer: str,
        group: str = GROUP,
        pace: Pace | None = None,
        retention: Retention | None = None,
        observer: Observer | None = None,
    ) -> None:
        """Nothing happens before `run`.

        Args:
            rollups: Where events are counted.
            connect: Makes a client; called for each shard, and anew after every failure.
            consumer: Its name in the group: the same after a restart, and nobody else's.
            group: Consumers that share the work.
            pace: How much and how often.
            retention: For how long ids are remembered.
            observer: What is told of it.
        """
        self._connect = connect
        self._work = _Work(
            rollups,
            group=group,
            consumer=consumer,
            pace=pace or Pace(),
            retention=retention or Retention(),
            observer=observer or Silent(),
        )

    async def run(self) -> None:
        """Aggregate until cancelled."""
        shards = await self._shards()
        tasks.heed_cancellation()
        async with asyncio.TaskGroup() as running:
            for keys in shards.all:
                running.create_task(_Shard(keys, self._connect, self._work).run())

    async def _shards(self) -> Shards:
        tries = Tries(self._work.observer.failed)
        while True:
            client = self._connect()
            try:
                return await scripts.shards(client)
            except Exception as failure:  # noqa: BLE001 - whatever it was, the next try may do
                await tries.failed(failure)
            finally:
                await close(client)


class Tries:
    """Failures in a row: one line in the log, and a longer pause after each."""

    def __init__(self, tell: Callable[[str | None], None]) -> None:
        """`tell`: of the first one's reason, and None when all is well again."""
        self._tell = tell
        self._failures = 0

    async def failed(self, failure: Exception) -> None:
        """Say so, and wait."""
        reason = type(failure).__name__
        if not self._failures:
            self._tell(reason)
            said = str(failure).partition("\n")[0]
            log.warning("usage waits to be counted: %s: %s", reason, said)
        await asyncio.sleep(jitter.pause(self._failures))
        self._failures += 1

    def succeeded(self) -> None:
        """All is well."""
        if self._failures:
            log.info("usage is counted again, after %d tries", self._failures)
            self._tell(None)
        self._failures = 0


@dataclass(frozen=True, slots=True)
class _Work:
    """What the shards have in common."""

    rollups: Rollups
    group: str = field(kw_only=True)
    consumer: str = field(kw_only=True)
    pace: Pace = field(kw_only=True)
    retention: Retention = field(kw_only=True)
    observer: Observer = field(kw_only=True)


class _Shard:
    """The consumer of one stream."""

    def __init__(self, keys: Keys, connect: Callable[[], Client], work: _Work) -> None:
        self._keys = keys
        self._connect = connect
        self._work = work
        self._tries = Tries(work.observer.failed)
        self._forgot = -math.inf
        self._behind: dict[str, tuple[int, int]] = {}
        """By producer, position and mark of those that were behind at the last look."""
        self._told: dict[str, tuple[int, int]] = {}
        """The same, of those whose events are in no stream."""

    async def run(self) -> None:
        """Until cancelled; from one failure to the next."""
        while True:
            tasks.heed_cancellation()
            client = self._connect()
            try:
                await self._session(client)
            except Exception as failure:  # noqa: BLE001 - whatever it was, the next try may do
                await self._tries.failed(failure)
            finally:
                await close(client)

    async def _session(self, client: Client) -> None:
        await self._join(client)
        await self._redeliver(client, consumer=self._work.consumer, idle_ms=0)
        due = clock.monotonic() + self._work.pace.look_s
        entries = await self._take(client)
        while True:
            tasks.heed_cancellation()
            entries = entries or await self._wait(client)
            backlog = len(entries) >= self._work.pace.batch
            if backlog and clock.monotonic() < due:
                entries = await self._settle_and_take(client, entries)
                self._tries.succeeded()
                continue
            await self._settle(client, entries)
            self._tries.succeeded()
            # With nothing in hand, which would look like something that was left behind.
            if clock.monotonic() >= due:
                await self._look(client)
                due = clock.monotonic() + self._work.pace.look_s
            entries = await self._take(client)

    async def _join(self, client: Client) -> None:
        """Make the group where there is none: from the beginning, as what is known is known."""
        try:
            await client.xgroup_create(self._keys.stream, self._work.group, id="0", mkstream=True)
        except ResponseError as refusal:
            if not str(refusal).startswith("BUSYGROUP"):
                raise

    async def _settle_and_take(self, client: Client, entries: Sequence[Entry]) -> list[Entry]:
        """Settle a batch while the next one is fetched."""
        # Gathered, not grouped: a failure is met as itself, and only when the other one is over.
        settled, upcoming = await asyncio.gather(
            self._settle(client, entries), self._take(client), return_exceptions=True
        )
        if isinstance(settled, BaseException):
            raise settled
        if isinstance(upcoming, BaseException):
            raise upcoming
        return upcoming

    async def _take(self, client: Client) -> list[Entry]:
        """What nobody in the group was given yet, if there is anything."""
        packed = await group.take(
            client, self._keys, self._work.group, self._work.consumer, self._work.pace.batch
        )
        return [] if packed is None else await asyncio.to_thread(group.unpacked, packed)

    async def _wait(self, client: Client) -> list[Entry]:
        """The same, once there is something; no script can wait."""
        found: Any = await client.xreadgroup(
            self._work.group,
            self._work.consumer,
            {self._keys.stream: ">"},
            count=self._work.pace.batch,
            block=self._work.pace.block_ms,
        )
        return [
            Entry(key.decode(), fields, 1) for entries in found.values() for key, fields in entries
        ]

    async def _settle(self, client: Client, entries: Sequence[Entry]) -> None:
        if not entries:
            return
        settled = await self._counted(entries)
        await self._acknowledge(client, settled)
        self._work.observer.counted(settled.new, len(settled.counted) - settled.new)
        for _, letter in settled.buried:
            log.error(
                "an event was given up (%s, number %d of %s): %s",
                letter.place,
                letter.seq,
                letter.producer,
                letter.reason,
            )
            self._work.observer.buried(letter)

    async def _counted(self, entries: Sequence[Entry]) -> Settled:
        """In a thread, and again for as long as the database is away."""
        while True:
            try:
                return await asyncio.to_thread(
                    settle, self._work.rollups, self._keys.stream, entries, clock.now_ns()
                )
            except UnavailableError as failure:
                await self._tries.failed(failure)

    async def _acknowledge(self, client: Client, settled: Settled) -> None:
        for key, letter in settled.buried:
            await group.bury(client, self._keys, self._work.group, key, letter)
        await group.acknowledge(
            client, self._keys, self._work.group, settled.counted, settled.positions
        )

    # --- What others left behind ---

    async def _redeliver(self, client: Client, *, consumer: str | None, idle_ms: int) -> None:
        """Take over what was given to a consumer, or to any, that long ago."""
        after = "-"
        while True:
            pending: Any = await client.xpending_range(
                self._keys.stream,
                self._work.group,
                min=after,
                max="+",
                count=self._work.pace.batch,
                consumername=consumer,
                idle=idle_ms or None,
            )
            if not pending:
                return
            deliveries = {
                one["message_id"].decode(): int(one["times_delivered"]) for one in pending
            }
            for portion in _portions(deliveries):
                await self._settle(client, await self._claim(client, portion, idle_ms))
            after = f"({list(deliveries)[-1]}"

    async def _claim(
        self, client: Client, deliveries: Mapping[str, int], idle_ms: int
    ) -> list[Entry]:
        """What is still there to be had; claiming is a delivery."""
        claimed: Any = await client.xclaim(
            self._keys.stream, self._work.group, self._work.consumer, idle_ms, list(deliveries)
        )
        entries = [
            Entry(key.decode(), fields, deliveries[key.decode()] + 1)
            for key, fields in claimed
            if fields is not None
        ]
        for key in deliveries.keys() - {entry.id for entry in entries}:
            await self._drop_if_deleted(client, key)
        return entries

    async def _drop_if_deleted(self, client: Client, key: str) -> None:
        """Not claimed: another one was faster, or somebody deleted it from the stream.

        Redis 7 has dropped that from the list itself, 6.2 would keep it there for ever.
        """
        if not await client.xrange(self._keys.stream, key, key):
            await client.xack(self._keys.stream, self._work.group, key)

    # --- What is missing ---

    async def _look(self, client: Client) -> None:
        await self._redeliver(client, consumer=None, idle_ms=round(self._work.pace.idle_s * 1_000))
        await self._compare(client)
        if clock.monotonic() - self._forgot >= FORGET_S:
            before_ns = clock.now_ns() - self._work.retention.seen_s * 1_000_000_000
            await asyncio.to_thread(self._work.rollups.forget, before_ns)
            self._forgot = clock.monotonic()

    async def _compare(self, client: Client) -> None:
        """Tell how far each producer is, and look for what no group will deliver."""
        stored: Any = await client.hgetall(self._keys.marks)
        marks = {producer.decode(): int(mark) for producer, mark in stored.items()}
        positions = await asyncio.to_thread(self._work.rollups.positions, marks)
        if positions:
            await client.hset(self._keys.applied, mapping=_mapping(positions))
        behind = {
            producer: (positions.get(producer, 0), mark)
            for producer, mark in marks.items()
            if positions.get(producer, 0) < mark
        }
        # Twice the same, and nothing left for the group to deliver: it is not just being counted.
        stuck = {p: gap for p, gap in behind.items() if self._behind.get(p) == gap}
        fresh = {p: gap for p, gap in stuck.items() if self._told.get(p) != gap}
        self._behind = behind
        if fresh and await self._delivered_all(client):
            await self._sweep(client, fresh)

    async def _delivered_all(self, client: Client) -> bool:
        newest = await client.xrevrange(self._keys.stream, count=1)
        for one in await client.xinfo_groups(self._keys.stream):
            if _text(one["name"]) == self._work.group:
                everything = not newest or one["last-delivered-id"] == newest[0][0]
                return everything and not one["pending"]
        return False

    async def _sweep(self, client: Client, behind: Mapping[str, tuple[int, int]]) -> None:
        """Read the stream without the group; what is known is not counted again."""
        log.warning("the group has lost events of %d producers; reading all again", len(behind))
        after = "-"
        while True:
            page: Any = await client.xrange(
                self._keys.stream, min=after, count=self._work.pace.batch
            )
            if not page:
                break
            await self._settle(client, _swept(page, behind))
            after = f"({page[-1][0].decode()}"
        positions = await asyncio.to_thread(self._work.rollups.positions, behind)
        for producer, (_, mark) in behind.items():
            position = positions.get(producer, 0)
            if position < mark:
                self._told[producer] = (position, mark)
                log.error(
                    "events of %s after number %d, up to %d, are in no stream: replay its journal",
                    producer,
                    position,
                    mark,
                )
                self._work.observer.missing(producer, position, mark)


def _portions(deliveries: Mapping[str, int]) -> Iterator[dict[str, int]]:
    """Together what can be; alone what may be what its consumers died of."""
    together = {key: count for key, count in deliveries.items() if count < DELIVERIES}
    if together:
        yield together
    for key, count in deliveries.items():
        if count >= DELIVERIES:
            yield {key: count}


def _swept(page: list[tuple[bytes, Fields]], producers: Container[str]) -> list[Entry]:
    """The producers' entries; no group will deliver them again, so what is wrong is given up."""
    return [
        Entry(key.decode(), fields, DELIVERIES)
        for key, fields in page
        if producer_of(fields) in producers
    ]


def _mapping(positions: Mapping[str, int]) -> dict[Any, Any]:
    """As redis-py's types want it.

    They allow for answers in text everywhere, too; here those are bytes, hence Any above.
    """
    return dict(positions)


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
