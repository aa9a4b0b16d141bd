"""Any beginning of a stream and the rest of it make the whole, over either transport or both."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson
import pytest

from tests.double.answer import reasoning, tool_call
from tests.double.script import reply
from tests.e2e import grammar
from tests.e2e.stack import Stack, heard, question, stack

Event = dict[str, Any]
Events = AsyncIterator[Event]

SCRIPT = reply(
    reasoning("Let me ", "see."),
    *(f"word{number} " for number in range(8)),
    tool_call("weather", '{"city":', '"Oslo"}'),
    between=0.002,
)


# --- The two transports ---------------------------------------------------------------------


@asynccontextmanager
async def sse(running: Stack, stream: str | None, after: int) -> AsyncIterator[Events]:
    """Start a stream, or go on with one after a sequence number, over SSE."""
    url = f"{running.url}/v1/streams"
    if stream is None:
        asked = running.client.post(url, json=question("claude/auto"))
    else:
        cursor = {"Last-Event-ID": f"{stream}:{after}"}
        asked = running.client.get(f"{url}/{stream}", headers=cursor)
    async with asked as response:
        yield _blocks(response)


async def _blocks(response: aiohttp.ClientResponse) -> Events:
    async for line in response.content:
        if line.startswith(b"data: "):
            yield orjson.loads(line[6:])


@asynccontextmanager
async def websocket(running: Stack, stream: str | None, after: int) -> AsyncIterator[Events]:
    """The same over a WebSocket."""
    async with running.client.ws_connect(f"{running.url}/v1/ws") as ws:
        await ws.send_json({"t": "init"})
        if stream is None:
            await ws.send_json({"t": "start", "id": "s", "request": question("claude/auto")})
        else:
            await ws.send_json({"t": "attach", "id": "s", "stream": stream, "after": after})
        yield heard(ws)


Transport = Callable[[Stack, str | None, int], Any]
TRANSPORTS: dict[str, Transport] = {"SSE": sse, "WebSocket": websocket}


@pytest.mark.parametrize("then", TRANSPORTS.values(), ids=[f"then {name}" for name in TRANSPORTS])
@pytest.mark.parametrize("first", TRANSPORTS.values(), ids=TRANSPORTS)
async def test_any_beginning_and_the_rest_make_the_whole(first: Transport, then: Transport) -> None:
    async with stack("claude") as running:
        running.double.default = SCRIPT
        whole = await _rest(running, first, None, -1)
        grammar.check(whole)
        kinds = [event["type"] for event in whole]

        async def broken_off(after: int) -> None:
            begun = await _beginning(running, first, after + 1)
            stream = begun[0]["stream"]
            rest = await _rest(running, then, stream, after)
            assert [event["seq"] for event in begun + rest] == list(range(len(whole)))
            assert [event["type"] for event in begun + rest] == kinds
            assert begun + rest == await _rest(running, sse, stream, -1)

        # All but the last event: after that one there is nothing left to get.
        async with asyncio.TaskGroup() as cuts:
            for after in range(len(whole) - 1):
                cuts.create_task(broken_off(after))


async def _beginning(running: Stack, transport: Transport, count: int) -> list[Event]:
    """Start a stream and leave after so many events."""
    begun: list[Event] = []
    async with transport(running, None, -1) as events:
        async for event in events:
            begun.append(event)
            if len(begun) == count:
                break
    return begun


async def _rest(
    running: Stack, transport: Transport, stream: str | None, after: int
) -> list[Event]:
    async with transport(running, stream, after) as events:
        return [event async for event in events]


async def test_after_the_last_event_there_is_nothing_more() -> None:
    async with stack("claude") as running:
        told = await running.ask("claude/auto", SCRIPT)
        address = f"{running.url}/v1/streams/{told.stream}"
        last = {"Last-Event-ID": f"{told.stream}:{told.end['seq']}"}
        async with running.client.get(address, headers=last) as response:
            assert response.status == 204
