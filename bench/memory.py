"""Resident memory per open, idle stream: both connections, the attempt, the log, the reader."""

import asyncio

import uvloop

from bench.load import Client, connect, request
from bench.processes import Process

PAUSE = 1.0  # seconds for the allocator and the pollers to settle


async def _open(port: int, streams: int) -> list[Client]:
    payload = request("openai/bench-idle", on_disconnect="cancel_after:0")
    clients = []
    for start in range(0, streams, 50):
        batch = [connect(port, payload, first=b"text.delta") for _ in range(start, start + 50)]
        opened = await asyncio.gather(*batch)
        await asyncio.gather(*(client.began for client in opened))
        clients += opened
    return clients


async def measure(tailrace: Process, streams: int) -> float:
    """KiB per stream at `streams` open streams, over the service with none."""
    for client in await _open(tailrace.port, 50):
        client.transport.abort()
    await asyncio.sleep(PAUSE)
    before = tailrace.resident_kib()
    clients = await _open(tailrace.port, streams)
    await asyncio.sleep(PAUSE)
    grown = tailrace.resident_kib() - before
    for client in clients:
        client.transport.abort()
    await asyncio.sleep(PAUSE)
    return grown / streams


def run(tailrace: Process, streams: int) -> str:
    """Measure in a loop of its own; the report."""
    each = uvloop.run(measure(tailrace, streams))
    return f"resident memory per idle stream at {streams} open: {each:.1f} KiB (goal 40)"
