"""What usage costs a request of the service, and what an engine that is away does to it.

Run: `python -m bench.usage_service`, three minutes; `--seconds` and `--rate` change the load. The
service as a process of its own, one provider that streams 200 tokens 10 ms apart, and a Redis that
is killed in the middle of the load and comes back after as long as it had been there.

Printed for the time with Redis and for that without it: p50 and p99 of the first content and of
`added at the end`, which is the time from the last content to `stream.end` less the 10 ms that the
provider takes for it, so what writing the attempt down costs. Then how long the backlog took to be
published and counted, and how many attempts are missing in the sums, which must be none.
"""

import argparse
import asyncio
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import cast

import aiohttp
import uvloop

from bench import load, processes
from bench.upstream import GAP
from service.usage.embedded import packaged_server
from tests.service.usage.servers import Server, free_port

ADDED = 10.0
"""Goal: milliseconds at the end of a stream, half of the time at most."""

DRAINED_WITHIN = 30.0
"""Goal: seconds until what an outage left behind is counted."""

_CONTENT = b"event: text.delta"
_END = b"event: stream.end"


@dataclass(slots=True)
class Times:
    """Of the requests of one part of the load, milliseconds."""

    first: list[float] = field(default_factory=list)
    end: list[float] = field(default_factory=list)

    def line(self) -> str:
        """The percentiles."""
        return (
            f"{len(self.end):6,} requests; first content p50 {_share(self.first, 0.5):6.1f}, "
            f"p99 {_share(self.first, 0.99):6.1f} ms; added at the end "
            f"p50 {_share(self.end, 0.5):5.1f}, p99 {_share(self.end, 0.99):5.1f} ms"
        )


def _share(values: Sequence[float], share: float) -> float:
    return sorted(values)[int(share * (len(values) - 1))]


class Request(asyncio.Protocol):
    """One stream, and when its first and last content and its end came."""

    def __init__(self, payload: bytes) -> None:
        """What is sent."""
        self._payload = payload
        self.over = asyncio.Event()
        self.asked = self.first = self.last = self.end = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the request."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own class
        self._transport.write(self._payload)
        self.asked = perf_counter()

    def data_received(self, data: bytes) -> None:
        """Note what came when."""
        now = perf_counter()
        if _CONTENT in data:
            self.first = self.first or now
            self.last = now
        if _END in data:
            self.end = now
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        del exc
        self.over.set()


async def asked(port: int, seconds: float, rate: float) -> Times:
    """So many requests a second, for so long."""
    loop = asyncio.get_running_loop()
    payload = load.request("openai/bench")
    requests = []
    for _ in range(round(seconds * rate)):
        _, one = await loop.create_connection(lambda: Request(payload), "127.0.0.1", port)
        requests.append(one)
        await asyncio.sleep(1 / rate)
    times = Times()
    for one in requests:
        await one.over.wait()
        times.first.append((one.first - one.asked) * 1e3)
        times.end.append((one.end - one.last - GAP) * 1e3)
    return times


async def counted(session: aiohttp.ClientSession, port: int) -> int:
    """Attempts in the sums."""
    async with session.get(f"http://127.0.0.1:{port}/v1/usage") as response:
        total = (await response.json())["total"]
        return int(total["attempts"])


async def drained(port: int, attempts: int) -> float:
    """Seconds until all of them are in the sums, and no more."""
    begun = perf_counter()
    async with aiohttp.ClientSession() as session:
        while await counted(session, port) < attempts:
            if perf_counter() - begun > 4 * DRAINED_WITHIN:
                break
            await asyncio.sleep(0.05)
        print(f"missing in the sums: {attempts - await counted(session, port)}")
    return perf_counter() - begun


async def measure(seconds: float, rate: float) -> None:
    """Print the lines."""
    with tempfile.TemporaryDirectory() as name:
        executable = shutil.which("redis-server") or str(packaged_server())
        options = ("--port", str(free_port()), "--appendonly", "yes")
        redis = await Server(executable, Path(name) / "redis", *options).start()
        url = {"REDIS_URL": f"unix://{redis.address.path}"}
        with (
            processes.upstream() as provider,
            processes.tailrace(provider, f"{name}/data", url) as service,
        ):
            await asked(service.port, 5, rate)  # connections, caches, imports
            before = await asked(service.port, seconds, rate)
            await redis.kill()
            during = await asked(service.port, seconds, rate)
            await redis.start()
            print(f"with Redis     {before.line()}")
            print(f"without Redis  {during.line()}")
            added = _share(before.end, 0.5)
            print(f"p50 of what is added at the end with it: {added:.1f} ms (goal: {ADDED:.0f})")
            slower = _share(during.first, 0.99) / _share(before.first, 0.99) - 1
            print(f"p99 of the first content without it: {slower:+.1%} (goal: within 10%)")
            attempts = round(5 * rate) + len(before.end) + len(during.end)
            took = await drained(service.port, attempts)
            print(f"the backlog was counted after {took:.1f} s (goal: {DRAINED_WITHIN:.0f})")
        await redis.kill()


def main() -> None:
    """Measure as told."""
    options = argparse.ArgumentParser(description="What usage costs a request.")
    options.add_argument("--seconds", type=float, default=60, help="with, and then without Redis")
    options.add_argument("--rate", type=float, default=30, help="requests a second")
    given = options.parse_args()
    uvloop.run(measure(given.seconds, given.rate))


if __name__ == "__main__":
    main()
