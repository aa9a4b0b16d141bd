"""The Responses routes on a real socket over scripted providers, and OpenAI's own client."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import aiohttp
import orjson
from openai import AsyncOpenAI

from service.http.responses import ResponsesRoutes
from service.http.responses_ws import ResponsesSockets
from service.relay import Relay
from service.settings import Streams, Websocket
from service.streams.store import Store
from tests.service.http.serving import served
from tests.service.scripted import DONE, Piece, Scripted, deployment

MODEL = "openai/auto"


class Bench(NamedTuple):
    """The service, OpenAI's client for it, and a bare one."""

    relay: Relay
    routes: ResponsesRoutes
    client: AsyncOpenAI
    session: aiohttp.ClientSession
    url: str


@asynccontextmanager
async def responding(
    provider: Scripted, *, max_events: int = 1_000, relay: Relay | None = None
) -> AsyncIterator[Bench]:
    """The routes over `provider`, known as openai; `max_events`: what is kept of a stream.

    `relay`: one that has its providers already.
    """
    if relay is None:
        relay = Relay(Store(ttl=600), deployment({"openai": provider}), max_events=max_events)
    routes = ResponsesRoutes(relay, Streams())
    sockets = ResponsesSockets(relay, routes.earlier, Websocket(), Streams())
    async with (
        served(*routes.routes(), *sockets.routes(), shapes=routes.shapes()) as url,
        AsyncOpenAI(base_url=f"{url}/v1", api_key="test-key-none", max_retries=0) as client,
        aiohttp.ClientSession() as session,
    ):
        yield Bench(relay, routes, client, session, f"{url}/v1/responses")


def calling(call: str, name: str, arguments: str) -> list[Piece]:
    """An answer that is one tool call."""
    function = {"name": name, "arguments": arguments}
    delta = {"tool_calls": [{"index": 0, "id": call, "type": "function", "function": function}]}
    chunks = [
        {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]},
    ]
    head = {"id": "chatcmpl-1", "model": "m-1"}
    return [*(b"data: " + orjson.dumps(head | chunk) + b"\n\n" for chunk in chunks), DONE]
