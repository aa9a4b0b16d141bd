"""Clients that leave, clients that cancel, and many at once: nothing of them is left anywhere."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Literal

import orjson
import pytest

from tests.double.script import Script, reply
from tests.double.seen import Seen
from tests.double.steps import Gate, Wait
from tests.e2e.stack import ONE_OF_EACH, Stack, Told, question, read, stack
from tests.service.http.serving import until

one_of_each = pytest.mark.parametrize("name", ONE_OF_EACH)

AT_ONCE = 1.0  # seconds
"""Until the provider sees that its client left; measured: 1 ms. The bench prints it."""

MOMENTS: Mapping[str, Callable[[Gate], Script]] = {
    "before the headers": lambda gate: reply("Hel", "lo", before_headers=Wait(gate)),
    "before the first token": lambda gate: reply(Wait(gate), "Hel", "lo"),
    "amid the answer": lambda gate: reply("Hel", Wait(gate), "lo"),
}
at_each_moment = pytest.mark.parametrize("script", MOMENTS.values(), ids=MOMENTS)

How = Literal["closes", "resets"]


@asynccontextmanager
async def a_client(
    stack: Stack, path: str, body: Mapping[str, object], *, accept: str = "*/*"
) -> AsyncIterator[asyncio.StreamWriter]:
    """A client that has sent its request and has not read anything; it is gone at the end."""
    host, _, port = stack.url.removeprefix("http://").partition(":")
    _, writer = await asyncio.open_connection(host, int(port))
    content = orjson.dumps(body)
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nAccept: {accept}\r\n"
    writer.write(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
    yield writer
    if not writer.transport.is_closing():
        writer.close()
    await writer.wait_closed()


async def leaves(writer: asyncio.StreamWriter, how: How) -> float:
    """Leave, and when that was."""
    if how == "closes":
        writer.close()
    else:
        writer.transport.abort()
    return asyncio.get_running_loop().time()


async def record(stack: Stack) -> Told:
    """What the only stream there is says in the end."""
    (stream,) = stack.streams
    return await stack.fetch(stream.id)


# --- Leaving --------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["closes", "resets"])
@at_each_moment
@one_of_each
async def test_a_client_that_leaves_takes_the_generation_with_it_where_it_said_so(
    name: str, script: Callable[[Gate], Script], how: How, alone: Stack
) -> None:
    gate = Gate()
    alone.double.script(script(gate))
    body = question(f"{name}/auto", on_disconnect="cancel_after:0")
    async with a_client(alone, "/v1/streams", body) as client:
        seen = await alone.double.seen(1)
        await gate.reached()
        left = await leaves(client, how)
        assert await seen.left() - left < AT_ONCE
    told = await record(alone)
    assert (told.end["status"], told.end["finish"]) == ("cancelled", "cancelled")
    assert told.text in ("", "Hel")
    await alone.double.deserted()


@at_each_moment
@one_of_each
async def test_a_client_that_leaves_an_answer_to_go_on_finds_it_whole(
    name: str, script: Callable[[Gate], Script], alone: Stack
) -> None:
    gate = Gate()
    alone.double.script(script(gate))
    async with a_client(alone, "/v1/streams", question(f"{name}/auto")) as client:
        seen = await alone.double.seen(1)
        await gate.reached()
        await leaves(client, "closes")
    gate.open()
    told = await record(alone)
    assert (told.text, told.end["status"]) == ("Hello", "completed")
    assert seen.finished


IMPATIENT: Mapping[str, tuple[str, Mapping[str, object], str]] = {
    "a JSON answer": ("/v1/streams", question("groq/auto"), "application/json"),
    "the coordination API": (
        "/api/coordination/llm/generate",
        {"messages": [{"role": "user", "content": "Hi"}], "provider": "groq"},
        "*/*",
    ),
    "the coordination API's test": ("/api/coordination/llm/test", {"provider": "groq"}, "*/*"),
}


@pytest.mark.parametrize("asked", IMPATIENT.values(), ids=IMPATIENT)
@at_each_moment
async def test_an_answer_that_only_its_caller_could_get_ends_when_the_caller_leaves(
    script: Callable[[Gate], Script], asked: tuple[str, Mapping[str, object], str]
) -> None:
    path, body, accept = asked
    gate = Gate()
    async with stack("groq") as running:
        running.double.script(script(gate))
        async with a_client(running, path, body, accept=accept) as client:
            seen = await running.double.seen(1)
            await gate.reached()
            left = await leaves(client, "closes")
            assert await seen.left() - left < AT_ONCE
        assert (await record(running)).end["status"] == "cancelled"
        await running.double.deserted()


@at_each_moment
async def test_a_websocket_that_closes_takes_along_what_it_said_to_cancel(
    script: Callable[[Gate], Script],
) -> None:
    stays, goes = Gate(), Gate()
    async with stack("groq", "claude") as running:
        gates = {"messages": stays, "chat": goes}
        running.double.choose(lambda seen: script(gates[_api(seen)]))
        async with running.client.ws_connect(f"{running.url}/v1/ws") as ws:
            await ws.send_json({"t": "init"})
            await ws.send_json({"t": "start", "id": "a", "request": question("claude/auto")})
            await ws.send_json(
                {
                    "t": "start",
                    "id": "b",
                    "request": question("groq/auto"),
                    "on_disconnect": "cancel_after:0",
                }
            )
            await stays.reached()
            await goes.reached()
        (cancelled,) = [seen for seen in running.double.requests if _api(seen) == "chat"]
        await cancelled.left()
        stays.open()
        told = [await running.fetch(stream.id) for stream in running.streams]
        assert sorted(one.end["status"] for one in told) == ["cancelled", "completed"]
        assert "Hello" in {one.text for one in told}


def _api(seen: Seen) -> str:
    assert seen.route is not None
    return seen.route.api


# --- Cancelling -----------------------------------------------------------------------------


@at_each_moment
@one_of_each
async def test_cancelling_closes_the_provider_s_connection_and_ends_the_stream(
    name: str, script: Callable[[Gate], Script], alone: Stack
) -> None:
    gate = Gate()
    alone.double.script(script(gate))
    asked = question(f"{name}/auto", open_early_ms=0)
    async with alone.post(asked) as response:
        await gate.reached()
        stream = response.headers["Tailrace-Stream-Id"]
        async with alone.client.post(f"{alone.url}/v1/streams/{stream}/cancel") as answer:
            assert answer.status == 202
        told = await read(response)
    assert (told.end["status"], told.end["error"]["code"]) == ("cancelled", "cancelled")
    seen = await alone.double.seen(1)
    await seen.left()
    await alone.double.deserted()


# --- Many at once ---------------------------------------------------------------------------

MANY = 200
WORDS = 40


async def test_two_hundred_streams_at_once_each_get_their_own_whole_text() -> None:
    async with stack(*ONE_OF_EACH) as running:
        running.double.choose(_its_own)
        answers = await asyncio.gather(*(_asked(running, number) for number in range(MANY)))
        assert running.double.accepted <= MANY
    for number, told in enumerate(answers):
        assert told.end["status"] == "completed"
        assert told.end["provider"] == ONE_OF_EACH[number % len(ONE_OF_EACH)]
        assert told.text == "".join(_words(number))


async def test_two_hundred_clients_that_leave_at_once_leave_nothing() -> None:
    gate = Gate()
    async with stack(*ONE_OF_EACH) as running:
        running.double.default = reply("Hel", Wait(gate), "lo")
        async with asyncio.TaskGroup() as clients:
            for number in range(MANY):
                clients.create_task(_left(running, number))
        await running.double.deserted()
    assert len(running.double.requests) == MANY
    assert {seen.ending for seen in running.double.requests} == {"left"}


def _words(number: int) -> list[str]:
    return [f"{number}.{word} " for word in range(WORDS)]


def _its_own(seen: Seen) -> Script:
    match = re.search(rb"stream number (\d+)", orjson.dumps(seen.body))
    assert match is not None
    return reply(*_words(int(match[1])), between=0.005)


async def _asked(running: Stack, number: int) -> Told:
    model = f"{ONE_OF_EACH[number % len(ONE_OF_EACH)]}/auto"
    messages = [{"role": "user", "content": f"This is stream number {number}"}]
    async with running.post({"messages": messages, "model": model}) as response:
        return await read(response)


async def _left(running: Stack, number: int) -> None:
    model = f"{ONE_OF_EACH[number % len(ONE_OF_EACH)]}/auto"
    async with running.post(question(model, on_disconnect="cancel_after:0")) as response:
        await until(response, b'"delta":"Hel"')
        response.close()
