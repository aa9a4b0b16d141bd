"""Where an attempt is safe: an event that `close` has resolved for survives the end of everything.

A database in a folder that this process alone writes to (`store`, `slot`). One thread writes, in
transactions of whatever has come in while the last one was synced: under load many share a sync of
the disk, without load nobody waits for company (`_Writer._taken`). The event loop's side is an
append to a queue and a future, 0.4 us, and a transaction wakes the loop once.

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
never one in the middle. What that costs, `python -m bench.journal` measures: 31 of 32 writers share
a sync, so that 5,000 events a second are safe from a loss of power where the disk syncs 160 times
in it, and 10,000 where it syncs 340 times.
"""

import asyncio
import logging
import sqlite3
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from enum import Enum
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
"""Seconds that a slot is left to the process that had it, before `adopt` is to take it."""

BALLAST: Final = 64 << 20
"""Bytes: the events of some 40,000 attempts."""

HEARING: Final = 0.001
"""Seconds at most for which a transaction is held up for those whom the last one has woken."""

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


class _Mark(Enum):
    """What is no work."""

    STOP = "stop"
    """There will be no more."""
    HEARD = "heard"
    """Those who were answered have had their turn on the loop."""


_Order = _Record | _Job | _Mark

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
        self._bells = [self.appended]
        self.recovered = store.head
        """Attempts that an earlier process left open, and that are events now."""
        self.name = slot.path.name
        """Its slot's number."""
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
            # What others say of a number may be anything; beyond the head there is nothing.
            known = max(0, min(through, await asyncio.to_thread(self.head, epoch)))
            once = partial(self._store.purge, epoch, known, before_ns)
            while await self._do(once) == PURGE:
                pass
        return await self._do(self._store.forget)

    async def stop(self) -> None:
        """Write down what is waiting, close the database, release the slot."""
        self._orders.put(_Mark.STOP)
        if self._failure is None:
            self._failure = JournalFailedError(f"{self._store.path}: the journal is closed")
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

    def ring(self, bell: asyncio.Event) -> None:
        """Set this one, too, whenever `appended` is: for another task."""
        self._bells.append(bell)

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

    def holds_anything(self) -> bool:
        """Whether there is an event, or an attempt that is open."""
        return self._reader.holds_anything()

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
        for bell in self._bells:
            bell.set()
        # Behind the tasks that have just been woken, who may have more to be written down.
        self._loop.call_soon(self._orders.put, _Mark.HEARD)

    def _fail(self, failure: JournalFailedError, answers: _Answers) -> None:
        """On the loop, so that no order can slip in between the mark and the emptying."""
        self._failure = failure
        waiting = [order.done for order in _emptied(self._orders) if not isinstance(order, _Mark)]
        self._settle([*answers, *((done, failure) for done in waiting if done is not None)])
        self._on_failure(failure)


def left_behind(data: Path) -> set[str]:
    """Names of the slots that nobody holds now and that hold something; it blocks."""
    found = set()
    for slot in Slot.orphans(data):
        with slot:
            try:
                holds = _holds_anything(slot.path / FILE)
            except sqlite3.Error:
                holds = True  # what that is, `adopt` finds out, and says so
            if holds:
                found.add(slot.path.name)
    return found


async def adopt(
    data: Path,
    only: Collection[str],
    *,
    spoilt: set[str],
    on_failure: Callable[[JournalFailedError], None],
    durability: Durability = "power",
    ballast: int = BALLAST,
) -> list[Journal]:
    """The journals that other processes left behind, recovered, to be drained like one's own.

    Of those that `left_behind` named the names in `only`, so that who was killed and comes back
    takes its own. One that cannot be opened is logged, left where it is, and added to `spoilt`: it
    must not keep the others from being drained. The other arguments are `Journal.start`'s.
    """
    adopted = []
    for slot in Slot.orphans(data, only):
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
            spoilt.add(slot.path.name)
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
        return Store(path, durability=durability, now_ns=clock.now_ns())
    except JournalFullError:
        ballast.let_go()
        return Store(path, durability=durability, now_ns=clock.now_ns())


def _emptied(orders: "SimpleQueue[_Order]") -> "Iterator[_Order]":
    while True:
        try:
            yield orders.get_nowait()
        except Empty:
            return


def _surprised(fault: Exception) -> JournalFailedError:
    return JournalFailedError(f"the journal's writer died: {type(fault).__name__}: {fault}")


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
        self._told = 0
        """How often the loop was told of answers."""
        self._heard = 0
        """After how many of these times those who waited have had their turn."""

    def run(self) -> None:
        """Until it is told to stop, or the journal has failed."""
        try:
            while self._turn():
                pass
            self._end()
        except Exception as fault:  # noqa: BLE001 - whatever it was, those who wait are told
            failure = fault if isinstance(fault, JournalFailedError) else _surprised(fault)
            log.critical("the journal has failed: %s", failure)
            orders = (*self._owed, *self._batch)
            lost = [order.done for order in orders if not isinstance(order, _Mark)]
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
        return _Mark.STOP not in batch

    def _taken(self) -> "Iterator[_Order]":
        """What is waiting, and what those have to add who have just been told that they are safe.

        Without their turn, two halves of one crowd would sync alternately, each waiting for the
        other's; with it 32 writers are all in one transaction, not 16. Where nothing is waiting,
        nothing is waited for.
        """
        pause, self._pause = self._pause, RETRY if self.starved else None
        until = None
        with suppress(Empty):
            for _ in range(BATCH):
                order = self._orders.get(timeout=pause)
                if order is _Mark.HEARD:
                    self._heard += 1
                else:
                    yield order
                if until is None:
                    until = clock.monotonic() + HEARING
                listening = self._heard < self._told
                pause = max(0, until - clock.monotonic()) if listening else 0

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
        self._answer([(record.done, None) for record in records if record.done is not None])

    def _spared(self, records: list[_Record], failure: JournalFullError) -> list[_Record]:
        """Refuse to open anything; returns what is to be written down all the same."""
        refused = [record.done for record in records if record.kind == "open"]
        if refused:
            self._answer([(done, failure) for done in refused if done is not None])
        return [record for record in records if record.kind == "close"]

    def _do(self, job: _Job) -> None:
        try:
            answer: object = self._ask(job.call)
        except JournalFullError as failure:
            self._starve(failure)
            answer = failure
        self._answer([(job.done, answer)])

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
        self._answer([(done, self._full()) for done in refused])
        with suppress(JournalFullError):
            self._ask(self._store.close)

    def _answer(self, answers: _Answers) -> None:
        self._told += 1
        self._settle(answers)

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
    store.write(opened, renewed, closed, now_ns=clock.now_ns())
