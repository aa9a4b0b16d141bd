"""`tailrace serve` on the stage, before a double that plays the providers; and how it is asked.

What it may be held to is what both ends saw: the double counts the requests that reached a
provider, each of which is an attempt, and the clients know how each of theirs went.
"""

import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from redis.exceptions import RedisError

from service import clock
from service.usage.client import Address, close, connect
from tests.double.server import Double
from tests.e2e.process import Served, serving
from tests.e2e.stack import question, speaks, variables
from tests.service.usage.servers import until

PROVIDERS = ("openai", "groq")

SLOW_S = 30.0
"""Seconds that what is on its way may take to be in the sums."""


@dataclass(slots=True)
class House:
    """A service, its providers and its clients."""

    folder: Path
    double: Double
    client: aiohttp.ClientSession
    environ: dict[str, str] = field(default_factory=dict)
    served: Served | None = None

    @property
    def url(self) -> str:
        """Where the service is."""
        assert self.served is not None
        return self.served.url

    def post(self, model: str = "openai/auto", **more: object) -> Any:  # noqa: ANN401 - aiohttp's own
        """Start a stream."""
        return self.client.post(f"{self.url}/v1/streams", json=question(model, **more))

    async def engine(self) -> dict[str, Any]:
        """What carries the usage stream."""
        async with self.client.get(f"{self.url}/healthz") as response:
            told: dict[str, Any] = (await response.json())["engine"]
            return told

    async def usage(self, *by: str) -> dict[str, Any]:
        """`GET /v1/usage`."""
        params = {"group_by": ",".join(by)} if by else {}
        async with self.client.get(f"{self.url}/v1/usage", params=params) as response:
            assert response.status == 200, await response.text()
            told: dict[str, Any] = await response.json()
            return told

    async def outcomes(self) -> dict[str, int]:
        """Attempts in the sums, by how they ended."""
        rows = (await self.usage("outcome"))["rows"]
        return {row["outcome"]: row["attempts"] for row in rows}

    async def counts(self, attempts: int) -> float:
        """Seconds until the sums have so many attempts."""
        began = clock.monotonic()

        async def there() -> bool:
            return int((await self.usage())["total"]["attempts"] or 0) >= attempts

        try:
            await until(there, SLOW_S)
        except TimeoutError:
            message = f"{attempts} attempts are not in the sums, but {await self.outcomes()}"
            raise AssertionError(message) from None
        return clock.monotonic() - began


@asynccontextmanager
async def house(folder: Path, environ: Mapping[str, str]) -> AsyncIterator[House]:
    """Providers and clients; the service is started by who needs it."""
    async with AsyncExitStack() as opened:
        double = await opened.enter_async_context(Double(speaks=speaks))
        connector = aiohttp.TCPConnector(limit=0)
        client = await opened.enter_async_context(aiohttp.ClientSession(connector=connector))
        given = variables(double.url, PROVIDERS) | dict(environ)
        yield House(folder, double, client, given)


@asynccontextmanager
async def opened(folder: Path, environ: Mapping[str, str]) -> AsyncIterator[House]:
    """The same with a service."""
    async with (
        house(folder, environ) as made,
        ending_well(serving(folder, environ=made.environ)) as made.served,
    ):
        yield made


@asynccontextmanager
async def ending_well(context: AbstractAsyncContextManager[Served]) -> AsyncIterator[Served]:
    """A service that is told to end: one that is killed leaves its embedded engine behind."""
    async with context as served:
        try:
            yield served
        finally:
            if served.process.returncode is None:
                served.tell(signal.SIGTERM)
                await served.ends()


async def server_pid(url: str) -> int | None:
    """The process of the engine at that address; None where none answers."""
    client = connect(Address.parse(url), timeout=1)
    try:
        return int((await client.info("server"))["process_id"])
    except (RedisError, OSError):
        return None
    finally:
        await close(client)
