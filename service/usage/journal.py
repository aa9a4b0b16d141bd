"""Where an attempt is safe: an event that `close` has resolved for survives the end of everything.

A database in a folder that this process alone writes to (`store`, `slot`). One thread writes, in
transactions of whatever has come in while the last one was synced: under load many share a sync of
the disk, without load nobody waits for company. The event loop's side is an append to a queue and a
future, and a transaction wakes the loop once.

An attempt is opened when it is sent and closed with its event when it is over. What is opened is
the event that will be true if this process dies (`record.interrupted`), renewed by `checkpoint`;
the next start makes events of whatever was left open. So an attempt is told of exactly once.

Every start is an epoch with a producer id of its own, in which events are numbered from 1 without a
gap. Were the numbers to go on instead, a disk that forgets its last seconds with the power would
make new events take numbers that others have seen already, and these would pass over them.

A full disk: opening is refused with JournalFullError; the ballast is let go, so that what runs can
be closed; what still does not fit is kept in memory and tried again every second. Attempts are
opened again when the ballast could be taken again. A failed sync is the end, told to `on_failure`:
what the system says about the data from then on is not to be believed (Rebello et al., "Can
Applications Recover from fsync Failures?", USENIX ATC 2020). Nothing is confirmed after it; a new
process finds out what is really there.

Durability: `power` syncs every transaction before it is confirmed; `process` leaves that to the
system, which survives kill -9, and after a loss of power may have forgotten the last events, but
never one in the middle. On a disk that syncs 3,800 times a second and two shared cores, 32 writers
made 16,000 to 18,000 events a second safe from a loss of power, at 1.5 ms each (bench.journal).
"""

import asyncio
import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final, Literal, TypeVar

from service import clock
from service.usage.slot import Ballast, Slot
from service.usage.store import (
    FILE,
    PURGE,
    Durability,
    JournalError,
    JournalFailedError,
    JournalFullError,
    Reader,
    Row,
    Store,
    raised,
)

log = logging.getLogger(__name__)

BATCH: Final = 1_000
"""Records in a transaction at most; they take some 20 ms."""

ORPHANED_AFTER: Final = 10.0
"""Seconds that a slot is left to the process that had it, before `adopt` may take it."""

BALLAST: Final = 64 << 20
"""Bytes: the events of 100,000 attempts."""

RETRY: Final = 1.0
"""Seconds between two looks whether a full disk has space again."""

_FOLD: Final = 1_000
"""So many records, a transaction counting as eight more, before the log is folded: 5 MB of it.
Whoever comes meanwhile waits. Of 32 writers the longest waited 15 ms, as against 75 ms at eight
times as many; less often would not have been quicker."""

T = TypeVar("T")


@dataclass(slots=True)
class _Record:
    """Something about an attempt to be written down."""

    kind: Literal["open", "checkpoint", "close"]
    attempt_id: bytes
    body: bytes
    done: "asyncio.Future[None] | None"


@dataclass(slots=True)
class _Job:
    """Something else to be done between two transactions; raises sqlite3.Error."""

    call: Callable[[], Any]
    done: "asyncio.Future[Any]"


_Order = _Record | _Job | None
"""None: stop."""

_Answers = list[tuple["asyncio.Future[Any]", object]]
"""Futures, and what to resolve them with; a JournalError is raised from them."""


class Journal:
    """One slot's journal; for the event loop's thread, but for what reads."""

    def __init__(
        self,
        slot: Slot,
        store: Store,
        ballast: Ballast,
        *,
        starved: bool,
        on_failure: Callable[[JournalFailedError], None],
    ) -> None:
        """`start` makes one."""
        self.appended = asyncio.Event()
        """Set after each transaction; for one task, which clears it and then reads."""
        self.recovered = store.head
        """Attempts that an earlier process left open, and that are events now."""
        self._slot = slot
        self._store = store
        self._reader = Reader(store.path)
        self._on_failure = on_failure
        self._failure: JournalFailedError | None = None
        self._orders: SimpleQueue[_Order] = SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._writer = _Writer(
            store, ballast, self._orders, settle=self._tell, fail=self._told, starved=starved
        )
        self._thread = threading.Thread(target=self._writer.run, name="journal", daemon=True)
        self._thread.start()

    @classmethod
    async def start(
        cls,
        slot: Slot,
        *,
        on_failure: Callable[[JournalFailedError], None],
        durability: Durability = "power",
        ballast: int = BALLAST,
    ) -> "Journal":
        """Open the slot's journal and recover it; `stop` releases the slot, too.

        Args:
            slot: Claimed, and from now on the journal's.
            on_failure: Called on the loop, once, when nothing can be written down any more.
            durability: What an event that is confirmed survives.
            ballast: Bytes put by for a full disk.

        Raises JournalError; then the slot is released.
        """
        ballasted = Ballast(slot.path / "ballast", ballast)
        try:
            store = await asyncio.to_thread(_opened, slot.path / FILE, durability, ballasted)
            starved = not await asyncio.to_thread(ballasted.take)
        except BaseException:
            slot.release()
            raise
        return cls(slot, store, ballasted, starved=starved, on_failure=on_failure)

    # --- Writing ---

    @property
    def writable(self) -> bool:
        """Whether attempts may be opened."""
        return self._failure is None and not self._writer.starved

    def open(self, attempt_id: bytes, body: bytes) -> "asyncio.Future[None]":
        """An attempt is sent; `body` is its event should this process die. Resolved when safe.

        The future raises JournalFullError where the attempt must not be started, and
        JournalFailedError. So does `close`'s, the former only when stopped with a full disk.
        """
        return self._record("open", attempt_id, body)

    def checkpoint(self, attempt_id: bytes, body: bytes) -> None:
        """An attempt has come so far. Nobody waits for it; ignored once it is closed."""
        if self._failure is None:
            self._orders.put(_Record("checkpoint", attempt_id, body, None))

    def close(self, attempt_id: bytes, event: bytes) -> "asyncio.Future[None]":
        """An attempt is over, and this is its event. Resolved when safe.

        Cancelling who waits does not take it back. Of two events of an attempt the first one stays.
        """
        return self._record("close", attempt_id, event)

    async def purge(self, applied: Mapping[int, int], before_ns: int) -> list[str]:
        """Delete events written down before that moment, up to the number `applied` by epoch.

        Returns the producers of whom nothing is left and nothing will come. Raises JournalError.
        """
        for epoch, through in applied.items():
            once = partial(self._store.purge, epoch, through, before_ns)
            while await self._do(once) == PURGE:
                pass
        return await self._do(self._store.forget)

    async def stop(self) -> None:
        """Write down what is waiting, close the database, release the slot."""
        self._orders.put(None)
        await asyncio.to_thread(self._thread.join)
        self._reader.close()
        self._slot.release()

    def _record(
        self, kind: Literal["open", "close"], attempt_id: bytes, body: bytes
    ) -> "asyncio.Future[None]":
        done: asyncio.Future[None] = self._loop.create_future()
        if self._failure is None:
            self._orders.put(_Record(kind, attempt_id, body, done))
        else:
            done.set_exception(self._failure)
        return done

    async def _do(self, call: Callable[[], T]) -> T:
        if self._failure is not None:
            raise self._failure
        done: asyncio.Future[T] = self._loop.create_future()
        self._orders.put(_Job(call, done))
        return await done

    # --- Reading, from any thread ---

    @property
    def epoch(self) -> int:
        """The epoch of this start."""
        return self._store.epoch

    def epochs(self) -> list[int]:
        """All that have not been forgotten, the oldest first."""
        return self._reader.epochs()

    def producer(self, epoch: int) -> str:
        """Who wrote an epoch. Raises KeyError: there is no such epoch."""
        return self._reader.producer(epoch)

    def rows(self, epoch: int, after: int, limit: int) -> list[Row]:
        """An epoch's events after that number, in order."""
        return self._reader.rows(epoch, after, limit)

    def head(self, epoch: int) -> int:
        """The highest number that an event of the epoch has, or had; 0: it never had any.

        Of an earlier epoch that was purged whole it is 0, too; it will be forgotten.
        """
        if epoch == self._store.epoch:
            return self._store.head
        span = self._reader.span(epoch)
        return 0 if span is None else span[1]

    def floor(self, epoch: int) -> int:
        """The number that the first event kept comes after: what is up to it was purged."""
        span = self._reader.span(epoch)
        return self.head(epoch) if span is None else span[0] - 1

    # --- From the writer's thread back to the loop ---

    def _tell(self, answers: _Answers) -> None:
        self._loop.call_soon_threadsafe(self._settle, answers)

    def _told(self, failure: JournalFailedError, answers: _Answers) -> None:
        self._loop.call_soon_threadsafe(self._fail, failure, answers)

    def _settle(self, answers: _Answers) -> None:
        for done, answer in answers:
            if done.done():
                continue  # who waited was cancelled
            if isinstance(answer, JournalError):
                done.set_exception(answer)
            else:
                done.set_result(answer)
        self.appended.set()

    def _fail(self, failure: JournalFailedError, answers: _Answers) -> None:
        """On the loop, so that no order can slip in between the mark and the emptying."""
        self._failure = failure
        waiting = [order.done for order in _emptied(self._orders) if order is not None]
        self._settle([*answers, *((done, failure) for done in waiting if done is not None)])
        self._on_failure(failure)


async def adopt(
    data: Path,
    *,
    on_failure: Callable[[JournalFailedError], None],
    durability: Durability = "power",
    ballast: int = BALLAST,
) -> list[Journal]:
    """The journals that other processes left behind, recovered, to be drained like one's own.

    To be asked for no earlier than ORPHANED_AFTER a start: who comes back takes its own slot. The
    arguments are `Journal.start`'s. One that cannot be opened is logged and left where it is: it
    must not keep the others from being drained.
    """
    adopted = []
    for slot in Slot.orphans(data):
        try:
            if await asyncio.to_thread(_holds_anything, slot.path / FILE):
                adopted.append(
                    await Journal.start(
                        slot, on_failure=on_failure, durability=durability, ballast=ballast
                    )
                )
            else:
                slot.release()
        except (JournalError, sqlite3.Error) as failure:
            slot.release()
            text = "a journal that was left behind cannot be drained: %s"
            log.error(text, failure)  # noqa: TRY400 - the text says it, a traceback does not
    return adopted


def _holds_anything(path: Path) -> bool:
    """Whether a journal is worth draining."""
    if not path.exists():
        return False
    with closing(Reader(path)) as reader:
        return reader.holds_anything()


def _opened(path: Path, durability: Durability, ballast: Ballast) -> Store:
    """The database; where the disk is full, with the ballast's space."""
    try:
        return Store(path, durability=durability, now_ns=_now_ns())
    except JournalFullError:
        ballast.let_go()
        return Store(path, durability=durability, now_ns=_now_ns())


def _emptied(orders: "SimpleQueue[_Order]") -> "Iterator[_Order]":
    while True:
        try:
            yield orders.get_nowait()
        except Empty:
            return


def _now_ns() -> int:
    return clock.now_ms() * 1_000_000


# --- The thread that writes -----------------------------------------------------------------


class _Writer:
    """Takes what is waiting, writes it down, says so; alone with the store until it ends."""

    def __init__(
        self,
        store: Store,
        ballast: Ballast,
        orders: "SimpleQueue[_Order]",
        *,
        settle: Callable[[_Answers], None],
        fail: Callable[[JournalFailedError, _Answers], None],
        starved: bool,
    ) -> None:
        self._store = store
        self._ballast = ballast
        self._orders = orders
        self._settle = settle
        self._fail = fail
        self.starved = starved
        """Whether there is no space on the disk, or not enough for the ballast."""
        self._pause: float | None = RETRY if starved else None
        """How long to wait for an order; None: until there is one."""
        self._looked = clock.monotonic()
        self._batch: list[_Order] = []
        self._owed: list[_Record] = []
        """Closed, but not written down for want of space."""
        self._unfolded = 0

    def run(self) -> None:
        """Until it is told to stop, or the journal has failed."""
        try:
            while self._turn():
                pass
            self._end()
        except JournalFailedError as failure:
            log.critical("the journal has failed: %s", failure)
            lost = [order.done for order in (*self._owed, *self._batch) if order is not None]
            self._fail(failure, [(done, failure) for done in lost if done is not None])
            self._store.abandon()

    def _turn(self) -> bool:
        """What is waiting, in one transaction; whether there may be another turn."""
        self._batch = batch = list(self._taken())
        self._keep([order for order in batch if isinstance(order, _Record)])
        for order in batch:
            if isinstance(order, _Job):
                self._do(order)
        self._fold()
        self._look()
        return None not in batch

    def _taken(self) -> "Iterator[_Order]":
        pause, self._pause = self._pause, RETRY if self.starved else None
        try:
            yield self._orders.get(timeout=pause)
            for _ in range(BATCH - 1):
                yield self._orders.get_nowait()
        except Empty:
            return

    def _keep(self, records: list[_Record]) -> None:
        """Write records down and say so; what there is no space for is refused, or owed."""
        if self.starved:
            records = self._spared(records, self._full())
        records = self._owed + records
        if not records:
            return
        try:
            self._ask(partial(_write, self._store, records))
        except JournalFullError as failure:
            self._starve(failure)
            self._owed = self._spared(records, failure)
            return
        self._owed = []
        self._unfolded += len(records) + 8
        self._settle([(record.done, None) for record in records if record.done is not None])

    def _spared(self, records: list[_Record], failure: JournalFullError) -> list[_Record]:
        """Refuse to open anything; returns what is to be written down all the same."""
        refused = [record.done for record in records if record.kind == "open"]
        if refused:
            self._settle([(done, failure) for done in refused if done is not None])
        return [record for record in records if record.kind == "close"]

    def _do(self, job: _Job) -> None:
        try:
            answer: object = self._ask(job.call)
        except JournalFullError as failure:
            self._starve(failure)
            answer = failure
        self._settle([(job.done, answer)])

    def _fold(self) -> None:
        """Not before what was written is confirmed: nobody waits for this."""
        if self._unfolded < _FOLD:
            return
        self._unfolded = 0
        try:
            self._ask(self._store.fold)
        except JournalFullError as failure:
            self._starve(failure)

    def _end(self) -> None:
        """The last chance for what is owed; without it the next start tells of the attempt."""
        self._keep([])
        refused = [record.done for record in self._owed if record.done is not None]
        self._settle([(done, self._full()) for done in refused])
        with suppress(JournalFullError):
            self._ask(self._store.close)

    def _ask(self, call: Callable[[], T]) -> T:
        """Do something with the store; raises JournalFullError and JournalFailedError."""
        try:
            return call()
        except sqlite3.Error as failure:
            raise raised(failure, self._store.path) from failure

    # --- A full disk ---

    def _starve(self, failure: JournalFullError) -> None:
        """Let the ballast go, and try again at once; the next time after a pause."""
        if self.starved:
            return
        log.error("no attempt is started until there is space again: %s", failure)
        self.starved, self._pause = True, 0
        self._looked = clock.monotonic()
        self._ballast.let_go()

    def _look(self) -> None:
        """Whether there is space again: for the ballast, and so for attempts."""
        now = clock.monotonic()
        if not self.starved or self._owed or now < self._looked + RETRY:
            return
        self._looked = now
        if self._ballast.take():
            log.warning("there is space on the disk again: attempts are started")
            self.starved, self._pause = False, None

    def _full(self) -> JournalFullError:
        return JournalFullError(f"{self._store.path}: there is no space left on the disk")


def _write(store: Store, records: list[_Record]) -> None:
    """One transaction; of several words on one attempt the last counts, of its events the first."""
    opened = {record.attempt_id: record.body for record in records if record.kind == "open"}
    renewed = {record.attempt_id: record.body for record in records if record.kind == "checkpoint"}
    closed: dict[bytes, bytes] = {}
    for record in records:
        if record.kind == "close":
            closed.setdefault(record.attempt_id, record.body)
    store.write(opened, renewed, closed, now_ns=_now_ns())
