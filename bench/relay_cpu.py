"""CPU per chunk of the native SSE path against a bare aiohttp byte relay, in one run.

Both relays run all the time, pinned to one core; the provider and the load share the other. Rounds
are interleaved (bare, Tailrace, bare, Tailrace, ...) and every round of Tailrace is divided by the
mean of the bare rounds on either side of it, so that a machine that speeds up or slows down during
the run does so for both. The figure is the median of those ratios.
"""

import statistics
from dataclasses import dataclass

import uvloop

from bench.load import request, run_streams
from bench.processes import Process
from bench.upstream import CHUNKS, GAP

SPREAD = 0.5  # seconds over which a round's streams are opened


@dataclass(frozen=True, slots=True)
class Result:
    """One concurrency's figures; microseconds of CPU per chunk."""

    streams: int
    bare_us: float
    tailrace_us: float
    ratios: list[float]

    @property
    def ratio(self) -> float:
        """The median ratio."""
        return statistics.median(self.ratios)


async def _round(relay: Process, streams: int) -> float:
    before = relay.cpu_ns()
    clients = await run_streams(relay.port, request("openai/bench"), streams, SPREAD)
    spent = relay.cpu_ns() - before
    short = [client for client in clients if client.received < CHUNKS * 50]
    if short:
        message = f"{len(short)} of {streams} streams were cut short: the figures mean nothing"
        raise RuntimeError(message)
    return spent / 1000 / (streams * CHUNKS)


async def measure(bare: Process, tailrace: Process, streams: int, rounds: int) -> Result:
    """`rounds` rounds of each, after one of each that is not counted."""
    for relay in (bare, tailrace):
        await _round(relay, streams)
    yardstick = [await _round(bare, streams)]
    mine: list[float] = []
    for _ in range(rounds):
        mine.append(await _round(tailrace, streams))
        yardstick.append(await _round(bare, streams))
    ratios = [
        spent / statistics.mean(yardstick[number : number + 2]) for number, spent in enumerate(mine)
    ]
    return Result(streams, statistics.median(yardstick), statistics.median(mine), ratios)


def report(result: Result) -> str:
    """One line."""
    spread = f"{min(result.ratios):.2f}-{max(result.ratios):.2f}"
    return (
        f"CPU per chunk, {result.streams:4d} streams of {CHUNKS} chunks at {GAP * 1000:.0f} ms: "
        f"bare {result.bare_us:6.1f} us, Tailrace {result.tailrace_us:6.1f} us, "
        f"ratio {result.ratio:.2f} [{spread}] over {len(result.ratios)} rounds (goal 1.25)"
    )


def run(bare: Process, tailrace: Process, streams: int, rounds: int) -> Result:
    """Measure in a loop of its own."""
    return uvloop.run(measure(bare, tailrace, streams, rounds))
