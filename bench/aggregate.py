"""How many events a second one aggregator counts, and where the time goes.

Run: `python -m bench.aggregate [--events 60000] [--postgresql URL]`, half a minute. A real Valkey
on a unix socket holds the events; a consumer as the service has it reads, counts and acknowledges
them, every commit synced. Beside it the same events straight from a journal in memory, which is
what remains without Redis, and the parts of the work alone: reading the JSON, and the database.
Events come from 15 models, 5 tiers and 4 clients over 10 minutes, so a batch of 500 changes some
hundred rows of each table, more than a service that is not that busy has.

`blocked` is the longest time that the event loop was kept from a timer of 1 ms in the meantime:
in the service, tokens would have waited for it.
"""

import argparse
import asyncio
import gc
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from time import perf_counter, process_time
from uuid import UUID

import orjson
import uvloop
from typing_extensions import override

from service import tasks
from service.usage import scripts, tally
from service.usage.aggregate import Aggregator, Silent
from service.usage.client import close
from service.usage.database import connect
from service.usage.replay import Follower
from service.usage.rollups import Arrival, Rollups
from service.usage.store import Row
from tests.service.usage.attempts import body
from tests.service.usage.servers import Server, binary

EVENTS = 60_000
BATCH = 500
GOAL = 20_000
"""Events a second, of `stream`."""

(KEYS,) = scripts.UNSHARDED.all


def bodies(events: int) -> list[bytes]:
    """As the service writes them, 1.3 kB each."""
    told = []
    template = orjson.loads(body(1))
    for number in range(events):
        template["id"] = str(UUID(int=(number << 64) + number * 2_654_435_761 % (1 << 64)))
        template["data"] |= {
            "model": f"model-{number % 15}",
            "tier": f"tier-{number % 5}",
            "client_key": f"key-{number % 4}",
            "t_close_ns": 1_795_392_000_000_000_000 + number * 600_000_000_000 // events,
        }
        told.append(orjson.dumps(template))
    return told


Times = tuple[float, float, float]
"""Seconds, of them this process' CPU, and how long the loop was held up, milliseconds."""


async def through(work: Awaitable[object]) -> Times:
    """Do it, and watch."""
    longest = 0.0

    async def watch() -> None:
        nonlocal longest
        while True:
            asleep = perf_counter()
            await asyncio.sleep(0.001)
            longest = max(longest, perf_counter() - asleep - 0.001)

    watching = tasks.spawn(watch(), name="watch")
    began, busy = perf_counter(), process_time()
    await work
    taken, busy = perf_counter() - began, process_time() - busy
    watching.cancel()
    return taken, busy, longest * 1_000


class Count(Silent):
    """Knows when all have been counted."""

    def __init__(self, events: int) -> None:
        """So many."""
        self.counted_all = asyncio.Event()
        self._left = events

    @override
    def counted(self, new: int, repeated: int) -> None:
        self._left -= new
        if not self._left:
            self.counted_all.set()


async def streamed(folder: Path, url: str, told: Sequence[bytes]) -> Times:
    """From a server's stream into the sums."""
    server = await Server(binary("valkey"), folder / "server", "--appendonly", "yes").start()
    client = server.client()
    for start in range(0, len(told), BATCH):
        chunk = told[start : start + BATCH]
        args = ["p", start, start + 1, 1, len(told) + 1, *chunk]
        await scripts.PUBLISH.run(client, [KEYS.stream, KEYS.marks], args)
    rollups = Rollups(partial(connect, url))
    rollups.positions(["p"])
    all_of_them = Count(len(told))
    aggregator = Aggregator(rollups, server.client, consumer="bench", observer=all_of_them)
    task = tasks.spawn(aggregator.run(), name="aggregator")
    taken = await through(all_of_them.counted_all.wait())
    task.cancel()
    await asyncio.wait([task])
    await asyncio.to_thread(rollups.close)
    await close(client)
    await server.kill()
    return taken


class Memory:
    """A journal that costs nothing."""

    def __init__(self, told: Sequence[bytes]) -> None:
        """One epoch."""
        self.appended = asyncio.Event()
        self._rows = [Row(1, seq, b"", 0, one) for seq, one in enumerate(told, 1)]

    def epochs(self) -> list[int]:
        """The one."""
        return [1]

    def producer(self, epoch: int) -> str:
        """Its name."""
        return f"memory-{epoch}"

    def head(self, epoch: int) -> int:
        """All there is."""
        del epoch
        return len(self._rows)

    def rows(self, epoch: int, after: int, limit: int) -> list[Row]:
        """A slice."""
        del epoch
        return self._rows[after : after + limit]


async def followed(url: str, told: Sequence[bytes]) -> Times:
    """From a journal into the sums."""
    rollups = Rollups(partial(connect, url))
    rollups.positions(["memory-1"])
    journal = Memory(told)
    taken = await through(Follower(rollups, lambda: [journal]).catch_up())
    rollups.close()
    return taken


def counted(url: str, arrivals: Sequence[Arrival]) -> Times:
    """The database alone."""
    rollups = Rollups(partial(connect, url))
    rollups.positions(["p"])
    began, busy = perf_counter(), process_time()
    for start in range(0, len(arrivals), BATCH):
        rollups.take(arrivals[start : start + BATCH], 1_795_400_000_000_000_000)
    taken, busy = perf_counter() - began, process_time() - busy
    rollups.close()
    return taken, busy, 0


def emptied(url: str) -> str:
    """A PostgreSQL database without what an earlier part of the run counted."""
    database = connect(url)
    for table in (*tally.TABLES.values(), "seen", "taken", "dead_letter", "schema"):
        name = table if table.startswith("usage_") else f"usage_{table}"
        database.ask(f"DROP TABLE IF EXISTS {name}")
    database.close()
    return url


async def measure(events: int, name: str, fresh: Callable[[], str], folder: Path) -> None:
    """All for one database."""
    told = bodies(events)
    # Else the collector stops everything to look through all of it, again and again.
    gc.collect()
    gc.freeze()
    began, busy = perf_counter(), process_time()
    arrivals = [Arrival(tally.read(one), "p", seq) for seq, one in enumerate(told, 1)]
    reading = perf_counter() - began, process_time() - busy, 0.0
    parts = {
        "stream": await streamed(folder / name, fresh(), told),
        "journal": await followed(fresh(), told),
        "database alone": await asyncio.to_thread(counted, fresh(), arrivals),
        "reading alone": reading,
    }
    for part, (seconds, busy, blocked) in parts.items():
        held = f", blocked {blocked:.1f} ms" if blocked else ""
        print(
            f"{name:10} {part:15} {events / seconds:9,.0f} events/s,"
            f" {busy / events * 1e6:5.1f} us CPU each{held}"
        )


async def main() -> None:
    """SQLite, and a PostgreSQL where one is named."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--postgresql", metavar="URL", help="its tables of sums are dropped")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = iter(range(1_000))
        await measure(options.events, "sqlite", lambda: str(folder / f"{next(files)}.db"), folder)
        if options.postgresql:
            await measure(
                options.events, "postgresql", partial(emptied, options.postgresql), folder
            )
    print(f"goal: stream: {GOAL:,} events/s")


if __name__ == "__main__":
    uvloop.run(main())
