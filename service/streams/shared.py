"""Streams that several processes serve: every one of them can resume, attach to and cancel all.

`SharedStreams` stands before the process's own `Store`. A stream it does not hold is looked for in
Redis and followed from there (`replicas`), what it was asked included; its own streams are copied
there (`copies`), and which of them its chats are at (`shared_chats`); and an Idempotency-Key is
claimed there before the generation starts, so that one process generates (`claims`).

Who lives is said by leases. Each process renews its own once a second, and in the same breath tells
the owners of the streams that it follows that it does, which keeps `cancel_after` from counting,
and learns who of them is gone. A stream whose owner's lease has been missing for a while, with
Redis there all the time, is ended by whoever follows it (`ending`), in the buffer, once for all.

Without Redis every process is on its own: streams go on, a key is its own process's, and a stream
of another process is a 503 that says so. No request waits longer for Redis than `QUICK` before its
own work, nor than `PATIENCE` for somebody else's stream.

Lifetime: `start` opens the connections, `close` ends what `start` began. Source: docs/streams.md,
"Several processes".
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

from adapters.errors import RequestError
from adapters.events import ErrorCode
from service import clock, ids, tasks
from service.streams.buffer_scripts import (
    BEAT,
    END,
    GONE,
    Shard,
    Shards,
)
from service.streams.claims import Claims
from service.streams.copies import NAMED_MS, Copies
from service.streams.ending import interrupted
from service.streams.fold import Fold
from service.streams.log import StreamLog
from service.streams.question import Question
from service.streams.replicas import (
    INBOX_MS,
    PAGE,
    UNREADABLE,
    Replica,
    Replicas,
    following,
    message_of,
    run_of,
)
from service.streams.shared_chats import SharedChats
from service.streams.store import Store
from service.streams.stream import Stream
from service.streams.waiting import AWAY, LOOK, PATIENCE, QUICK, Questions
from service.usage.client import Client, close

BLOCK_MS: Final = 1_000
"""How long a read waits for news; shorter than any timeout of a connection."""

FLUSH: Final = 1.0
"""Seconds that a process which leaves takes to send what its streams said last."""

BEHIND: Final = 1.0
"""Seconds that a stream's end may take to get here; it takes a tenth of that where all is well."""

FRESH_MS: Final = 1_000
"""Age, by its own name, of a stream that may not be in Redis yet."""

_log = logging.getLogger(__name__)

T = TypeVar("T")

Step = Callable[[Client], Awaitable[None]]
"""One turn of what a task does."""


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How soon a process that is gone is known to be gone. All in seconds."""

    beat: float = 1.0
    """From one renewal of the lease to the next."""

    lease: float = 3.0
    """How long a process that says nothing counts as living."""

    alone: float = 1.5
    """For how long a lease must have been missing, seen by us, before its streams are ended: an
    owner that was cut off from Redis just as we were is given time to come back."""

    followed: float = 3.0
    """How long a reader elsewhere counts after it was last heard of."""

    retry: float = 0.25
    """From a failure to the next try: well within a lease."""


_RHYTHM = Rhythm()


class SharedStreams:
    """This process's streams and everybody else's."""

    def __init__(
        self,
        store: Store,
        connect: Callable[[int], Client],
        *,
        max_bytes: int,
        max_events: int,
        rhythm: Rhythm = _RHYTHM,
    ) -> None:
        """`connect` makes a client of so many connections at most; the bounds are one log's."""
        self.process = ids.new("pr", clock.now_ms())
        """What the others call this process."""
        self._store = store
        self._connect = connect
        self._rhythm = rhythm
        self._client = connect(8)
        self._questions = Questions()
        shards = self._shards = Shards.of(self._client)
        self._copies = Copies(shards, self.process, ttl=store.ttl)
        self._replicas = Replicas(shards, max_bytes=max_bytes, max_events=max_events)
        self._claims = Claims(
            shards,
            self._client,
            self.process,
            asks=self._quickly,
            patiently=self._questions.patiently,
            find=self.get,
            ttl=store.ttl,
        )
        self._chats = SharedChats(
            shards,
            self._client,
            store.chats,
            asks=partial(self._quickly, limit=PATIENCE),
            ttl=store.ttl,
        )
        self._followed: dict[tuple[str, str], _Followed] = {}
        """By stream and process: who has readers of ours."""
        self._heard: dict[Shard, bytes] = dict.fromkeys(shards.all, b"0")
        """The last message of each inbox."""
        self._there = False
        self._new = True
        self._tasks: list[asyncio.Task[None]] = []
        self._sweeper: asyncio.TimerHandle | None = None

    # --- Lifetime ---

    async def start(self) -> None:
        """Begin to copy, to follow and to say that we live; Redis may be away."""
        work: dict[str, Step] = {
            "copies": self._copy,
            "chats": self._chats.send,
            "messages": self._replicas.send,
            "lease": self._beat,
        }
        for shard in self._shards.all:
            work[f"followed streams {shard.number}"] = partial(self._follow, shard)
        # Connected before the first request, which may have only 50 ms to wait.
        clients = [self._connect(1) for _ in work]
        greeted = await asyncio.gather(*map(self._greets, [self._client, *clients]))
        self._there = all(greeted)
        for client, (name, step) in zip(clients, work.items(), strict=True):
            always = self._always(name, step, client)
            self._tasks.append(tasks.spawn(always, name=f"streams: {name}"))
        self._store.chats.others = self._chats
        self._sweep()

    async def close(self) -> None:
        """Send what is left, for a moment, then leave."""
        if self._there:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FLUSH):
                    await self._copies.done()
                    await self._chats.done()
        self._store.chats.others = None
        if self._sweeper is not None:
            self._sweeper.cancel()
        for task in self._tasks:
            await tasks.end(task)
        await self._questions.close()
        await close(self._client)

    # --- Asked by requests ---

    def share(self, stream: Stream) -> None:
        """Let the others see a stream of ours, from its first event on."""
        self._copies.add(stream)

    async def get(self, stream_id: str, after: int = -1) -> Stream:
        """The stream of that name, whoever makes it.

        A reader that has had `after` from elsewhere is waited with until that is here, too.
        Raises RequestError: `stream_expired`, `not_found`, or that the others cannot be asked.
        """
        local = self._local(stream_id)
        if local is not None:
            return local
        replica = self._replicas.find(stream_id)
        if replica is None:
            replica = await self._questions.patiently(self._found(stream_id))
        if replica is None:
            return self._store.get(stream_id)
        replica.idle_since = clock.monotonic()
        if replica.grace:
            self._replicas.post(replica, following(self.process, [stream_id]))
        await _reached(replica.stream, after)
        return replica.stream

    async def question(self, stream_id: str) -> Question | None:
        """What another process's stream was asked; None where that is not known.

        Raises RequestError where the others cannot be asked.
        """
        return await self._questions.patiently(self._replicas.question(self._client, stream_id))

    async def caught_up(self, stream: Stream) -> None:
        """Wait for an end that its owner may have told its own readers already, and no longer."""
        if self._replicas.find(stream.id) is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(BEHIND):
                    await stream.over()

    async def claim(self, key: str, fingerprint: bytes, stream_id: str) -> Stream | None:
        """Take an Idempotency-Key for `stream_id`; else the stream that has it already.

        Without Redis everybody gets it. Raises RequestError: conflict, and as `get` does.
        """
        return await self._claims.take(key, fingerprint, stream_id)

    async def release(self, key: str, fingerprint: bytes, stream_id: str) -> None:
        """Give back what `claim` has taken, or may take yet: nothing came of it."""
        await self._claims.release(key, fingerprint, stream_id)

    async def _found(self, stream_id: str) -> Replica | None:
        """Load a stream; None: it is ours after all.

        One that was made a moment ago may be on its way to Redis.
        """
        while True:
            replica = None
            try:
                replica = await self._replicas.load(self._client, stream_id)
            except RequestError as missing:
                made = ids.made_at(stream_id)
                fresh = made is not None and abs(clock.now_ms() - made) < FRESH_MS
                if missing.error.code is not ErrorCode.NOT_FOUND or not fresh:
                    raise
            if self._local(stream_id) is not None:
                return None  # of two requests with one key, here: the other one has begun
            if replica is not None:
                self._replicas.ring(replica.shard, self.process)
                return replica
            await asyncio.sleep(LOOK)

    def _local(self, stream_id: str) -> Stream | None:
        try:
            return self._store.get(stream_id)
        except RequestError as unknown:
            if unknown.error.code is ErrorCode.NOT_FOUND:
                return None
            raise

    async def _quickly(self, asked: Coroutine[Any, Any, T], limit: float = QUICK) -> T | None:
        """An answer of Redis; None where there is none in time."""
        if not self._there:
            asked.close()
            return None
        try:
            return await self._questions.within(limit, asked)
        except AWAY:
            return None

    async def _greets(self, client: Client) -> bool:
        """Connect; whether somebody was there."""
        try:
            await self._questions.within(PATIENCE, _ping(client))
        except AWAY:
            return False
        return True

    # --- Tasks ---

    async def _always(self, name: str, step: Step, client: Client) -> None:
        """Take step after step, with another client after each failure, whatever it was.

        A task that ended would have us declared dead, or leave our streams to ourselves, for good.
        """
        failing = False
        while True:
            try:
                while True:
                    await step(client)
                    tasks.heed_cancellation()
                    failing = False
            except Exception as failure:  # noqa: BLE001 - the next try may do
                if not failing:
                    _complain(name, failure)
                failing = True
            finally:
                await close(client)
            tasks.heed_cancellation()
            await asyncio.sleep(self._rhythm.retry)
            client = self._connect(1)

    async def _copy(self, client: Client) -> None:
        await asyncio.sleep(await self._copies.send(client))

    async def _follow(self, shard: Shard, client: Client) -> None:
        """Read what is new of a shard's streams, and its inbox."""
        inbox = shard.inbox(self.process).encode()
        replicas = {r.buffer.entries.encode(): r for r in self._replicas.of(shard)}
        places: dict[Any, Any] = {key: replica.position for key, replica in replicas.items()}
        places[inbox] = self._heard[shard]
        found: Any = await client.xread(places, count=PAGE, block=BLOCK_MS)
        for key, runs in found.items():
            if key == inbox:
                for message_id, fields in runs:
                    self._heard[shard] = message_id
                    self._hear(fields.get(b"m", b""))
            else:
                await self._take(client, replicas[key], runs)

    async def _take(self, client: Client, replica: Replica, runs: Any) -> None:  # noqa: ANN401 - Redis' own types
        """Go on with what came.

        Where events are missing, with what stands for them; where that is missing, too, or cannot
        be read, this one replica ends.
        """
        try:
            if _taken(replica, runs):
                return
            await self._replicas.reload(client, replica)
            if _taken(replica, runs):
                return
        except UNREADABLE as failure:
            _log.warning("stream %s cannot be read here: %s", replica.stream.id, failure)
        first, entries = _ending(replica)
        replica.take(first, entries)

    # --- Messages from those who follow our streams ---

    def _hear(self, text: bytes) -> None:
        try:
            message = message_of(text)
        except UNREADABLE as failure:
            _log.warning("a message cannot be read here: %s", failure)
            return
        match message:
            case ["f", process, *streams]:
                until = clock.monotonic() + self._rhythm.followed
                for stream_id in streams:
                    self._hold(stream_id, process, until)
            case ["c", stream_id, reason]:
                stream = self._copies.find(stream_id)
                if stream is not None:
                    stream.cancel(reason)
            case ["w"]:
                pass  # our own: to read a longer list of streams
            case other:
                _log.warning("a message of %r is not known here", other[:1])

    def _hold(self, stream_id: str, process: str, until: float) -> None:
        stream = self._copies.find(stream_id)
        if stream is None or stream.ended:
            return
        held = self._followed.get((stream_id, process))
        if held is None:
            held = self._followed[stream_id, process] = _Followed(stream)
            stream.attach(held)
        held.until = until

    # --- Once a second ---

    async def _beat(self, client: Client) -> None:
        try:
            for shard in self._shards.all:
                await self._beat_of(client, shard)
        except AWAY:
            self._there = False
            for shard in self._shards.all:
                for replica in self._replicas.of(shard):
                    replica.alone_since = None  # nobody was seen to be missing
            raise
        self._there, self._new = True, False
        await asyncio.sleep(self._rhythm.beat)

    def _sweep(self) -> None:
        """Let go of what has had its time; by a timer, as Redis may be away for long."""
        self._sweeper = asyncio.get_running_loop().call_later(self._rhythm.beat, self._sweep)
        now = clock.monotonic()
        self._copies.forget(now)
        self._replicas.forget(now)
        for key, held in list(self._followed.items()):
            if now >= held.until or held.stream.ended:
                del self._followed[key]
                held.stream.detach(held)

    async def _beat_of(self, client: Client, shard: Shard) -> None:
        by_owner: dict[str, list[Replica]] = {}
        for replica in self._replicas.of(shard):
            by_owner.setdefault(replica.owner, []).append(replica)
        keys, args = [shard.lease(self.process)], [round(self._rhythm.lease * 1000), INBOX_MS]
        messages: list[bytes] = []
        for owner, replicas in by_owner.items():
            keys += [shard.lease(owner), shard.inbox(owner)]
            read = [r.stream.id for r in replicas if r.grace and r.stream.attached]
            messages.append(following(self.process, read) if read else b"")
        ours, *theirs = await BEAT.run(client, keys, [*args, *messages])
        if not ours and not self._new:
            self._copies.doubt(shard)
            self._chats.doubt(shard)
        now = clock.monotonic()
        for lives, replicas in zip(theirs, by_owner.values(), strict=True):
            for replica in replicas:
                await self._look_after(client, replica, now, lives=bool(lives))

    async def _look_after(
        self, client: Client, replica: Replica, now: float, *, lives: bool
    ) -> None:
        """End a stream whose owner is gone."""
        if lives:
            replica.alone_since = None
        elif replica.alone_since is None:
            replica.alone_since = now
        elif now >= replica.alone_since + self._rhythm.alone:
            await self._end(client, replica)

    async def _end(self, client: Client, replica: Replica) -> None:
        first, entries = _ending(replica)
        keys = [*replica.buffer.all, replica.shard.lease(replica.owner)]
        ttl_ms = round(self._store.ttl * 1000)
        after, run = first + len(entries), b"".join(entries)
        upto = await END.run(client, keys, [first, after, run, ttl_ms, NAMED_MS])
        if upto == GONE or upto < first:
            replica.take(first, entries)  # Redis has lost it: at least our readers know
        # Else it comes as everything comes, from the buffer: ours, or what was there before it.


@dataclass(slots=True, eq=False)
class _Followed:
    """Another process has readers of a stream of ours; attached to it as a reader is."""

    stream: Stream
    until: float = 0.0


def _taken(replica: Replica, runs: Any) -> bool:  # noqa: ANN401 - Redis' own types
    """Whether a replica could go on with these runs, all of them."""
    return all(replica.take(*run_of(fields)) for _, fields in runs)


def _ending(replica: Replica) -> tuple[int, list[bytes]]:
    """What would end it now: the first one's number, and the entries."""
    log, now_ms = replica.stream.log, clock.now_ms()
    scratch = StreamLog(log.stream)
    scratch.resume(log.next, Fold())
    scratch.append(interrupted(log.fold(), now_ms), now_ms)
    return log.next, scratch.read(log.next)


class _Arrival:
    """A reader that waits for one event."""

    def __init__(self, seq: int) -> None:
        self.arrived = asyncio.Event()
        self._seq = seq

    def push(self, new: list[bytes], upto: int) -> None:
        del new
        if upto > self._seq:
            self.arrived.set()


async def _reached(stream: Stream, seq: int) -> None:
    """Wait for an event that its owner has sent already; not for ever, it may have been lost."""
    if seq < stream.log.next or stream.ended:
        return
    arrival = _Arrival(seq)
    stream.log.subscribe(arrival)
    try:
        async with asyncio.timeout(PATIENCE):
            await arrival.arrived.wait()
    except TimeoutError:
        return
    finally:
        stream.log.unsubscribe(arrival)


def _complain(name: str, failure: Exception) -> None:
    if isinstance(failure, AWAY):
        _log.warning("%s wait for Redis: %s", name, failure)
    else:
        _log.error("%s failed, and go on", name, exc_info=failure)


async def _ping(client: Client) -> None:
    await client.ping()
