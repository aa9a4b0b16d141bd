"""Usage events as they come, for any number of watchers, from any place that is still kept.

One task for each shard reads what is new, once for all watchers, and hands it to those who are up
to date. Who is behind, because it began at an earlier place or took too long, reads for itself
until it has caught up, and is then handed what comes like everybody else. So a watcher costs at
most `WAITING` references to events that others are handed, too; what it has not taken stays where
it is kept anyway.

A place in a shard's stream is two numbers, in Redis' form `<milliseconds>-<number>`, without an
engine `<epoch>-<number>`. A position is one place for each shard, with a dot between two: on one
Redis the entry's id as it is, on a cluster as many as it has shards. `0` is the beginning. Shards
only ever become more, so those that a position does not name are new and begin at 0.

Of a position that is older than what is kept, or that is not known, a `Gap` is told, and what is
kept is shown from its beginning. So it is, without a word, where an engine that was away comes back
with less than it had: an event is shown at least once, and may be shown again under another id.
What it is to be counted by is its own id.

Lifetime: reading begins with the first watcher and ends with the last one.

Left out: a clock of the engine's that is set back, by a failover to another machine, while so many
events are published again that its ids are ahead once more when they are next read. Those in
between are not shown. They are counted, which does not go by ids.
"""

import asyncio
import logging
import re
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, NamedTuple, Protocol, TypeVar

from service import jitter, tasks

log = logging.getLogger(__name__)

PAGE: Final = 500
"""Entries that are read at once."""

WAITING: Final = 2 * PAGE
"""Entries that wait for a watcher; with more it is behind, and reads for itself."""

MOST_SHARDS: Final = 1_024
"""Places that a position may consist of."""

Place = tuple[int, int]
Position = tuple[Place, ...]

BEGINNING: Final[Place] = (0, 0)

_PLACE: Final = re.compile(r"(\d{1,20})(?:-(\d{1,20}))?", re.ASCII)
_BEYOND: Final = 1 << 64
"""Where Redis' numbers end."""

T = TypeVar("T")


class PositionError(ValueError):
    """A text that is no position."""


class Placed(NamedTuple):
    """What is at a place."""

    place: Place
    body: bytes | None
    """The event's JSON; None: somebody put something else there."""


class Source(Protocol):
    """One shard's stream. All but `reset` may raise anything; it is asked again later."""

    async def last(self) -> Place:
        """The place of what was added last, whether it is still there or not."""

    async def holds(self, after: Place) -> bool:
        """Whether nothing that came after a place is gone; False, too, where nobody can tell."""

    async def read(self, after: Place) -> Sequence[Placed]:
        """At most PAGE entries after a place, none where there are none; for many at once."""

    async def wait(self, after: Place) -> Sequence[Placed]:
        """The same, once there are some, or nothing after a while; for one task."""

    async def reset(self) -> None:
        """Something failed, or nobody watches any more: let go of what is open."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A watcher without a position is told where it begins."""

    id: str


@dataclass(frozen=True, slots=True)
class Gap:
    """Events after this position may be gone; what is kept follows from its beginning."""

    after: str


@dataclass(frozen=True, slots=True)
class Seen:
    """An event."""

    id: str
    """The position after it."""
    body: bytes


Said = Begun | Gap | Seen


def parse(text: str) -> Position:
    """Read a position; raises PositionError."""
    places = text.split(".")
    found = [_PLACE.fullmatch(place) for place in places[:MOST_SHARDS]]
    position = tuple((int(one[1]), int(one[2] or 0)) for one in found if one)
    if len(position) < len(places) or any(max(place) >= _BEYOND for place in position):
        raise PositionError(
            f"{text[:64]!r} is not a position; must be the id of an event that was shown, or 0"
        )
    return position


def shown(position: Position) -> str:
    """The text of a position."""
    return ".".join("0" if place == BEGINNING else f"{place[0]}-{place[1]}" for place in position)


class Live:
    """The events of one engine."""

    def __init__(self, sources: Callable[[], Awaitable[Sequence[Source]]]) -> None:
        """`sources`: finds the shards, when somebody watches; may raise anything."""
        self._sources = sources
        self._tail: _Tail | None = None
        self._closed = False

    async def follow(self, after: Position | None) -> AsyncGenerator[Sequence[Said], None]:
        """What is said to one watcher, until `close`; to be closed by who follows.

        `after`: None begins now, and says first where that is.
        """
        tail = self._tail = self._tail or _Tail(self._sources)
        watcher = _Watcher(tail)
        tail.watchers.add(watcher)
        try:
            yield await watcher.begin(after)
            while not self._closed:
                said = await watcher.some()
                if said:
                    yield said
        finally:
            tail.watchers.discard(watcher)
            if not tail.watchers:
                tail.end()
                self._tail = None

    def close(self) -> None:
        """Let those go who have seen everything; who waits for an engine goes on to."""
        self._closed = True
        for watcher in self._tail.watchers if self._tail else ():
            watcher.handed.set()


@dataclass(slots=True)
class _Shard:
    """One stream, and how far it was read for everybody."""

    source: Source
    place: Place | None = None
    """None: it has not answered yet."""
    lineage: int = 0
    """How often it came back with less than it had."""


class _Tail:
    """Reads what is new, for as long as somebody watches."""

    def __init__(self, sources: Callable[[], Awaitable[Sequence[Source]]]) -> None:
        self.watchers: set[_Watcher] = set()
        self.shards: list[_Shard] = []
        self.known = asyncio.Event()
        """Set when every shard has a place."""
        self._task = tasks.spawn(self._run(sources), name="usage events")

    def end(self) -> None:
        """Nobody watches any more."""
        self._task.cancel()

    async def _run(self, sources: Callable[[], Awaitable[Sequence[Source]]]) -> None:
        self.shards = [_Shard(source) for source in await patiently(sources)]
        async with asyncio.TaskGroup() as group:
            for number in range(len(self.shards)):
                group.create_task(self._read_until_left(number))

    async def _read_until_left(self, number: int) -> None:
        # Closed by the task that opened it: the group cancels it once, however often it is itself.
        try:
            await self._read(number)
        finally:
            await self.shards[number].source.reset()

    async def _read(self, number: int) -> None:
        """Read a shard; from one failure to the next."""
        shard = self.shards[number]
        failures = 0
        while True:
            tasks.heed_cancellation()
            try:
                self._place(number, await shard.source.last())
                failures = _succeeded(failures)
                while entries := await shard.source.wait(shard.place or BEGINNING):
                    tasks.heed_cancellation()
                    self._hand_out(number, entries)
                continue
            except Exception as failure:  # noqa: BLE001 - whatever it was, the next try may do
                failures = _failed(failures, failure)
                await shard.source.reset()
            await asyncio.sleep(jitter.pause(failures - 1))

    def _place(self, number: int, last: Place) -> None:
        """Note where a shard is, whenever nothing came from it: it may have gone back in time."""
        shard = self.shards[number]
        if shard.place is None:
            shard.place = last
        elif last < shard.place:
            # What is there now may be new up to any place: it is shown again from the beginning.
            log.warning("usage events are gone from the stream; what is there is shown again")
            shard.place = BEGINNING
            shard.lineage += 1
            for watcher in self.watchers:
                watcher.rewind(number)
        if all(each.place is not None for each in self.shards):
            self.known.set()

    def _hand_out(self, number: int, entries: Sequence[Placed]) -> None:
        self.shards[number].place = entries[-1].place
        for watcher in self.watchers:
            watcher.hand(number, entries)


@dataclass(slots=True, eq=False)
class _Watcher:
    """One who watches."""

    tail: _Tail
    places: list[Place] = field(default_factory=list)
    """Of what was said last, by shard; empty until `begin`."""
    behind: set[int] = field(default_factory=set)
    """Shards that it reads for itself."""
    waiting: deque[tuple[int, Placed]] = field(default_factory=deque)
    handed: asyncio.Event = field(default_factory=asyncio.Event)

    async def begin(self, after: Position | None) -> Sequence[Said]:
        """Find its place, once the engine is there."""
        await self.tail.known.wait()
        shards = self.tail.shards
        if after is None:
            self.places = [shard.place or BEGINNING for shard in shards]
            return [Begun(shown(tuple(self.places)))]
        zeros = [BEGINNING] * len(shards)
        wanted = [*after, *zeros][: len(shards)] if len(after) <= len(shards) else zeros
        kept = [
            place == BEGINNING or await patiently(partial(shard.source.holds, place))
            for shard, place in zip(shards, wanted, strict=True)
        ]
        pairs = zip(wanted, kept, strict=True)
        self.places = [place if there else BEGINNING for place, there in pairs]
        self.behind = set(range(len(shards)))
        return [] if len(after) <= len(shards) and all(kept) else [Gap(shown(after))]

    async def some(self) -> Sequence[Said]:
        """What comes next; waits for it."""
        if self.waiting:
            handed = list(self.waiting)
            self.waiting.clear()
            return self._told(handed)
        if self.behind:
            return await self._caught_up(min(self.behind))
        self.handed.clear()
        await self.handed.wait()
        return []

    async def _caught_up(self, number: int) -> Sequence[Said]:
        """Read a page; if there is none, a shard is up to date again."""
        shard = self.tail.shards[number]
        handed_out, lineage = shard.place or BEGINNING, shard.lineage
        entries = await patiently(partial(shard.source.read, self.places[number]))
        if shard.lineage != lineage:
            return []
        if not entries and shard.place == handed_out:
            # Others have seen no more, nor is there more: what was up to here and is not, is gone.
            self.places[number] = max(self.places[number], handed_out)
            self.behind.discard(number)
        return self._told([(number, entry) for entry in entries])

    def _told(self, handed: Sequence[tuple[int, Placed]]) -> list[Said]:
        """What of it is new; what it has read for itself may be handed to it, too."""
        told: list[Said] = []
        for number, (place, body) in handed:
            if place > self.places[number]:
                self.places[number] = place
                if body is not None:
                    told.append(Seen(shown(tuple(self.places)), body))
        return told

    # --- Called by the tail ---

    def hand(self, number: int, entries: Sequence[Placed]) -> None:
        """Here is something new, unless it has not begun or will come to it by itself."""
        if not self.places or number in self.behind:
            return
        if len(self.waiting) + len(entries) > WAITING:
            self.behind.add(number)
        else:
            self.waiting.extend((number, entry) for entry in entries)
        self.handed.set()

    def rewind(self, number: int) -> None:
        """A shard has lost events; what waits of it will come again, under another id."""
        self.waiting = deque(handed for handed in self.waiting if handed[0] != number)
        if self.places:
            self.places[number] = BEGINNING


def _succeeded(failures: int) -> int:
    if failures:
        log.info("usage events are shown again, after %d tries", failures)
    return 0


def _failed(failures: int, failure: Exception) -> int:
    if not failures:
        said = str(failure).partition("\n")[0]
        log.warning("usage events cannot be shown: %s: %s", type(failure).__name__, said)
    return failures + 1


async def patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask until there is an answer."""
    failures = 0
    while True:
        tasks.heed_cancellation()
        try:
            return await ask()
        except Exception as failure:  # noqa: BLE001 - whatever it was, the next try may do
            log.debug("usage events cannot be read: %r", failure)
        await asyncio.sleep(jitter.pause(failures))
        failures += 1
