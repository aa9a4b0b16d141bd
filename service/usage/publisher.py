"""The journal's events onto the Redis Stream, each at least once and in no case forgotten.

Nothing is remembered here about what was published: Redis' own high-water mark of each producer
says it, and everything beyond the mark is sent. That makes every fault the same fault. A lost
reply, a server killed in the middle, one that comes back without its last second or empty, a
failover to a replica that lags: the mark tells where to go on, backwards, too. While nothing
happens the marks are read once a second, so that a server that went back in time is noticed by an
idle publisher.

The journal is read in chunks by a thread, all epochs in turn, so that what an outage left behind
does not keep the present waiting; a chunk goes out in batches of one script call each
(`service.usage.scripts`). Measured with events of 500 bytes: 137,000 to 215,000 a second, 60,000 to
72,000 with pipelined XADDs, which also would write twice what they send twice.

Whatever fails - no connection, LOADING, READONLY, MISCONF, OOM, BUSY, CLUSTERDOWN, AUTH, a disk
error of the journal's - is met in one way: forget the marks, close the client, wait
(`service.backoff`), begin anew. The journal holds the events in the meantime. A stream that
is full is no failure but backpressure, and the events wait, too: nothing is ever trimmed to make
room but by the `Janitor`, below what every listed group acknowledged.

Lifetime: `run` until it is cancelled; one per journal, whose lock keeps a second one out. Two
would do no harm but the work twice.
"""

import asyncio
import logging
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, Protocol

from service import clock, jitter, tasks
from service.usage import scripts
from service.usage.client import Client, close
from service.usage.scripts import Keys, Shards

log = logging.getLogger(__name__)

CHUNK: Final = 4_000
"""Events that are read from the journal at once, of each epoch."""

BATCH: Final = 500
"""Events in one script call: 3 ms in which the server serves nobody else."""

BATCH_BYTES: Final = 1 << 20
"""Bytes in one script call; a single larger event goes alone."""

IDLE_S: Final = 1.0
"""Seconds between two looks at the marks while nothing happens."""

MOST_ENTRIES: Final = 400_000
"""Entries in one stream, of 1.7 kB of the server's memory each (`python -m bench.publisher`) and
together two thirds of what the embedded engine has; beyond them events wait in the journal."""


class Row(Protocol):
    """One event in the journal."""

    @property
    def seq(self) -> int:
        """Its number within the epoch, from 1."""

    @property
    def body(self) -> bytes:
        """Its JSON."""


class Wake(Protocol):
    """What asyncio.Event does."""

    async def wait(self) -> object:
        """Until it is set."""

    def clear(self) -> None:
        """Not set any more."""

    def set(self) -> None:
        """Let them go."""


class Journal(Protocol):
    """What is read of a journal; all but `appended` is called from other threads."""

    @property
    def appended(self) -> Wake:
        """Set when events have been committed."""

    def epochs(self) -> Sequence[int]:
        """Those that hold events, or may come to."""

    def producer(self, epoch: int) -> str:
        """What an epoch's events are published as."""

    def head(self, epoch: int) -> int:
        """The highest number that an event of the epoch has."""

    def rows(self, epoch: int, after: int, limit: int) -> Sequence[Row]:
        """Events in order, from the first one whose number is above `after`."""


class Observer(Protocol):
    """What is told of publishing, for metrics and alarms."""

    def published(self, events: int) -> None:
        """So many are in the stream that were not before."""

    def rewound(self, producer: str, known: int, mark: int) -> None:
        """Redis holds less than it did."""

    def full(self, full: bool) -> None:  # noqa: FBT001 - the fact itself, there is no other
        """Whether a stream is at its cap, so that events wait for their consumers."""

    def failed(self, reason: str | None) -> None:
        """A try did, for that reason (`MISCONF`, `ConnectionError`); None: all is well again."""


class Silent:
    """Tells nobody."""

    def published(self, events: int) -> None:
        """Pass over it."""

    def rewound(self, producer: str, known: int, mark: int) -> None:
        """Pass over it."""

    def full(self, full: bool) -> None:  # noqa: FBT001 - as in Observer
        """Pass over it."""

    def failed(self, reason: str | None) -> None:
        """Pass over it."""


@dataclass(frozen=True, slots=True)
class Janitor:
    """What may be deleted from the streams, and when."""

    groups: tuple[str, ...]
    """Consumer groups that must have acknowledged it; one that does not exist has acknowledged
    nothing. None listed: nothing is ever deleted."""

    kept_s: float = 3_600
    """Seconds that entries stay for those who look back, unless the stream is half full."""

    every_s: float = 30
    """Seconds between two sweeps."""

    async def sweep(self, client: Client, shards: Shards, most: int) -> int:
        """Trim every stream; returns how many entries went."""
        deleted = 0
        for keys in shards.all:
            deleted += await self._trim(client, keys, most)
        return deleted

    async def _trim(self, client: Client, keys: Keys, most: int) -> int:
        """Redis bounds what one XTRIM deletes, so that others are served in between."""
        total: int = 0
        while True:
            args = [round(self.kept_s * 1_000), most // 2, *self.groups]
            deleted, _, missing = await scripts.TRIM.run(client, [keys.stream], args)
            total += deleted
            if missing:
                log.debug("%s: no group %s yet, nothing is trimmed", keys.stream, missing.decode())
            if not deleted:
                return total


class Publisher:
    """Keeps the stream at the journal's head."""

    def __init__(
        self,
        journal: Journal,
        connect: Callable[[], Client],
        *,
        janitor: Janitor,
        schema: int,
        most: int = MOST_ENTRIES,
        observer: Observer | None = None,
    ) -> None:
        """Nothing happens before `run`.

        Args:
            journal: Where the events are.
            connect: Makes the client; called anew after every failure.
            janitor: What may be trimmed.
            schema: Major version of the events' schema.
            most: Entries in one stream.
            observer: What is told of it.
        """
        self._journal = journal
        self._connect = connect
        self._janitor = janitor
        self._schema = schema
        self._most = most
        self._observer: Observer = observer or Silent()
        self._failures = 0  # in a row
        self._waiting: list[asyncio.Future[None]] = []
        self._told: dict[str, int] = {}

    async def run(self) -> None:
        """Publish until cancelled."""
        while True:
            try:
                await self._session()
            except Exception as failure:  # noqa: BLE001 - whatever it was, the next try may do
                self._report(failure)
            tasks.heed_cancellation()
            await asyncio.sleep(jitter.pause(self._failures))
            self._failures += 1

    def backlog(self) -> int:
        """Events that are in the journal and, by the last that Redis said, not in the stream."""
        journal = self._journal
        heads = {journal.producer(epoch): journal.head(epoch) for epoch in journal.epochs()}
        return sum(max(0, head - self._told.get(name, 0)) for name, head in heads.items())

    async def caught_up(self) -> None:
        """Wait until all that is in the journal now is in the stream."""
        waiting = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        self._journal.appended.set()
        await waiting

    async def _session(self) -> None:
        """From one failure to the next."""
        client = self._connect()
        try:
            shards = await scripts.shards(client)
            session = _Session(
                client, shards, self._journal, self._schema, self._most, self._observer, self._told
            )
            try:
                await self._keep_up(session)
            finally:
                await session.settle()
        finally:
            await close(client)

    async def _keep_up(self, session: "_Session") -> None:
        swept = -math.inf
        full = 0  # rounds in a row
        while True:
            tasks.heed_cancellation()
            if full or clock.monotonic() - swept >= self._janitor.every_s:
                await self._janitor.sweep(session.client, session.shards, self._most)
                swept = clock.monotonic()
            asked = len(self._waiting)
            self._journal.appended.clear()
            outcome = await session.round()
            self._well()
            self._observer.full(outcome is _Outcome.FULL)
            full = full + 1 if outcome is _Outcome.FULL else 0
            if outcome is _Outcome.FULL:
                self._say_full(full)
                await asyncio.sleep(jitter.pause(full))
            elif outcome is _Outcome.NOTHING_LEFT:
                self._answer(asked)
                await self._rest(session)

    async def _rest(self, session: "_Session") -> None:
        try:
            async with asyncio.timeout(IDLE_S):
                await self._journal.appended.wait()
        except TimeoutError:
            await session.compare()

    def _answer(self, asked: int) -> None:
        for waiting in self._waiting[:asked]:
            if not waiting.done():
                waiting.set_result(None)
        del self._waiting[:asked]

    def _report(self, failure: Exception) -> None:
        """Once in words; what follows in a row is for the metric."""
        reason = _reason(failure)
        self._observer.failed(reason)
        if not self._failures:
            said = str(failure).partition("\n")[0]
            log.warning("usage waits in the journal, Redis does not take it: %s: %s", reason, said)

    def _well(self) -> None:
        if self._failures:
            log.info("Redis takes usage again, after %d tries", self._failures)
        self._failures = 0
        self._observer.failed(None)

    def _say_full(self, rounds: int) -> None:
        if rounds == 1:
            log.warning(
                "usage waits in the journal: the stream holds %d entries that its consumers (%s)"
                " have not acknowledged",
                self._most,
                ", ".join(self._janitor.groups),
            )


class _Outcome(Enum):
    MORE = "there may be more to publish"
    NOTHING_LEFT = "the stream is at the journal's head"
    FULL = "the stream takes no more for now"


@dataclass(slots=True)
class _Producer:
    """One epoch of the journal, as far as a session knows."""

    epoch: int
    name: str
    keys: Keys
    mark: int


@dataclass(frozen=True, slots=True)
class _Chunk:
    """What the journal holds of one epoch beyond a number."""

    producer: _Producer
    after: int
    rows: Sequence[Row]


class _Session:
    """One client and the marks it was told; its first failure is its end."""

    def __init__(
        self,
        client: Client,
        shards: Shards,
        journal: Journal,
        schema: int,
        most: int,
        observer: Observer,
        told: dict[str, int],
    ) -> None:
        """Know nothing yet.

        `told`: the last mark of each producer, which outlives the session. Nothing is published by
        it; but a server that comes back without its last second is met by the next session, which
        could not tell of it otherwise.
        """
        self.client = client
        self.shards = shards
        self._journal = journal
        self._schema = schema
        self._most = most
        self._observer = observer
        self._told = told
        self._known: dict[int, _Producer] = {}
        self._turn = 0
        self._ahead: asyncio.Task[list[_Chunk]] | None = None

    async def round(self) -> _Outcome:
        """Publish one chunk of what the journal holds beyond the marks."""
        await self._acquaint()
        found = await self._next()
        for chunk in found:
            # What was read ahead is of no use any more where Redis went back in the meantime.
            rows = chunk.rows if chunk.after == chunk.producer.mark else ()
            for batch in _batches(rows, chunk.after):
                if not await self._publish(chunk.producer, batch):
                    return _Outcome.FULL
                if chunk.producer.mark < batch.last:
                    break
        return _Outcome.MORE if found else _Outcome.NOTHING_LEFT

    async def settle(self) -> None:
        """Wait for the thread that still reads the journal."""
        if self._ahead is not None:
            await asyncio.wait([self._ahead])

    async def _next(self) -> "list[_Chunk]":
        """The next chunk; while it is published, a thread reads the one after it.

        Only where there is a backlog: this way a chunk that was read ahead is never the last one,
        of which there may be more by now.
        """
        ahead, self._ahead = self._ahead, None
        found = await ahead if ahead is not None else []
        found = found or await asyncio.to_thread(self._read, {})
        if sum(len(chunk.rows) for chunk in found) >= CHUNK:
            expected = {chunk.producer.epoch: chunk.rows[-1].seq for chunk in found}
            self._ahead = tasks.spawn(
                asyncio.to_thread(self._read, expected), name="read the journal ahead"
            )
        return found

    async def compare(self) -> None:
        """Read every mark again: Redis may have gone back in time."""
        for producer in self._known.values():
            self._note(producer, await self._mark(producer))

    async def _acquaint(self) -> None:
        """Learn the marks of new epochs; drop those of epochs that the journal is done with."""
        named = await asyncio.to_thread(self._named)
        for epoch in self._known.keys() - named.keys():
            gone = self._known.pop(epoch)
            self._told.pop(gone.name, None)
            await self.client.hdel(gone.keys.marks, gone.name)
        for epoch in named.keys() - self._known.keys():
            name = named[epoch]
            producer = _Producer(epoch, name, self.shards.of(name), self._told.get(name, 0))
            self._note(producer, await self._mark(producer))
            self._known[epoch] = producer

    def _named(self) -> dict[int, str]:
        return {epoch: self._journal.producer(epoch) for epoch in self._journal.epochs()}

    async def _mark(self, producer: _Producer) -> int:
        return int(await self.client.hget(producer.keys.marks, producer.name) or 0)

    def _read(self, expected: dict[int, int]) -> "list[_Chunk]":
        """One chunk, which begins with another epoch every time.

        `expected`: the marks that will be, by epoch, where they are not what they are.
        """
        self._turn += 1
        producers = list(self._known.values())
        start = self._turn % max(1, len(producers))
        found: list[_Chunk] = []
        room = CHUNK
        for producer in producers[start:] + producers[:start]:
            after = expected.get(producer.epoch, producer.mark)
            rows = self._journal.rows(producer.epoch, after, room) if room else ()
            if rows:
                found.append(_Chunk(producer, after, rows))
                room -= len(rows)
        return found

    async def _publish(self, producer: _Producer, batch: "_Batch") -> bool:
        """False where the stream is full."""
        keys = producer.keys
        said, mark = await scripts.PUBLISH.run(
            self.client,
            [keys.stream, keys.marks],
            [producer.name, batch.after, batch.first, self._schema, self._most, *batch.bodies],
        )
        self._note(producer, mark)
        if said > 0:
            self._observer.published(said)
        return bool(said != scripts.FULL)

    def _note(self, producer: _Producer, mark: int) -> None:
        if mark < producer.mark:
            log.warning(
                "Redis went back from event %d of %s to %d; what it lost is published again",
                producer.mark,
                producer.name,
                mark,
            )
            self._observer.rewound(producer.name, producer.mark, mark)
        producer.mark = self._told[producer.name] = mark


@dataclass(slots=True)
class _Batch:
    """A run of events whose numbers follow each other."""

    after: int
    """Between this number and the first one the journal holds nothing."""

    first: int
    bodies: list[bytes]

    @property
    def last(self) -> int:
        return self.first + len(self.bodies) - 1


def _batches(rows: Sequence[Row], after: int) -> Iterator[_Batch]:
    """Runs as long as one script call takes; a number that is missing ends one, too."""
    for start in range(0, len(rows), BATCH):
        part = rows[start : start + BATCH]
        bodies = [row.body for row in part]
        unbroken = part[-1].seq - part[0].seq == len(part) - 1
        if unbroken and sum(map(len, bodies)) <= BATCH_BYTES:
            batches = [_Batch(after, part[0].seq, bodies)]
        else:
            batches = _split(part, after)
        yield from batches
        after = batches[-1].last


def _split(rows: Sequence[Row], after: int) -> list[_Batch]:
    """The same, one by one."""
    batches: list[_Batch] = []
    size = 0
    for row in rows:
        size += len(row.body)
        if not batches or row.seq != batches[-1].last + 1 or size > BATCH_BYTES:
            batches.append(_Batch(batches[-1].last if batches else after, row.seq, []))
            size = len(row.body)
        batches[-1].bodies.append(row.body)
    return batches


def _reason(failure: BaseException) -> str:
    """Redis' own name of an error, which redis-py cuts off, or hides behind a failed connect.

    Where it is cut off, what is left may begin with a command's name: the code comes first.
    """
    causes = list(_causes(failure))
    codes = [str(code) for cause in causes if (code := getattr(cause, "status_code", None))]
    words = [str(cause).partition(" ")[0] for cause in causes]
    return next((said for said in [*codes, *words] if said.isupper()), type(failure).__name__)


def _causes(failure: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = failure
    while cause is not None:
        yield cause
        cause = cause.__cause__
