"""Two service processes on one Redis: what one starts, the other resumes, cancels and ends."""

import asyncio
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
import pytest_asyncio

from service.settings import Settings, Streams
from tests.double.script import reply
from tests.double.server import Double
from tests.double.steps import Gate, Wait
from tests.e2e import grammar
from tests.e2e.process import Served, serving, starting
from tests.e2e.stack import heard, question, read, speaks, stack, variables
from tests.service.http.serving import parsed, until
from tests.service.usage.servers import Server, binary

pytestmark = pytest.mark.asyncio(loop_scope="module")

Answer = AbstractAsyncContextManager[aiohttp.ClientResponse]


@dataclass(slots=True)
class Pair:
    """Two processes and one to be killed, their providers' double and a client."""

    one: Served
    other: Served
    doomed: Served
    redis: str
    """Its URL."""

    double: Double
    client: aiohttp.ClientSession

    def start(self, served: Served, **headers: str) -> Answer:
        """Start a stream."""
        body = question("openai/auto", open_early_ms=0)
        return self.client.post(f"{served.url}/v1/streams", json=body, headers=headers)

    def resume(self, served: Served, stream: str, after: int, **headers: str) -> Answer:
        """Go on with a stream."""
        params = {"after": after}
        url = f"{served.url}/v1/streams/{stream}"
        return self.client.get(url, params=params, headers=headers)


@asynccontextmanager
async def process(folder: Path, environ: Mapping[str, str]) -> AsyncIterator[Served]:
    """One of them, with a folder of its own."""
    await asyncio.to_thread(folder.mkdir)
    async with serving(folder, environ=environ) as served:
        yield served


# Starting them takes seconds, so the tests share two and kill a third one.
@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pair(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pair]:
    folder = tmp_path_factory.mktemp("pair")
    async with AsyncExitStack() as entered:
        server = await Server(binary("valkey"), folder / "r").start()
        entered.push_async_callback(server.kill)
        double = await entered.enter_async_context(Double(speaks=speaks))
        redis = f"unix://{server.address.path}"
        environ = variables(double.url, ["openai"]) | {"REDIS_URL": redis}
        client = await entered.enter_async_context(aiohttp.ClientSession())
        one, other, third = [
            await entered.enter_async_context(process(folder / name, environ))
            for name in ("one", "other", "third")
        ]
        yield Pair(one, other, third, redis, double, client)


def numbers(body: bytes) -> list[int]:
    return [seen.data["seq"] for seen in parsed(body)]


def entries(body: bytes) -> bytes:
    """An SSE body without what is for this one connection."""
    blocks = body.split(b"\n\n")
    return b"\n\n".join(
        b"\n".join(line for line in block.split(b"\n") if not line.startswith((b"retry:", b":")))
        for block in blocks
    )


async def test_a_stream_that_one_has_started_goes_on_at_the_other_byte_for_byte(pair: Pair) -> None:
    gate = Gate()
    pair.double.script(reply("Hel", Wait(gate), "lo", " there"))
    async with pair.start(pair.one) as response:
        stream = response.headers["Tailrace-Stream-Id"]
        begun = await until(response, b'"delta":"Hel"')
    first = entries(begun[: begun.rindex(b"\n\n") + 2])
    last = numbers(first)[-1]
    async with pair.resume(pair.other, stream, last) as response:
        gate.open()
        rest = entries(await response.read())
    async with pair.resume(pair.one, stream, -1) as response:
        whole = entries(await response.read())
    assert first + rest == whole
    assert numbers(whole) == list(range(len(numbers(whole))))
    grammar.check([seen.data for seen in parsed(whole)])

    # Over, it is read there in every form that there is.
    async with pair.resume(pair.other, stream, -1, Accept="application/json") as response:
        there = await response.json()
    async with pair.resume(pair.one, stream, -1, Accept="application/json") as response:
        assert await response.json() == there
    assert there["content"] == "Hello there"
    async with pair.resume(pair.other, stream, numbers(whole)[-1]) as response:
        assert response.status == 204


async def test_a_websocket_of_the_other_follows_and_cancels(pair: Pair) -> None:
    gate = Gate()
    pair.double.script(reply("Hel", Wait(gate), "lo"))
    async with (
        pair.start(pair.one) as response,
        pair.client.ws_connect(f"{pair.other.url}/v1/ws") as ws,
    ):
        stream = response.headers["Tailrace-Stream-Id"]
        begun = await until(response, b'"delta":"Hel"')
        await ws.send_json({"t": "init"})
        await ws.send_json({"t": "attach", "id": "a", "stream": stream, "after": -1})
        await ws.send_json({"t": "cancel", "id": "a", "reason": "enough"})
        events = [event async for event in heard(ws)]
        begun += await response.read()
    assert events == [seen.data for seen in parsed(begun)]
    assert (events[-1]["status"], events[-1]["error"]["code"]) == ("cancelled", "cancelled")
    grammar.check(events)


async def test_a_stream_is_cancelled_at_the_other(pair: Pair) -> None:
    pair.double.script(reply("Hel", Wait(Gate()), "lo"))
    async with pair.start(pair.one) as response:
        stream = response.headers["Tailrace-Stream-Id"]
        begun = await until(response, b'"delta":"Hel"')
        async with pair.client.post(f"{pair.other.url}/v1/streams/{stream}/cancel") as cancelled:
            assert cancelled.status == 202
            assert await cancelled.json() == {"id": stream, "status": "cancelled"}
        begun += await response.read()
    assert parsed(begun)[-1].data["status"] == "cancelled"
    async with pair.client.get(f"{pair.other.url}/v1/streams/st_none") as response:
        assert response.status == 404


async def test_one_key_at_both_at_once_generates_once(pair: Pair) -> None:
    pair.double.default = reply("one", " answer")
    key: dict[str, str] = {}
    for number in range(5):
        key = {"Idempotency-Key": f"k-{number}"}
        before = len(pair.double.requests)

        async def told(served: Served, headers: dict[str, str] = key) -> tuple[str, list[Any]]:
            async with pair.start(served, **headers) as response:
                answer = await read(response)
                return answer.stream, answer.events

        first, second = await asyncio.gather(told(pair.one), told(pair.other))
        assert first == second
        assert len(pair.double.requests) == before + 1
    body = question("openai/auto", temperature=0.5)
    for served in (pair.one, pair.other):
        async with pair.client.post(f"{served.url}/v1/streams", json=body, headers=key) as response:
            assert response.status == 409


async def test_a_killed_process_stream_ends_honestly_for_who_follows_it_elsewhere(
    pair: Pair,
) -> None:
    pair.double.script(reply("Hel", Wait(Gate()), "lo"))
    async with pair.start(pair.doomed) as response:
        stream = response.headers["Tailrace-Stream-Id"]
        await until(response, b'"delta":"Hel"')
        async with pair.resume(pair.other, stream, -1) as followed:
            begun = await until(followed, b'"delta":"Hel"')
            pair.doomed.tell(signal.SIGKILL)
            rest = await followed.read()
    events = [seen.data for seen in parsed(begun + rest)]
    grammar.check(events)
    last = events[-1]
    assert (last["status"], last["finish"]) == ("failed", "interrupted")
    assert last["error"]["code"] == "stream_interrupted"
    async with pair.resume(pair.other, stream, -1) as response:
        assert [seen.data for seen in parsed(await response.read())] == events


async def test_a_stream_that_a_drain_ends_is_told_so_where_it_is_followed_elsewhere(
    pair: Pair, tmp_path: Path
) -> None:
    pair.double.script(reply("Hel", Wait(Gate()), "lo"))
    environ = variables(pair.double.url, ["openai"]) | {
        "REDIS_URL": pair.redis,
        "TAILRACE_SERVER__DRAIN_S": "0.1",
    }
    async with process(tmp_path / "drained", environ) as drained:
        async with pair.start(drained) as response:
            stream = response.headers["Tailrace-Stream-Id"]
            await until(response, b'"delta":"Hel"')
        async with pair.resume(pair.other, stream, -1) as followed:
            begun = await until(followed, b'"delta":"Hel"')
            drained.tell(signal.SIGTERM)
            events = [seen.data for seen in parsed(begun + await followed.read())]
        assert await drained.ends() == 0
    grammar.check(events)
    assert events[-1]["error"]["code"] == "draining"


@pytest.fixture(scope="module")
def resume_url(pair: Pair) -> dict[str, str]:
    """The environment in which streams, and nothing else, are on the pair's Redis."""
    return {"RESUME_REDIS_URL": pair.redis}


async def test_what_is_shared_leaves_nothing_behind(resume_url: dict[str, str]) -> None:
    async with stack("openai", environ=resume_url) as here:
        told = await here.ask("openai/auto", reply("Hello", " there"))
        async with stack("openai", environ=resume_url) as there:
            assert (await there.fetch(told.stream)).events == told.events


async def test_what_is_come_back_to_elsewhere_leaves_nothing_behind(
    resume_url: dict[str, str],
) -> None:
    asked = {"model": "openai/auto", "input": "2+2?"}
    parts = [{"type": "text", "text": "Hi"}]
    chat = {"id": "c1", "messages": [{"id": "m", "role": "user", "parts": parts}]}
    async with stack("openai", environ=resume_url) as here:
        here.double.script(reply("Four."), reply("Hello"))
        async with here.client.post(f"{here.url}/v1/responses", json=asked) as response:
            first = (await response.json())["id"]
        async with here.client.post(f"{here.url}/api/chat", json=chat) as response:
            assert b"Hello" in await response.read()
        async with stack("openai", environ=resume_url) as there:
            there.double.script(reply("Eight."))
            more = {**asked, "input": "twice?", "previous_response_id": first}
            async with there.client.post(f"{there.url}/v1/responses", json=more) as response:
                assert (await response.json())["status"] == "completed"
            sent = orjson.dumps(there.double.requests[-1].body)
            assert b"2+2?" in sent
            assert b"Four." in sent
            async with there.client.get(f"{there.url}/api/chat/c1/stream") as again:
                assert again.status == 204
            at = await there.service.relay.store.chats.find("c1")
    assert at is not None
    assert at.told


async def test_streams_stay_in_their_process_where_they_are_not_to_be_shared(
    resume_url: dict[str, str],
) -> None:
    apart = Settings(streams=Streams(shared=False))
    async with stack("openai", environ=resume_url, settings=apart) as here:
        told = await here.ask("openai/auto", reply("Hello"))
        async with stack("openai", environ=resume_url) as there:
            assert (await there.fetch(told.stream)).status == 404


async def test_a_redis_for_streams_that_cannot_be_is_refused(tmp_path: Path) -> None:
    environ = {"RESUME_REDIS_URL": "http://127.0.0.1"}
    async with starting(tmp_path, environ=environ) as served:
        assert await served.ends() == 2
    assert "RESUME_REDIS_URL: must begin with one of redis," in "".join(served.log)
