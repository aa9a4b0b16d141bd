"""How many events a second the journal makes safe, and how long one takes.

Run: `python -m bench.journal`, half a minute; `--folder` puts the journal on another disk. For each
durability and 1, 32 and 256 writers at once: events a second, percentiles of the time from `close`
to its being safe, and CPU per event of the whole process, the writers included; then pairs a
second, an attempt opened, waited for, closed, waited for. An event has 1,200 bytes, which is what
one with everything filled in has. Above it the disk's own pace: how often a second it syncs a page
that was written to a file.
"""

import argparse
import asyncio
import os
import tempfile
from collections.abc import Callable
from itertools import count
from pathlib import Path
from time import perf_counter, process_time

import uvloop

from service import clock, ids
from service.usage.journal import Journal, JournalError
from service.usage.slot import Slot
from service.usage.store import Durability

WRITERS = (1, 32, 256)
SECONDS = 2.0
EVENT = b"x" * 1_200
OPEN = b"x" * 1_000
GOAL = 5_000
"""Events a second of 32 writers, each synced."""


def died(failure: JournalError) -> None:
    """The journal has failed: the figures mean nothing."""
    raise SystemExit(str(failure))


class Load:
    """So many writers, each with one event at a time, for some seconds."""

    def __init__(self, journal: Journal, writers: int, *, opening: bool) -> None:
        """`opening`: each opens its attempt first."""
        self._journal = journal
        self._writers = writers
        self._opening = opening
        self.waits: list[float] = []

    async def run(self) -> tuple[float, float]:
        """Events a second, and microseconds of CPU per event."""
        started, cpu = perf_counter(), process_time()
        until = started + SECONDS
        await asyncio.gather(*(self._write(until) for _ in range(self._writers)))
        events = len(self.waits)
        return events / (perf_counter() - started), (process_time() - cpu) / events * 1e6

    async def _write(self, until: float) -> None:
        journal = self._journal
        while perf_counter() < until:
            attempt = ids.uuid7(clock.now_ms()).bytes
            if self._opening:
                await journal.open(attempt, OPEN)
            closing = perf_counter()
            await journal.close(attempt, EVENT)
            self.waits.append(perf_counter() - closing)

    def percentile(self, share: float) -> float:
        """Milliseconds."""
        return sorted(self.waits)[int(share * (len(self.waits) - 1))] * 1e3


def syncs(folder: Path) -> float:
    """How often a second the disk syncs what was written, one after the other."""
    with (folder / "page").open("wb", buffering=0) as file:
        started = perf_counter()
        for done in count(1):
            file.write(bytes(4096))
            os.fdatasync(file.fileno())
            if perf_counter() - started > 1:
                return done
    raise AssertionError


async def measure(folder: Path, durability: Durability, say: Callable[[str], None]) -> None:
    """A line for every number of writers."""
    slot = Slot.claim(folder / durability, volatile=True)
    journal = await Journal.start(slot, on_failure=died, durability=durability)
    for writers in WRITERS:
        events = Load(journal, writers, opening=False)
        pace, cpu = await events.run()
        pairs, _ = await Load(journal, writers, opening=True).run()
        say(
            f"{durability:8} {writers:4} writers: {pace:7,.0f} events/s, "
            f"p50 {events.percentile(0.5):6.2f} ms, p99 {events.percentile(0.99):6.2f} ms, "
            f"{cpu:5.1f} us of CPU each; {pairs:7,.0f} opened and closed/s"
        )
    await journal.stop()


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(description="What the journal makes safe in a second.")
    options.add_argument("--folder", type=Path, default=None, help="where; a temporary folder")
    with tempfile.TemporaryDirectory(dir=options.parse_args().folder) as name:
        folder = Path(name)
        print(f"the disk:           {syncs(folder):7,.0f} syncs/s")
        for durability in ("power", "process"):
            uvloop.run(measure(folder, durability, print))
    print(f"goal: power, 32 writers: {GOAL:,} events/s")


if __name__ == "__main__":
    main()
