"""What it costs a process that others serve its streams, too.

Run: `python -m bench.shared_streams`, a minute; `--rounds` changes how often each is measured.
Against the packaged server, over a unix socket, for 1 and 200 streams, the medians of the rounds:

- On a token's path: how much longer appending it to its log takes where the log is copied, and
  has been sent since its last token, as with a single stream every one has.
- Of what a stream was asked, which goes with its first event: CPU of this process for sending it.
- Of the copying: CPU of this process for one call that sends a token of each stream; and how much
  of a core it takes at 50 tokens a second of each stream, at the pace that the service keeps.
"""

import argparse
import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

import uvloop

from adapters.events import TextDelta
from adapters.request import UserMessage
from service import ids, tasks
from service.streams.buffer_scripts import Shards
from service.streams.copies import Copies
from service.streams.log import StreamLog
from service.streams.question import Question
from service.streams.stream import Stream
from service.usage.client import Client, close
from tests.service.streams.processes import REQUEST
from tests.service.usage.servers import Server, binary

STREAMS = (1, 200)
TOKENS = 50
"""A second, of each stream."""

QUESTIONS = (20 * 1024, 1024 * 1024)
"""Bytes of a text, or of a picture."""

SECONDS = 2.0
TURNS = 400
CALLS = 200
TTL = 60.0
TS = 1_795_392_000_123
WORD = [TextDelta("b1.0", " word")]


class Load:
    """So many streams, copied or not."""

    def __init__(self, client: Client, streams: int, *, copied: bool) -> None:
        """Nothing is said yet."""
        self._client = client
        self.copies = Copies(Shards.of(client), "pr_bench", ttl=TTL)
        self.logs = [StreamLog(f"st_{number}") for number in range(streams)]
        for log in self.logs if copied else ():
            self.copies.add(Stream(log, REQUEST, cancel_after=None))

    def say(self) -> float:
        """A token of each stream; the seconds that it took."""
        began = perf_counter()
        for log in self.logs:
            log.append(WORD, TS)
        return perf_counter() - began

    async def sent(self) -> float:
        """Send what there is; the seconds of CPU that it took."""
        began = process_time()
        await self.copies.send(self._client)
        return process_time() - began

    async def live(self, *, copied: bool) -> float:
        """Speak for a while, as fast as providers do; the share of a core that it took."""
        sending = tasks.spawn(self._always(), name="copies") if copied else None
        until, began = perf_counter() + SECONDS, process_time()
        apart = 1 / (TOKENS * len(self.logs))
        due = perf_counter()
        while due < until:
            for log in self.logs:
                log.append(WORD, TS)
                due += apart
                if due > perf_counter():
                    await asyncio.sleep(due - perf_counter())
        share = (process_time() - began) / SECONDS
        if sending is not None:
            await tasks.end(sending)
        return share

    async def _always(self) -> None:
        while True:
            await asyncio.sleep(await self.copies.send(self._client))
            tasks.heed_cancellation()


async def on_its_path(client: Client, streams: int) -> float:
    """Microseconds more a token."""
    first, second = Load(client, streams, copied=False), Load(client, streams, copied=True)
    alone, copied, warm = first, second, Load(client, streams, copied=False)
    more = []
    for _ in range(TURNS):
        warm.say()  # what comes first after a wait finds nothing in the caches
        took = {load: load.say() for load in (first, second)}
        more.append((took[copied] - took[alone]) / streams)
        first, second = second, first
        await copied.sent()
    return median(more) * 1e6


async def of_a_call(client: Client, streams: int) -> float:
    """Milliseconds of CPU."""
    load = Load(client, streams, copied=True)
    took = []
    for _ in range(CALLS):
        load.say()
        took.append(await load.sent())
    return median(took) * 1e3


async def of_a_core(client: Client, streams: int) -> float:
    """Percent, beside what speaking takes."""
    alone = await Load(client, streams, copied=False).live(copied=False)
    return (await Load(client, streams, copied=True).live(copied=True) - alone) * 100


async def of_a_question(client: Client, size: int) -> float:
    """Milliseconds of CPU more than for a stream that was asked nothing."""
    message = UserMessage(role="user", content="x" * size)
    asked = Question(dialect="openai-responses", model="auto", body={}, messages=[message])
    more = []
    for _ in range(TURNS // 4):
        alone = await _first_call(client, None)
        more.append(await _first_call(client, asked) - alone)
    return median(more) * 1e3


async def _first_call(client: Client, question: Question | None) -> float:
    """Seconds of CPU."""
    copies = Copies(Shards.of(client), "pr_bench", ttl=TTL)
    stream = Stream(StreamLog(ids.new("st", TS)), REQUEST, cancel_after=None, question=question)
    copies.add(stream)
    stream.log.append(WORD, TS)
    began = process_time()
    await copies.send(client)
    return process_time() - began


MEASURED: dict[str, Callable[[Client, int], Awaitable[float]]] = {
    "us more on a token's path": on_its_path,
    "ms of CPU a call": of_a_call,
    "% of a core for copying": of_a_core,
}


async def measure(folder: Path, rounds: int) -> None:
    """Print a line for each figure."""
    server = await Server(binary("valkey"), folder / "server").start()
    try:
        for streams in STREAMS:
            for name, figure in MEASURED.items():
                await show(server, rounds, f"{streams:4} streams", name, figure, streams)
        for size in QUESTIONS:
            of = f"{size // 1024:4} KiB asked"
            await show(server, rounds, of, "ms of CPU", of_a_question, size)
    finally:
        await server.kill()


async def show(
    server: Server,
    rounds: int,
    of: str,
    name: str,
    figure: Callable[[Client, int], Awaitable[float]],
    given: int,
) -> None:
    """Measure a figure so many times and print it."""
    seen = []
    for _ in range(rounds):
        await server.ask("FLUSHALL")
        client = server.client()
        await client.ping()
        seen.append(await figure(client, given))
        await close(client)
    low, high = min(seen), max(seen)
    print(f"{of}: {median(seen):6.2f} {name} [{low:.2f}-{high:.2f}]", flush=True)


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(description="What it costs that others serve our streams.")
    options.add_argument("--rounds", type=int, default=5, help="of each figure (default: 5)")
    with tempfile.TemporaryDirectory() as folder:
        uvloop.run(measure(Path(folder), options.parse_args().rounds))


if __name__ == "__main__":
    main()
