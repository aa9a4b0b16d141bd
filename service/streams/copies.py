"""The owner's side: this process's streams, copied into Redis behind their backs.

A `Copy` reads a log as any reader does, by cursor, and holds no events of its own: `push` notes
that there is something, and one writer for the whole process sends what has become pending while
its last call was on its way, every stream's in one script call, a hundred times a second at most
and for a tenth of the time. So a token costs a flag and, where its stream was quiet, a list's
append; and while Redis is away, nothing grows but the logs, which are bounded anyway, and those of
streams that have ended are let go when the streams expire.

Whatever happens to Redis, the buffer goes on where it stands: the script says which number it wants
next, and the copy goes there. Where the log no longer has that number, the fold of what it dropped
is sent in its place, so that a reader elsewhere is told of a snapshot and never misses an event.
What the stream was asked goes with its first run, and again where Redis has lost something.

Lifetime: `add` as a stream begins; a copy leaves the log when all of it, the end included, is in
Redis, when somebody else has ended the stream (this process was frozen for longer than its lease),
or when the stream would have expired before Redis came back. Not copied again: an ended stream
whose buffer Redis lost.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

import msgspec

from service import clock
from service.streams.buffer_scripts import FENCED, KEEP, Shard, Shards
from service.streams.log import StreamLog
from service.streams.stream import Stream
from service.usage.client import Client

PACE: Final = 0.01
"""Seconds from one call to the next: so much later is a reader elsewhere. A call costs 0.1 ms of
this process, and 13 us for each stream in it (`bench.shared_streams`)."""

RESTS: Final = 9
"""How many times as long as a call took there is none: where there is much to send, more of it goes
together, and it takes a tenth of this process at most."""

SLOWEST: Final = 0.1
"""Seconds from one call to the next, however long it took."""

RUN: Final = 256 * 1024
"""Bytes of one stream in a call."""

CALL: Final = 4 * 1024 * 1024
"""Bytes in a call, beyond which the other streams wait for the next one."""

SHARE: Final = 8
"""A buffer is cut where it is longer than its log by an eighth: a fold is as long as the answer,
and the log drops a 64th at a time."""

LIVE_MS: Final = 3_600_000
"""How much longer than an ended stream a running one is kept when nothing is added to it."""

NAMED_MS: Final = 3_600_000
"""How much longer than a stream its name is kept."""

_log = logging.getLogger(__name__)

_encode_fold = msgspec.json.Encoder().encode


class Copy:
    """One stream's way into its buffer: a reader of its log."""

    __slots__ = (
        "_changed",
        "asked",
        "cursor",
        "ended_at",
        "folded",
        "log",
        "pending",
        "shard",
        "stream",
    )

    def __init__(self, stream: Stream, shard: Shard, changed: Callable[["Copy"], None]) -> None:
        """`changed` is called when there is something to send, once until it was sent."""
        self.stream = stream
        self.log = stream.log
        self.shard = shard
        self.cursor = 0
        """What Redis wants next."""
        self.folded = 0
        """Up to where Redis has the fold instead of the events."""
        self.asked = False
        """Whether Redis has what the stream was asked."""
        self.pending = False
        self.ended_at: float | None = None
        """Monotonic seconds."""
        self._changed = changed

    def push(self, new: list[bytes], upto: int) -> None:
        """The log has grown: called for every token."""
        del new, upto  # read by cursor, when there is time
        if self.log.end is not None and self.ended_at is None:
            self.ended_at = clock.monotonic()
        if not self.pending:
            self.pending = True
            self._changed(self)

    @property
    def complete(self) -> bool:
        """Whether all there will be is in Redis."""
        return self.log.end is not None and self.cursor == self.log.next

    def parcel(self) -> "Parcel":
        """What is to be sent next."""
        log, fold = self.log, b""
        evicted = log.evicted()
        behind = log.first - self.folded
        if evicted is not None and (self.cursor < log.first or behind > _share(log)):
            fold = _encode_fold(evicted.events())
        first = max(self.cursor, log.first)
        entries = log.read_some(first, RUN)
        after = first + len(entries)
        return Parcel(
            copy=self,
            question=b"" if self.asked else _packed(self.stream),
            place=log.first,
            fold=fold,
            first=first,
            after=after,
            ends=log.end is not None and after == log.next,
            entries=b"".join(entries),
        )

    def stands(self, upto: int) -> None:
        """Redis has everything before `upto`."""
        if upto < self.cursor:
            # It has lost something, and so perhaps the fold and the question.
            self.folded, self.asked = 0, False
        self.cursor = upto


@dataclass(frozen=True, slots=True)
class Parcel:
    """A run of one stream's entries."""

    copy: Copy
    question: bytes
    place: int
    fold: bytes
    first: int
    after: int
    ends: bool
    entries: bytes

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.entries) + len(self.fold) + len(self.question)

    @property
    def args(self) -> tuple[Any, ...]:
        """As the script takes them."""
        grace = "0" if self.copy.stream.cancel_after is None else "1"
        ends = "1" if self.ends else "0"
        run = self.first, self.after, ends, self.entries
        return grace, self.question, self.place, self.fold, *run


class Copies:
    """All of this process's copies, and what sends them."""

    def __init__(self, shards: Shards, process: str, *, ttl: float) -> None:
        """`process` is the owner's name in Redis; `ttl`: seconds an ended stream is kept."""
        self._shards = shards
        self._process = process
        ended_ms = round(ttl * 1000)
        self._ttl = ttl
        self._kept = (ended_ms + LIVE_MS, ended_ms, NAMED_MS)
        self._copies: dict[str, Copy] = {}
        self._pending: list[Copy] = []
        self._bell = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def __len__(self) -> int:
        """How many streams are not in Redis as a whole."""
        return len(self._copies)

    def add(self, stream: Stream) -> None:
        """Copy a stream from its first event on."""
        copy = Copy(stream, self._shards.find(stream.id), self._changed)
        self._copies[stream.id] = copy
        stream.log.subscribe(copy)

    async def done(self) -> None:
        """Wait until everything that was said is in Redis."""
        await self._idle.wait()

    def find(self, stream_id: str) -> Stream | None:
        """A stream that is being copied."""
        copy = self._copies.get(stream_id)
        return None if copy is None else copy.stream

    def doubt(self, shard: Shard) -> None:
        """Redis may have lost what it had: look at every buffer."""
        for copy in self._copies.values():
            if copy.shard == shard:
                copy.push([], 0)

    def forget(self, now: float) -> None:
        """Give up what has expired before it was all in Redis; `now` in monotonic seconds.

        To be called every few seconds, most of all while Redis is away.
        """
        for copy in list(self._copies.values()):
            if copy.ended_at is not None and now >= copy.ended_at + self._ttl:
                self._drop(copy)
        self._pending = [copy for copy in self._pending if copy.stream.id in self._copies]

    async def send(self, client: Client) -> float:
        """Wait for something to send and send it; the seconds to wait before the next time.

        Whatever the client raises is passed on, and nothing is lost by it.
        """
        await self._bell.wait()
        began = clock.monotonic()
        taken, self._pending = self._pending, []
        self._bell.clear()
        try:
            for shard, parcels in _calls(taken):
                await self._deliver(client, shard, parcels)
        finally:
            # The rest of a long log, and after a failure what was not sent.
            for copy in taken:
                self._settle(copy)
            if not self._pending:
                self._idle.set()
        return min(SLOWEST, max(PACE, RESTS * (clock.monotonic() - began)))

    async def _deliver(self, client: Client, shard: Shard, parcels: Sequence[Parcel]) -> None:
        keys = [key for p in parcels for key in shard.stream(p.copy.stream.id).all]
        args = [arg for p in parcels for arg in p.args]
        replies = await KEEP.run(client, keys, [self._process, *self._kept, *args])
        for parcel, upto in zip(parcels, replies, strict=True):
            if upto == FENCED:
                self._drop(parcel.copy)
                continue
            if parcel.fold:
                parcel.copy.folded = parcel.place
            parcel.copy.asked = True
            parcel.copy.stands(upto)

    def _settle(self, copy: Copy) -> None:
        if copy.stream.id not in self._copies:
            return
        if copy.complete:
            self._drop(copy)
        elif copy.cursor < copy.log.next:
            self._changed(copy)
        else:
            copy.pending = False

    def _changed(self, copy: Copy) -> None:
        self._pending.append(copy)
        self._bell.set()
        self._idle.clear()

    def _drop(self, copy: Copy) -> None:
        copy.log.unsubscribe(copy)
        self._copies.pop(copy.stream.id, None)


def _packed(stream: Stream) -> bytes:
    """What a stream was asked, as Redis keeps it; nothing where there is no such thing."""
    if stream.question is None:
        return b""
    try:
        return stream.question.packed()
    except Exception:  # noqa: BLE001 - one client's odd words must not keep all streams here
        _log.exception("what stream %s was asked cannot be kept", stream.id)
        return b""


def _share(log: StreamLog) -> int:
    return (log.next - log.first) // SHARE


def _calls(copies: Sequence[Copy]) -> Iterator[tuple[Shard, list[Parcel]]]:
    """One call for each shard; where there is too much for one, the others come next time."""
    ordered = sorted(copies, key=lambda copy: copy.shard.number)
    for shard, of_shard in groupby(ordered, key=lambda copy: copy.shard):
        parcels, size = [], 0
        for copy in of_shard:
            parcel = copy.parcel()
            parcels.append(parcel)
            size += parcel.size
            if size >= CALL:
                break
        yield shard, parcels
