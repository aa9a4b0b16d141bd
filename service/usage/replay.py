"""From the journals into the sums, without a stream between.

`Follower` does so all the time where there is no Redis. It goes on from the number up to which a
producer's events were taken, which is noted in the transaction that counts them: nothing is counted
twice, by construction, and going over to a Redis and back needs nothing else, as both ways keep the
same books. What cannot be counted is given up at once, as there is nobody else to try.

`replay` wipes the sums and counts all that the journals hold. Sums are integers and addition does
not mind the order, so what comes out is what was there, to the last bit. It is for what went wrong:
a database restored from a backup, events that a stream has lost, a fault in the counting itself.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Final, Protocol

from service import clock
from service.usage import tally
from service.usage.aggregate import FORGET_S, Observer, Silent, Tries
from service.usage.publisher import Journal, Row
from service.usage.rollups import Arrival, Letter, Retention, Rollups, Run

log = logging.getLogger(__name__)

BATCH: Final = 1_000
"""Events in one transaction."""

IDLE_S: Final = 1.0
"""Seconds between two looks where no journal says that there is something new."""


class Follower:
    """Keeps the sums at the journals' heads."""

    def __init__(
        self,
        rollups: Rollups,
        journals: Callable[[], Sequence[Journal]],
        *,
        retention: Retention | None = None,
        observer: Observer | None = None,
    ) -> None:
        """Nothing happens before `run`.

        Args:
            rollups: Where events are counted.
            journals: All that are to be followed now; only the first one is appended to.
            retention: For how long ids are remembered.
            observer: What is told of it.
        """
        self._rollups = rollups
        self._journals = journals
        self._retention = retention or Retention()
        self._observer: Observer = observer or Silent()
        self._tries = Tries(self._observer.failed)
        self._forgot = float("-inf")

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            try:
                await self.catch_up()
                await self._forget()
                self._tries.succeeded()
                await self._rest()
            except Exception as failure:  # noqa: BLE001 - whatever it was, the next try may do
                await self._tries.failed(failure)

    async def catch_up(self) -> None:
        """Count all that the journals hold; raises UnavailableError and the journals' errors."""
        for journal in self._journals():
            for epoch in await asyncio.to_thread(journal.epochs):
                while await self._step(journal, epoch):
                    pass

    async def _rest(self) -> None:
        """Until there is something new, which is read after it was cleared here."""
        journals = self._journals()
        if not journals:
            await asyncio.sleep(IDLE_S)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(IDLE_S):
                await journals[0].appended.wait()
        journals[0].appended.clear()

    async def _step(self, journal: Journal, epoch: int) -> bool:
        """One transaction; whether there may be more."""
        now_ns = clock.now_ns()
        rows, new, letters = await asyncio.to_thread(_take, self._rollups, journal, epoch, now_ns)
        if rows:
            self._observer.counted(new, rows - new - len(letters))
        for letter in letters:
            log.error("an event was given up (%s): %s", letter.place, letter.reason)
            self._observer.buried(letter)
        return rows == BATCH

    async def _forget(self) -> None:
        if clock.monotonic() - self._forgot < FORGET_S:
            return
        before_ns = clock.now_ns() - self._retention.seen_s * 1_000_000_000
        await asyncio.to_thread(self._rollups.forget, before_ns)
        self._forgot = clock.monotonic()


def _take(
    rollups: Rollups, journal: Journal, epoch: int, now_ns: int
) -> tuple[int, int, list[Letter]]:
    """How many rows were read, how many are new in the sums, what was given up."""
    producer = journal.producer(epoch)
    position = rollups.positions([producer]).get(producer, 0)
    rows = journal.rows(epoch, position, BATCH)
    if not rows:
        return 0, 0, []
    if rows[0].seq > position + 1:
        rollups.pass_over(Run(producer, position + 1, rows[0].seq - 1))
    letters: list[Letter] = []
    arrivals = _arrivals(rows, producer, letters, now_ns)
    taken = rollups.take(arrivals, now_ns)
    bodies = {row.seq: row.body for row in rows}
    letters += [
        _letter(producer, one.seq, bodies[one.seq], why, now_ns) for one, why in taken.refused
    ]
    if letters:
        rollups.bury(letters)
    return len(rows), taken.new, letters


class History(Protocol):
    """What is read of a journal that somebody may be writing to."""

    def epochs(self) -> Sequence[int]:
        """All that have not been forgotten."""

    def producer(self, epoch: int) -> str:
        """Who wrote the epoch."""

    def rows(self, epoch: int, after: int, limit: int) -> Sequence[Row]:
        """Its events in order, from the first one whose number is above `after`."""


def replay(rollups: Rollups, journals: Sequence[History], *, since: int, now_ns: int) -> int:
    """Count again what the journals hold; it blocks.

    Args:
        rollups: The sums, which may be read and counted into in the meantime.
        journals: All of them: the sums of the days are made anew of these alone.
        since: Unix seconds; the sums of its day and later ones are wiped, 0: all.
        now_ns: Unix time.

    Returns how many events the wiped sums consist of now. Raises HistoryError where events were in
    the sums and are in no journal, RefusedError and UnavailableError; then nothing is changed.
    """
    letters: list[Letter] = []
    purged: list[Run] = []
    batches = _everything(journals, letters, purged, now_ns)
    new = rollups.rebuild(batches, since=since, now_ns=now_ns)
    if letters:
        rollups.bury(letters)
    for run in purged:
        rollups.pass_over(run)
    return new


def _everything(
    journals: Sequence[History], letters: list[Letter], purged: list[Run], now_ns: int
) -> Iterator[list[Arrival]]:
    for journal in journals:
        for epoch in journal.epochs():
            producer = journal.producer(epoch)
            rows = journal.rows(epoch, 0, BATCH)
            if rows and rows[0].seq > 1:
                purged.append(Run(producer, 1, rows[0].seq - 1))
            while rows:
                yield _arrivals(rows, producer, letters, now_ns)
                rows = journal.rows(epoch, rows[-1].seq, BATCH)


def _arrivals(
    rows: Sequence[Row], producer: str, letters: list[Letter], now_ns: int
) -> list[Arrival]:
    """What can be read; what cannot goes to the letters."""
    found = []
    for row in rows:
        try:
            found.append(Arrival(tally.read(row.body), producer, row.seq))
        except tally.UnreadableError as why:
            letters.append(_letter(producer, row.seq, row.body, str(why), now_ns))
    return found


def _letter(producer: str, seq: int, body: bytes, reason: str, now_ns: int) -> Letter:
    return Letter(
        place=f"journal {producer} {seq}",
        producer=producer,
        seq=seq,
        body=body,
        reason=reason,
        deliveries=1,
        at_ns=now_ns,
    )
