"""The process that has attempts, as the service has them: `python -m tests.chaos.writing ORDER`.

Many attempts run at once, each opened in the journal, perhaps renewed, and closed some time later,
until the input ends; then it publishes what is left and ends. Without an engine it counts its
journal itself. It says `acked N`, what its publisher and follower tell, and, asked to `measure`,
what a close took since it was last asked: `median` and `p99`, in microseconds.
"""

import asyncio
import logging
import random
import sys
from pathlib import Path

import msgspec
import uvloop
from redis.utils import HIREDIS_AVAILABLE

from service import clock, tasks
from service.usage.client import Address, connect
from service.usage.database import connect as connect_database
from service.usage.journal import Journal
from service.usage.publisher import MOST_ENTRIES, Janitor, Publisher
from service.usage.record import MAJOR, Verdict
from service.usage.replay import Follower
from service.usage.rollups import Letter, Rollups
from service.usage.slot import Slot
from service.usage.store import Durability, JournalError
from tests.chaos.attempt import body, fresh
from tests.chaos.ledger import Ledger
from tests.chaos.worker import say

BALLAST = 1 << 20  # bytes

TOLD_EVERY = 20
"""Acknowledged attempts between two words of them."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What the process is to do."""

    folder: str
    """The data folder, in which it claims a slot."""
    ledgers: str
    sums: str
    """The database; only used without a `url`."""
    url: str | None
    seed: int
    at_once: int = 24
    lasting: float = 0.03
    """Seconds of an attempt, on average."""
    durability: Durability = "power"
    most: int = MOST_ENTRIES
    groups: tuple[str, ...] = ("cost",)
    kept_s: float = 3_600
    sweep_s: float = 30


class Told:
    """Says what publishers and followers tell."""

    def published(self, events: int) -> None:
        say("published", events)

    def rewound(self, producer: str, known: int, mark: int) -> None:
        del producer, known, mark
        say("rewound")

    def full(self, full: bool) -> None:  # noqa: FBT001 - as in Observer
        if full:
            say("full")

    def counted(self, new: int, repeated: int) -> None:
        say("counted", new)
        say("repeated", repeated)

    def buried(self, letter: Letter) -> None:
        del letter
        say("buried")

    def missing(self, producer: str, after: int, mark: int) -> None:
        del producer
        say("missing", mark - after)

    def failed(self, reason: str | None) -> None:
        if reason is not None:
            say(f"failed {reason}")


class Attempts:
    """So many at once, one after the other in each place."""

    def __init__(self, journal: Journal, order: Order) -> None:
        self._journal = journal
        self._order = order
        self._ledger = Ledger(Path(order.ledgers))
        self._chance = random.Random(f"{order.seed} {journal.producer(journal.epoch)}")  # noqa: S311
        self._waits: list[float] = []
        self._untold = 0
        self.over = False

    async def run(self) -> None:
        """Until `over`."""
        async with asyncio.TaskGroup() as places:
            for _ in range(self._order.at_once):
                places.create_task(self._one_by_one())
        self._tell()

    def measure(self) -> None:
        """Say what a close took since it was last asked."""
        waits, self._waits = sorted(self._waits), []
        for word, share in (("median", 50), ("p99", 99)):
            say(word, round(waits[len(waits) * share // 100] * 1e6) if waits else 0)
        say("measured")

    async def _one_by_one(self) -> None:
        while not self.over:
            await self._attempt()

    async def _attempt(self) -> None:
        attempt = fresh()
        cut = body(attempt, Verdict.INTERRUPTED)
        self._ledger.attempted(attempt)
        await self._journal.open(attempt.bytes, cut)
        await asyncio.sleep(self._chance.expovariate(1 / self._order.lasting))
        if attempt.int % 8 == 0:
            self._journal.checkpoint(attempt.bytes, cut)
        closing = clock.monotonic()
        await self._journal.close(attempt.bytes, body(attempt, Verdict.WINNER))
        self._waits.append(clock.monotonic() - closing)
        self._ledger.acknowledged(attempt)
        self._untold += 1
        if self._untold == TOLD_EVERY:
            self._tell()

    def _tell(self) -> None:
        say("acked", self._untold)
        self._untold = 0


def died(failure: JournalError) -> None:
    """The journal has failed, which no scenario here wants."""
    raise SystemExit(str(failure))


async def obey(attempts: Attempts, publisher: Publisher | None) -> None:
    """Do what the input says, until it ends."""
    words = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(words), sys.stdin
    )
    while word := (await words.readline()).decode().strip():
        if word == "measure":
            attempts.measure()
        elif word == "catch up" and publisher is not None:
            await publisher.caught_up()
            say("caught up")


async def main() -> None:
    """Write until the input ends."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    order = msgspec.json.decode(sys.argv[1], type=Order)
    journal = await Journal.start(
        Slot.claim(Path(order.folder), volatile=True),
        on_failure=died,
        durability=order.durability,
        ballast=BALLAST,
    )
    say("recovered", journal.recovered)
    say("hiredis", int(HIREDIS_AVAILABLE))
    attempts = Attempts(journal, order)
    writing = tasks.spawn(attempts.run(), name="attempts")
    if order.url is None:
        await follow(journal, order, attempts, writing)
    else:
        await publish(journal, order, attempts, writing)
    await journal.stop()


async def publish(
    journal: Journal, order: Order, attempts: Attempts, writing: asyncio.Task[None]
) -> None:
    """Keep the engine at the journal's head."""
    address = Address.parse(str(order.url))
    publisher = Publisher(
        journal,
        lambda: connect(address),
        janitor=Janitor(order.groups, kept_s=order.kept_s, every_s=order.sweep_s),
        schema=MAJOR,
        most=order.most,
        observer=Told(),
    )
    publishing = tasks.spawn(publisher.run(), name="publisher")
    await obey(attempts, publisher)
    attempts.over = True
    await writing
    await publisher.caught_up()
    say("drained")
    publishing.cancel()
    await asyncio.wait([publishing])


async def follow(
    journal: Journal, order: Order, attempts: Attempts, writing: asyncio.Task[None]
) -> None:
    """Count the journal here."""
    rollups = Rollups(lambda: connect_database(order.sums))
    follower = Follower(rollups, lambda: [journal], observer=Told())
    following = tasks.spawn(follower.run(), name="follower")
    await obey(attempts, None)
    attempts.over = True
    await writing
    following.cancel()
    await asyncio.wait([following])
    await follower.catch_up()
    say("drained")
    rollups.close()


if __name__ == "__main__":
    uvloop.run(main())
