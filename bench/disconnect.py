"""How long the provider still works for a client that has left, in each of the three windows.

Under `cancel_after:0` the client closes its connection before the headers, before the first token
or in mid-stream; the provider prints when it saw its own connection close.
"""

import asyncio
import statistics
import time

import uvloop

from bench.load import connect, request
from bench.processes import Process

WINDOWS = {
    "before headers": ("openai/bench-mute", b""),
    "before the first token": ("openai/bench-silent", b""),
    "mid-stream": ("openai/bench", b"text.delta"),
}
SETTLE = 0.1  # seconds until a silent request is surely at the provider


async def _leave(port: int, model: str, first: bytes) -> int:
    client = await connect(port, request(model, on_disconnect="cancel_after:0"), first=first)
    if first:
        await client.began
    else:
        await asyncio.sleep(SETTLE)
    left = time.time_ns()
    client.transport.abort()
    return left


async def measure(provider: Process, tailrace: Process, times: int) -> dict[str, list[float]]:
    """Milliseconds from the client's close to the provider's sight of it, per window."""
    loop = asyncio.get_running_loop()
    taken: dict[str, list[float]] = {}
    for window, (model, first) in WINDOWS.items():
        taken[window] = []
        for _ in range(times):
            left = await _leave(tailrace.port, model, first)
            line = await loop.run_in_executor(None, provider.output.readline)
            taken[window].append((int(line.split()[1]) - left) / 1e6)
    return taken


def run(provider: Process, tailrace: Process, times: int) -> str:
    """Measure in a loop of its own; the report."""
    taken = uvloop.run(measure(provider, tailrace, times))
    lines = [
        f"client leaves {window}: upstream closed after p50 {statistics.median(values):.2f} ms, "
        f"worst {max(values):.2f} ms of {len(values)} (goal 100)"
        for window, values in taken.items()
    ]
    return "\n".join(lines)
