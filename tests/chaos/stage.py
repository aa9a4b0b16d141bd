"""What scenarios play on: one engine, writers, consumers and sums in one folder.

A scenario goes by what has been acknowledged so far (`Stage.acked`), not by the clock: faults come
at numbers drawn from the seed, and what is away comes back after so many more. In the end `settle`
lets the writers finish, waits until the sums have all that the journals hold, and compares them
with the ledgers.
"""

import asyncio
import random
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec

from service.usage.client import Client, connect
from service.usage.database import connect as connect_database
from service.usage.rollups import Rollups
from service.usage.slot import FOLDER
from service.usage.store import FILE, Reader, Row
from tests.chaos import counting, ledger, writing
from tests.chaos.scenario import Play, Shown
from tests.chaos.worker import News, Worker
from tests.service.usage.servers import Server, binary

SERVER_OPTIONS = ("--appendonly", "yes", "--appendfsync", "everysec")

NONE: Mapping[str, int] = MappingProxyType({})
"""No producer has events anywhere but in the journals."""


@dataclass(slots=True)
class Stage:
    """Everything there is; `staged` makes one."""

    play: Play
    chance: random.Random
    """From the seed."""

    news: News = field(default_factory=News)
    server: Server | None = None
    others: list[Server] = field(default_factory=list)
    """Further ones, ended like it."""

    elsewhere: str | None = None
    """Where the engine is, if it is not `server`."""

    writers: list[Worker] = field(default_factory=list)
    consumers: list[Worker] = field(default_factory=list)

    @property
    def ledgers(self) -> Path:
        return self.play.folder / "ledgers"

    @property
    def sums(self) -> str:
        """The database."""
        return str(self.play.folder / "sums.db")

    @property
    def engine(self) -> Server:
        """The server, which this scenario has."""
        assert self.server is not None
        return self.server

    @property
    def url(self) -> str | None:
        """Of the engine, for workers; None where there is none."""
        if self.server is None:
            return self.elsewhere
        return f"unix://{self.engine.address.path}?protocol={self.play.engine.protocol}"

    def client(self) -> Client:
        """For the scenario itself."""
        return connect(self.engine.address)

    # --- Putting it up ---

    async def serve(self, *options: str) -> Server:
        """Start the engine."""
        folder = self.play.folder / "server"
        self.server = Server(binary(self.play.engine.kind), folder, *SERVER_OPTIONS, *options)
        return await self.server.start()

    async def writer(self, **order: object) -> Worker:
        """Start one more writer; it has begun when this returns."""
        given: dict[str, Any] = {
            "folder": str(self.play.folder),
            "ledgers": str(self.ledgers),
            "sums": self.sums,
            "url": self.url,
            "seed": self.play.seed,
        }
        worker = self._worker(
            f"writer-{len(self.writers)}", "tests.chaos.writing", writing.Order(**given | order)
        )
        self.writers.append(worker)
        await worker.start()
        await worker.hears("acked")
        wanted = self.play.engine.hiredis is not None
        assert bool(worker.heard["hiredis"]) == wanted, "the parser is not the one that was wanted"
        return worker

    async def consumer(self, **order: object) -> Worker:
        """Start one more consumer."""
        name = f"consumer-{len(self.consumers)}"
        given: dict[str, Any] = {"url": self.url, "sums": self.sums, "consumer": name}
        worker = self._worker(name, "tests.chaos.counting", counting.Order(**given | order))
        self.consumers.append(worker)
        await worker.start()
        await worker.hears("counting")
        return worker

    def _worker(self, name: str, module: str, order: msgspec.Struct) -> Worker:
        hiredis = self.play.engine.hiredis
        environ = {"PYTHONPATH": str(hiredis)} if hiredis else {}
        return Worker(name, module, order, news=self.news, folder=self.play.folder, environ=environ)

    # --- How far it is ---

    def heard(self, word: str) -> int:
        """What all workers said of a word."""
        return sum(worker.heard[word] for worker in (*self.writers, *self.consumers))

    async def exceeds(self, word: str, number: int) -> None:
        """Wait until workers have said more than so many of a word."""
        await self.news.until(lambda: self.heard(word) > number, f"more than {number} {word}")

    @property
    def acked(self) -> int:
        return self.heard("acked")

    async def reaches(self, acked: int) -> None:
        """Wait until so many attempts have been acknowledged."""
        await self.news.until(lambda: self.acked >= acked, f"{acked} attempts are acknowledged")

    async def goes_on(self, fewest: int = 100, most: int = 400) -> None:
        """Wait until some more have been."""
        await self.reaches(self.acked + self.chance.randint(fewest, most))

    def moments(self, faults: int, attempts: int) -> list[int]:
        """When faults come, in attempts that have been acknowledged."""
        return sorted(self.chance.sample(range(attempts // 20, attempts), faults))

    # --- Faults ---

    async def die_and_return(self, worker: Worker) -> None:
        """Kill a worker, and start it again."""
        await worker.kill()
        await worker.start()
        # A worker that is killed again before it has done anything proves nothing.
        await worker.hears("acked" if worker in self.writers else "counting")

    async def lose_engine(self, *, cut: int = 0, wipe: bool = False) -> int:
        """Kill the engine, for some attempts; returns how many bytes it had forgotten by then.

        `cut`: at most so many bytes of its log are lost; `wipe`: all its files are.
        """
        await self.engine.kill()
        await self.goes_on()
        lost = 0
        if wipe:
            for folder in self.engine.folder.glob("appendonlydir"):
                lost = sum(file.stat().st_size for file in folder.iterdir())
                shutil.rmtree(folder)
        elif cut:
            share = self.chance.random()
            lost = self.engine.cut_tail(lambda size: max(size // 4, size - round(cut * share)))
        await self.engine.start()
        return lost

    # --- The end ---

    def journal_files(self) -> list[Path]:
        return sorted((self.play.folder / FOLDER).glob(f"*/{FILE}"))

    def journals(self) -> Iterator[tuple[str, list[Row]]]:
        """Every producer and its events, as the journals hold them."""
        for path in self.journal_files():
            with closing(Reader(path)) as journal:
                for epoch in journal.epochs():
                    yield journal.producer(epoch), journal.rows(epoch, 0, 1 << 40)

    def producers(self) -> list[str]:
        """The newest one of each journal."""
        found = []
        for path in self.journal_files():
            with closing(Reader(path)) as journal:
                found.append(journal.producer(journal.epochs()[-1]))
        return found

    async def drain(self) -> None:
        """Let the writers end what they do, and wait until the engine has all of it.

        Once is enough, and twice does no harm.
        """
        for worker in self.writers:
            worker.dismiss()
        for worker in self.writers:
            assert await worker.ended() == 0
            assert worker.heard["drained"]

    async def counted(self, marks: Mapping[str, int] = NONE) -> None:
        """Wait until the sums have all that the journals hold.

        `marks`: of producers, up to which number there are events elsewhere.
        """
        heads = dict(marks)
        for producer, rows in self.journals():
            if rows:
                heads[producer] = max(rows[-1].seq, heads.get(producer, 0))
        rollups = Rollups(lambda: connect_database(self.sums))

        def all_of_it() -> bool:
            told = rollups.positions(heads)
            return all(told.get(producer, 0) >= head for producer, head in heads.items())

        with closing(rollups):
            await self.news.until(all_of_it, "the sums have all that the journals hold")

    async def settle(
        self, *, forgivable: ledger.Forgivable | None = None, marks: Mapping[str, int] = NONE
    ) -> Shown:
        """Finish, and compare."""
        await self.drain()
        await self.counted(marks)
        for worker in self.consumers:
            worker.dismiss()
            assert await worker.ended() == 0
        found = await asyncio.to_thread(
            ledger.verdict, self.ledgers, self.sums, forgivable=forgivable
        )
        shown = Shown(
            attempted=found.attempted,
            acked=found.acknowledged,
            aggregated=found.aggregated,
            lost=found.lost,
            double=found.double,
            redelivered=self.heard("repeated"),
            rewinds=self.heard("rewound"),
            wrong=list(found.faults),
        )
        shown.must(not self.heard("buried"), f"{self.heard('buried')} events were given up")
        shown.must(not found.double, f"{found.double} attempts are counted twice")
        return shown


@asynccontextmanager
async def staged(play: Play) -> AsyncIterator[Stage]:
    """An empty stage; in the end nothing that was started on it is left."""
    stage = Stage(play, random.Random(play.seed))  # noqa: S311 - to be drawn again
    try:
        yield stage
    finally:
        for worker in (*stage.writers, *stage.consumers):
            await worker.end()
        for server in (*stage.others, *([stage.server] if stage.server else [])):
            server.thaw()
            await server.kill()


def told(faults: Counter[str]) -> str:
    """Faults in words."""
    return ", ".join(f"{count} {what}" for what, count in sorted(faults.items()))
