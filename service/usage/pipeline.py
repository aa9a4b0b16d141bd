"""Usage from the attempt to the sums: everything that runs for it in one process of the service.

    meter -> journal -> publisher -> Redis Stream -> aggregator -> sums
                     `------------- follower -----------------'

The journal is this process' own and the only thing a request waits for. Behind it everything may be
away for as long as it likes. With an engine the publisher keeps the stream at the journal's head
and the aggregator, unless it runs elsewhere, counts what is in the stream; without one the journals
are followed directly. Journals that other processes left behind are taken over and drained, and
what is in the sums and old enough is deleted from all of them.

Lifetime: `start` before the first request, `stop` after the last attempt is over.
"""

import asyncio
import logging
import socket
import sqlite3
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Final

from service import clock, tasks
from service.settings import Settings, SettingsError
from service.usage import journal as journals
from service.usage import scripts, sources, sums
from service.usage.aggregate import Aggregator
from service.usage.client import Address, Client, close, connect
from service.usage.database import UnavailableError
from service.usage.engine import Engine, InProcess, resolve
from service.usage.journal import ORPHANED_AFTER, Journal
from service.usage.live import Source
from service.usage.meter import Meter
from service.usage.publisher import Janitor, Publisher
from service.usage.record import MAJOR
from service.usage.replay import Follower
from service.usage.rollups import Retention, Rollups
from service.usage.slot import Slot, SlotError, VolatileError, named
from service.usage.store import JournalError
from service.usage.watch import Publishing, Watch

log = logging.getLogger(__name__)

LOOK: Final = 0.1
"""Seconds between two looks which attempts are to be written down of again: so often that what is
due is never much at once. Two thousand running attempts are 100 in each look, some 3 ms."""

SWEEPS: Final = 6
"""So many looks for journals that were left behind to one for what may be deleted."""

PUBLISHED_WITHIN: Final = 2.0
"""Seconds that the last events get to be published at the end; the next start does the rest."""


@dataclass(slots=True)
class _Adopted:
    """A journal that another process left behind."""

    journal: Journal
    publisher: Publisher | None = None
    observer: Publishing | None = None
    publishing: asyncio.Task[None] | None = None


class Pipeline:
    """What runs for usage."""

    def __init__(
        self,
        settings: Settings,
        environ: Mapping[str, str],
        *,
        on_failure: Callable[[], None],
    ) -> None:
        """Nothing is opened yet.

        `on_failure` is called once where nothing can be written down any more: only a new process
        can find out what is on the disk.
        """
        self._settings = settings
        self._environ = environ
        self._on_failure = on_failure
        own = settings.usage
        self.meter = Meter(open_record=own.open_record, lossy=own.on_journal_error == "allow")
        self.watch = Watch()
        self.rollups: Rollups = sums.opened(settings)
        """For reading; what counts has instances of its own."""
        self.reading = sums.Reading(self.rollups)
        self.engine: Engine = InProcess()
        self._retention = Retention(
            journal_s=own.journal_retention_s, seen_s=own.dedupe_retention_s
        )
        self._counting: Rollups = sums.opened(settings)
        self._folder = ""
        """What the data folder is called among those who share an engine."""
        self._journals: list[Journal] = []
        """This process' own, and then those that it drains for others."""
        self._appended = asyncio.Event()
        """Set when something was written to this process' own."""
        self._publishers: list[Publisher] = []
        self._adopted: dict[str, _Adopted] = {}
        """By the name of the journal."""
        self._left_behind: set[str] = set()
        """Slots that were free at the last look."""
        self._spoilt: set[str] = set()
        """Slots whose journal has failed: another process may have more luck."""
        self._running: list[asyncio.Task[None]] = []
        self._checkpoint: asyncio.TimerHandle | None = None

    # --- From start to stop ---

    async def start(self) -> None:
        """Open the journal and the engine, recover, and begin to publish and to count.

        Raises SettingsError where the data folder, REDIS_URL or the database cannot be used, or
        several processes would share nothing.
        """
        await self._meet_database()
        self.engine = await self._resolve()
        try:
            own = await self._open_journal()
        except SettingsError:
            await self.engine.aclose()
            raise
        if own.recovered:
            log.warning("%d attempts were cut short by a crash, and are counted so", own.recovered)
        self.meter.keep(own)
        own.ring(self._appended)
        self._journals.append(own)
        self._tick()
        publisher = self._publisher(own)
        if publisher is not None:
            self._publishers.append(publisher[0])
            self._spawn(publisher[0].run, "publish usage")
        if self._settings.usage.aggregate:
            self._spawn(self._counter(own).run, "count usage")
        self._spawn(self._keep_house, "keep the journals")

    async def stop(self) -> None:
        """Publish what is left, for a moment, and close everything."""
        if self._checkpoint is not None:
            self._checkpoint.cancel()
        if self._publishers:
            caught_up = (publisher.caught_up() for publisher in self._publishers)
            waiting = [tasks.spawn(one, name="publish the last usage") for one in caught_up]
            await asyncio.wait(waiting, timeout=PUBLISHED_WITHIN)
            self._running += waiting
        for task in self._running:
            await tasks.end(task)
        for name in list(self._adopted):
            await self._let_go(name)
        for journal in self._journals:
            await journal.stop()
        for rollups in (self.rollups, self._counting):
            await asyncio.to_thread(rollups.close)
        await self.engine.aclose()

    # --- For those who read ---

    async def sources(self) -> Sequence[Source]:
        """Where usage events can be watched; raises what the engine's client does."""
        if self.engine.address is None:
            return await sources.of_journal(self._journals[0], self._appended)
        return await sources.of_redis(self.connect)

    def connect(self) -> Client:
        """A client of the engine's, for who has made sure that there is one."""
        return connect(self._address())

    def counts(self) -> Iterator[tuple[str, int]]:
        """What happened to how many events here since the start, for the metrics."""
        yield "written", sum(own.head(own.epoch) for own in self._journals[:1])
        yield from self.watch.counts()

    def backlog(self) -> int | None:
        """Events written here that are not in the stream yet; None: there is no stream."""
        if self.engine.address is None:
            return None
        adopted = (one.publisher for one in self._adopted.values() if one.publisher is not None)
        return sum(publisher.backlog() for publisher in (*self._publishers, *adopted))

    def troubles(self) -> Iterator[tuple[str, int]]:
        """What may be wrong, and 1 where it is now, for the metrics."""
        unwritable = any(not journal.writable for journal in self._journals[:1])
        yield "journal", int(unwritable)
        yield from self.watch.troubles()

    # --- Opening ---

    async def _meet_database(self) -> None:
        try:
            rollups = await asyncio.to_thread(sums.check, self._settings)
        except UnavailableError as failure:
            log.warning("usage is counted when its database is there: %s", failure)
        else:
            await asyncio.to_thread(rollups.close)

    async def _resolve(self) -> Engine:
        server, data = self._settings.server, self._settings.server.data
        if self._settings.usage.engine == "in-process":
            engine: Engine = InProcess()
        else:
            engine = await resolve(self._environ, data)
        if server.workers > 1 and engine.address is None:
            raise SettingsError(
                f"server.workers: {server.workers}: only 1 is allowed without an engine, which is "
                "what several processes share: set REDIS_URL, or install a redis-server"
            )
        return engine

    async def _open_journal(self) -> Journal:
        data, own = self._settings.server.data, self._settings.usage
        try:
            # In a thread: what is made is synced to the disk.
            slot = await asyncio.to_thread(_claimed, data)
            self._folder = await asyncio.to_thread(named, data)
            return await Journal.start(
                slot,
                on_failure=self._failed,
                durability=own.durability,
                ballast=own.ballast_bytes,
            )
        except (SlotError, JournalError, OSError) as failure:
            raise SettingsError(
                f"server.data: {data}: usage cannot be written down there: {failure}"
            ) from None

    def _failed(self, failure: JournalError) -> None:
        log.critical("usage cannot be written down any more, this process ends: %s", failure)
        self._on_failure()

    def _address(self) -> Address:
        if self.engine.address is None:
            raise RuntimeError("there is no engine")
        return self.engine.address

    # --- What runs ---

    def _spawn(self, run: Callable[[], Awaitable[None]], name: str) -> None:
        async def running() -> None:
            await run()

        self._running.append(tasks.spawn(running(), name=name))

    def _tick(self) -> None:
        self._checkpoint = asyncio.get_running_loop().call_later(LOOK, self._tick)
        self.meter.checkpoint(clock.monotonic())

    def _publisher(self, journal: Journal) -> tuple[Publisher, Publishing] | None:
        """What keeps the stream at a journal's head; None: there is no stream."""
        if self.engine.address is None:
            return None
        own, observer = self._settings.usage, self.watch.publishing()
        publisher = Publisher(
            journal,
            partial(connect, self._address(), connections=1),
            janitor=Janitor(groups=own.groups, kept_s=own.stream_kept_s),
            schema=MAJOR,
            most=own.stream_entries,
            observer=observer,
        )
        return publisher, observer

    def _counter(self, own: Journal) -> "Aggregator | Follower":
        if self.engine.address is None:
            return Follower(
                self._counting,
                lambda: self._journals,
                retention=self._retention,
                observer=self.watch.counting(),
            )
        return Aggregator(
            self._counting,
            partial(connect, self._address(), connections=2),
            # A slot of this folder is one process' at a time, so nobody else has this name.
            consumer=f"{socket.gethostname()}-{self._folder}-{own.name}",
            retention=self._retention,
            observer=self.watch.counting(),
        )

    # --- Other processes' journals, and old events ---

    async def _keep_house(self) -> None:
        for look in count(1):
            await asyncio.sleep(ORPHANED_AFTER)
            try:
                await self.adopt()
                if look % SWEEPS == 0:
                    await self.purge(clock.now_ns())
            except Exception as failure:  # noqa: BLE001 - whatever it was, the next time may do
                log.warning("the journals are not looked after for now: %s", failure)

    async def adopt(self) -> None:
        """Take over the journals that nobody has held since the last time; called every 10 s.

        Who is killed and comes back takes its own: that is why they have to be free twice.
        """
        data, own = self._settings.server.data, self._settings.usage
        free = await asyncio.to_thread(journals.left_behind, data) - self._spoilt
        ready, self._left_behind = free & self._left_behind, free
        for name in ready:
            for journal in await journals.adopt(
                data,
                {name},
                spoilt=self._spoilt,
                on_failure=partial(self._give_up, name),
                durability=own.durability,
                ballast=0,
            ):
                self._take_over(journal)

    def _take_over(self, journal: Journal) -> None:
        log.warning("took over the journal that another process left in %s", journal.name)
        self._journals.append(journal)
        adopted = self._adopted[journal.name] = _Adopted(journal)
        publisher = self._publisher(journal)
        if publisher is not None:
            adopted.publisher, adopted.observer = publisher
            adopted.publishing = tasks.spawn(
                adopted.publisher.run(), name=f"publish the usage in {journal.name}"
            )

    def _give_up(self, name: str, failure: Exception) -> None:
        """An adopted journal has failed: its events stay where they are, for another process."""
        log.error("the journal that was taken over from %s has failed: %s", name, failure)
        self._spoilt.add(name)
        _ = tasks.spawn(self._let_go(name), name=f"let go of {name}")

    async def _let_go(self, name: str) -> None:
        """Have no more to do with an adopted journal."""
        adopted = self._adopted.pop(name, None)
        if adopted is None:
            return
        self._journals.remove(adopted.journal)
        if adopted.publishing is not None:
            await tasks.end(adopted.publishing)
        if adopted.observer is not None:
            self.watch.dismiss(adopted.observer)
        await adopted.journal.stop()

    async def purge(self, now_ns: int) -> None:
        """Delete from the journals what is in the sums and old enough; called once a minute.

        What nothing is left of is let go, and so are the books of producers that are no more.
        """
        before_ns = now_ns - self._retention.journal_s * 1_000_000_000
        for journal in list(self._journals):
            try:
                await self._purge(journal, before_ns)
            except (JournalError, sqlite3.Error) as failure:
                if journal.name not in self._adopted:
                    raise
                self._give_up(journal.name, failure)

    async def _purge(self, journal: Journal, before_ns: int) -> None:
        named = await asyncio.to_thread(_producers, journal)
        applied = await self._applied(list(named.values()))
        through = {epoch: applied[name] for epoch, name in named.items() if name in applied}
        gone = await journal.purge(through, before_ns)
        if gone:
            await self._close_books(gone)
        adopted = journal.name in self._adopted
        if adopted and not await asyncio.to_thread(journal.holds_anything):
            await self._let_go(journal.name)

    async def _close_books(self, producers: Sequence[str]) -> None:
        """Nothing will come of these any more."""
        if self._settings.usage.aggregate:
            await asyncio.to_thread(self._counting.dismiss, producers)
        if self.engine.address is None:
            return
        client = self.connect()
        try:
            shards = await scripts.shards(client)
            for producer in producers:
                keys = shards.of(producer)
                await client.hdel(keys.marks, producer)
                await client.hdel(keys.applied, producer)
        finally:
            await close(client)

    async def _applied(self, producers: Sequence[str]) -> dict[str, int]:
        """Up to which number the producers' events are in the sums, wherever these are."""
        if self.engine.address is None:
            return await asyncio.to_thread(self._counting.positions, producers)
        client = self.connect()
        try:
            shards = await scripts.shards(client)
            found = {}
            for producer in producers:
                told = await client.hget(shards.of(producer).applied, producer)
                if told is not None:
                    found[producer] = int(told)
            return found
        finally:
            await close(client)


def _claimed(data: Path) -> Slot:
    """A slot. One in memory survives the end of every process but not of the machine: a warning."""
    try:
        return Slot.claim(data)
    except VolatileError as warning:
        log.warning("usage is lost with the machine: %s", warning)
        return Slot.claim(data, volatile=True)


def _producers(journal: Journal) -> dict[int, str]:
    return {epoch: journal.producer(epoch) for epoch in journal.epochs()}
