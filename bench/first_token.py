"""What Tailrace adds to the time to the first token, over using the same SDK directly.

The same provider, which answers at once; 20 requests a second, alternating between the openai SDK
straight to the provider and a client of the native SSE path, each from the request's first byte to
the first content. The difference of the quantiles is the figure.
"""

import asyncio
import statistics
from time import perf_counter

import openai
import uvloop

from bench.load import connect, request
from bench.processes import Process

RATE = 20.0  # requests per second, both kinds together
CONTENT = b"event: text.delta"


async def _direct(client: openai.AsyncOpenAI) -> float:
    began = perf_counter()
    stream = await client.chat.completions.create(
        model="bench",
        messages=[{"role": "user", "content": "Tell me of a river."}],
        stream=True,
    )
    async for chunk in stream:
        if chunk.choices and chunk.choices[0].delta.content:
            break
    took = perf_counter() - began
    await stream.close()
    return took


async def _through(port: int) -> float:
    began = perf_counter()
    client = await connect(
        port, request("openai/bench", on_disconnect="cancel_after:0"), first=CONTENT
    )
    await client.began
    took = perf_counter() - began
    client.transport.abort()
    return took


async def measure(provider: Process, tailrace: Process, requests: int) -> tuple[list, list]:
    """Milliseconds of `requests` requests each way."""
    address = f"http://127.0.0.1:{provider.port}/v1"
    direct: list[float] = []
    through: list[float] = []
    async with openai.AsyncOpenAI(
        base_url=address, api_key="test-key-bench", max_retries=0
    ) as client:
        for number in range(2 * requests + 20):
            began = perf_counter()
            kind = through if number % 2 else direct
            took = await (_through(tailrace.port) if number % 2 else _direct(client))
            if number >= 20:
                kind.append(took * 1000)
            await asyncio.sleep(max(0, 1 / RATE - (perf_counter() - began)))
    return direct, through


def report(direct: list[float], through: list[float]) -> str:
    """One line."""

    def at(values: list[float], percent: int) -> float:
        return statistics.quantiles(values, n=100)[percent - 1]

    p50, p99 = at(through, 50) - at(direct, 50), at(through, 99) - at(direct, 99)
    return (
        f"first token at {RATE:.0f} requests/s, {len(direct)} each way: direct p50 "
        f"{at(direct, 50):.2f} p99 {at(direct, 99):.2f} ms, Tailrace p50 {at(through, 50):.2f} "
        f"p99 {at(through, 99):.2f} ms; added p50 {p50:+.2f} (goal 2), p99 {p99:+.2f} ms (goal 8)"
    )


def run(provider: Process, tailrace: Process, requests: int) -> str:
    """Measure in a loop of its own; the report."""
    return report(*uvloop.run(measure(provider, tailrace, requests)))
