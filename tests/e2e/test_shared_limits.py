"""A provider's limit held by two services together, on one server that others run."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from service.limits.limit_scripts import keys
from tests.double.script import reply
from tests.double.server import Double
from tests.e2e.process import Served, serving
from tests.e2e.stack import question, read, speaks, variables
from tests.service.usage.servers import Server, binary

LIMIT = 100
MODEL = "groq/openai/gpt-oss-120b"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    """That others run."""
    server = await Server(binary("valkey"), tmp_path / "server").start()
    yield server
    await server.kill()


@pytest.fixture
async def double() -> AsyncIterator[Double]:
    """Groq."""
    async with Double(speaks=speaks) as double:
        yield double


@pytest.fixture
async def two(server: Server, double: Double, tmp_path: Path) -> AsyncIterator[list[Served]]:
    """Two services on the server, each with a data folder of its own."""
    environ = variables(double.url, ["groq"]) | {
        "REDIS_URL": server.address.url,
        "TAILRACE_PROVIDERS__GROQ__REQUESTS_PER_MINUTE": str(LIMIT),
    }
    async with AsyncExitStack() as stack:
        started = []
        for name in ("one", "other"):
            folder = tmp_path / name
            folder.mkdir()
            started.append(await stack.enter_async_context(serving(folder, environ=environ)))
        yield started


async def completed(client: aiohttp.ClientSession, served: Served) -> bool:
    """Ask, and read to the end; whether there was an answer."""
    async with client.post(f"{served.url}/v1/streams", json=question(MODEL)) as response:
        told = await read(response)
    if told.events and told.end["status"] == "completed":
        return True
    error = told.error or told.end["error"]
    assert error["code"] in {"rate_limit_provider", "over_limit", "no_candidates"}, error
    return False


async def limits_told(client: aiohttp.ClientSession, served: Served) -> dict[str, Any]:
    """As its statistics show them."""
    async with client.get(f"{served.url}/v1/providers/groq/stats") as response:
        limits: dict[str, Any] = (await response.json())["limits"]
    return limits


async def clock(server: Server) -> int:
    """The server's, in microseconds."""
    seconds, microseconds = await server.ask("TIME")
    return int(seconds) * 1_000_000 + int(microseconds)


async def test_of_300_requests_at_once_as_many_are_admitted_as_the_limit_has(
    server: Server, double: Double, two: list[Served]
) -> None:
    double.choose(lambda _: reply("Hello"))
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as client:
        before = await clock(server)
        asked = [completed(client, served) for _ in range(150) for served in two]
        admitted = sum(await asyncio.gather(*asked))
        after = await clock(server)
        told = [await limits_told(client, served) for served in two]
    assert [limits["shared"] for limits in told] == [True, True]
    assert LIMIT <= admitted <= LIMIT + (after - before) * LIMIT // 60_000_000
    assert admitted == len(double.requests)
    # What is in the bucket and what has drained since the first of them are these and no others.
    account = await server.ask("HMGET", keys("groq")[0], "requests", "at", "requests_empty")
    inside, at, first = map(int, account)
    assert admitted * 60_000_000 == inside + (at - first) * LIMIT
