"""The real routes on a real socket over scripted providers, and the least of an SSE client.

`served` runs an application the way `app` does (`handler_cancellation` above all) on a free port.
`SseClient` reads a response's bytes as a browser would see them: events with id, type and data.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import aiohttp
import orjson
from aiohttp import web

from service.http.native import Native
from service.http.origins import Origins
from service.http.problems import NATIVE, Shape, typed_errors
from service.http.server import Runner
from service.relay import Relay
from service.settings import Streams
from service.streams.store import Store
from tests.service.scripted import Scripted, deployment


class Seen(NamedTuple):
    """One SSE block."""

    id: str | None
    event: str
    data: dict[str, Any]


def parsed(body: bytes) -> list[Seen]:
    """The complete blocks of an SSE body, read naively; comments are passed over."""
    seen: list[Seen] = []
    for block in body.split(b"\n\n")[:-1]:
        fields: dict[str, str] = {}
        for line in block.decode().split("\n"):
            name, _, value = line.partition(": ")
            if name and not line.startswith(":"):
                fields[name] = value
        if "data" in fields:
            data = orjson.loads(fields["data"])
            seen.append(Seen(fields.get("id"), fields.get("event", "message"), data))
    return seen


async def until(response: aiohttp.ClientResponse, needle: bytes) -> bytes:
    """Read a body until `needle` is in it; what was read."""
    body = b""
    while needle not in body:
        data = await response.content.readany()
        assert data, f"the body ended before {needle!r} came: {body!r}"
        body += data
    return body


async def becomes(condition: Callable[[], object], limit: float = 10) -> None:
    """Give the loop turns until `condition` holds; for facts that tell nobody when they change."""
    async with asyncio.timeout(limit):
        while not condition():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0)


@asynccontextmanager
async def served(
    *routes: web.RouteDef,
    max_body: int = 1024 * 1024,
    origins: Origins | None = None,
    shapes: Mapping[str, Shape] = NATIVE,
) -> AsyncIterator[str]:
    """The routes behind the service's own error handling; yields the base URL.

    `shapes`: as the rooms give them, whose errors have a shape of their own.
    """
    app = web.Application(middlewares=[typed_errors(shapes)], client_max_size=max_body)
    if origins is not None:
        origins.install(app)
    app.add_routes(routes)
    runner = Runner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


class Bench(NamedTuple):
    """A relay over one scripted provider, its address and a client session."""

    relay: Relay
    url: str
    session: aiohttp.ClientSession


@asynccontextmanager
async def native(provider: Scripted, **settings: float) -> AsyncIterator[Bench]:
    """The native routes over `provider`, known as openai."""
    relay = Relay(Store(ttl=600), deployment({"openai": provider}))
    routes = Native(relay, Streams.model_validate(settings)).routes()
    async with served(*routes) as url, aiohttp.ClientSession() as session:
        yield Bench(relay, url, session)


def body(text: str = "hi", **fields: object) -> dict[str, object]:
    """A native request to the scripted provider."""
    messages = [{"role": "user", "content": text}]
    return {"messages": messages, "model": "openai/auto", **fields}
