"""What it costs to hold a provider's limits together with other processes.

Run: `python -m bench.shared_limits`, a quarter of a minute. Every server that this machine has (on
PATH, and the packaged one) is asked over a unix socket, by one process with limits that are never
reached:

- alone: how long one request waits for its reservation, when nobody else asks; 1,000 of them.
- in a crowd: 200 requests that reserve, settle and begin again, 40,000 attempts in all; median and
  extremes of five rounds. Microseconds of CPU per attempt, of this process and of the server, from
  the reservation to the end. The server computes on one core, so a million by its microseconds is
  the most that one provider can be asked in a second, by all processes together.
"""

import argparse
import asyncio
import tempfile
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter, process_time

import uvloop

from service import clock, tasks
from service.limits.provider_limits import Limits, ProviderLimits
from service.limits.shared_limits import SharedLimits
from service.usage.client import Client, close, connect
from service.usage.embedded import Embedded, executables

ALONE = 1_000
CROWD = 200
ATTEMPTS = 40_000
TOKENS = 1_000
PROVIDER = "openai"
SEARCHED = "/usr/local/bin:/usr/bin:/bin"

_UNREACHED = ProviderLimits(
    requests_per_minute=10_000_000, tokens_per_minute=150_000_000, concurrent_streams=100_000
)


async def attempt(shared: SharedLimits) -> float:
    """Reserve and settle; seconds until it was reserved."""
    began = perf_counter()
    reservation = await shared.reserve(PROVIDER, TOKENS)
    reserved = perf_counter() - began
    assert reservation is not None
    # It took nothing, so that no limit is reached however long this goes on.
    shared.settle(reservation, 0, clock.monotonic())
    return reserved


async def alone(shared: SharedLimits) -> str:
    """A line: one after the other."""
    took = []
    for _ in range(ALONE):
        took.append(await attempt(shared) * 1000)
        await asyncio.sleep(0.002)  # until its end is told, too
    p99 = quantiles(took, n=100)[98]
    return f"alone: a reservation takes p50 {median(took):.2f} ms, p99 {p99:.2f} ms"


async def crowd(shared: SharedLimits, client: Client) -> tuple[float, float, float]:
    """Attempts a second, and microseconds of CPU for each: of this process, of the server."""

    async def one() -> None:
        for _ in range(ATTEMPTS // CROWD):
            await attempt(shared)

    served, began, computed = await cpu(client), perf_counter(), process_time()
    await asyncio.gather(*(one() for _ in range(CROWD)))
    seconds, own = perf_counter() - began, process_time() - computed
    served = await cpu(client) - served
    assert shared.asks(PROVIDER), "the engine did not keep up"
    return ATTEMPTS / seconds, own / ATTEMPTS * 1e6, served / ATTEMPTS * 1e6


async def cpu(client: Client) -> float:
    """Seconds the server has computed."""
    used = await client.info("cpu")
    return float(used["used_cpu_user"]) + float(used["used_cpu_sys"])


async def measure(server: str, folder: Path, rounds: int) -> None:
    """Print what comes of one server."""
    engine = await Embedded.start(folder, [server])
    address = engine.address
    assert address is not None
    client = connect(address)
    limits = Limits()
    limits.configure(PROVIDER, _UNREACHED)
    shared = SharedLimits(limits)
    await shared.start(lambda: connect(address))
    said = await client.info("server")
    version = said.get("valkey_version") or said["redis_version"]
    print(f"{Path(server).name} {version}:\n  {await alone(shared)}", flush=True)
    figures = [await crowd(shared, client) for _ in range(rounds)]
    paces, own, served = (sorted(column) for column in zip(*figures, strict=True))
    print(f"  in a crowd: CPU per attempt {_spread(own)} us here, {_spread(served)} us the server;")
    print(f"  {median(paces):,.0f} [{paces[0]:,.0f}-{paces[-1]:,.0f}] attempts a second")
    await shared.stop()
    await close(client)
    await engine.aclose()
    await tasks.settle(patience=1)


def _spread(found: list[float]) -> str:
    """Of what is sorted."""
    return f"{median(found):.1f} [{found[0]:.1f}-{found[-1]:.1f}]"


async def run(rounds: int) -> None:
    """All servers, one after the other."""
    for server in await executables(SEARCHED):
        with tempfile.TemporaryDirectory() as folder:
            await measure(server, Path(folder), rounds)


def main() -> None:
    """Run all of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    uvloop.run(run(parser.parse_args().rounds))


if __name__ == "__main__":
    main()
