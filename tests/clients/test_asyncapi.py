"""Frames of real sessions, both ways, held against /asyncapi.json: each kind at least once.

Who speaks: a client of the native sub-protocol, OpenAI's SDK and the AI SDK's transport, all of
them through a line that writes down what is said.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from jsonschema import Draft7Validator
from openai import AsyncOpenAI

from service.settings import Settings, Streams, Websocket
from tests.clients.nodes import program
from tests.clients.overheard import Overheard, Side
from tests.double.answer import reasoning, tool_call
from tests.double.errors import Kind
from tests.double.script import http_error, reply
from tests.double.steps import Cut, Gate, Wait
from tests.e2e.stack import Stack, question, stack
from tests.service.http.serving import becomes

WEATHER = {"type": "function", "name": "weather", "parameters": {"type": "object"}}


# --- The document ---------------------------------------------------------------------------


class Described:
    """The messages of one channel, as the service publishes them."""

    def __init__(self, document: dict[str, Any], address: str) -> None:
        self._channel = next(
            channel for channel in document["channels"].values() if channel["address"] == address
        )
        self._components = document["components"]

    def frames(self, side: Side) -> dict[str, Draft7Validator]:
        """By name, what one side may say."""
        return {
            key.removeprefix(f"{side}."): Draft7Validator(
                message["payload"] | {"components": self._components}
            )
            for key, message in self._channel["messages"].items()
            if key.startswith(f"{side}.")
        }

    def check(self, side: Side, said: Iterable[dict[str, Any]], called: "Called") -> None:
        """Each is a frame of its name and of no other, and every name was heard."""
        frames, heard = self.frames(side), Counter[str]()
        for frame in said:
            name = called(frame)
            assert name in frames, f"the document knows no {name} of the {side}'s"
            wrong = [
                f"{error.json_path}: {error.message}" for error in frames[name].iter_errors(frame)
            ]
            assert wrong == [], frame
            if heard[name] == 0:
                others = [other for other in frames if other != name]
                assert not any(frames[other].is_valid(frame) for other in others), frame
            heard[name] += 1
        assert set(heard) == set(frames), f"of the {side}'s frames some were not heard"


class Called:
    """What a frame is called in the document."""

    def __init__(self, field: str, *, events: bool = False) -> None:
        """`field`: where it says so; `events`: what has none of its own is an event."""
        self._field = field
        self._events = events

    def __call__(self, frame: dict[str, Any]) -> str:
        name: str = frame[self._field]
        return "event" if self._events and name.startswith("response.") else name


@dataclass(slots=True)
class Bench:
    """A service, its document, and the line to its sockets."""

    running: Stack
    document: dict[str, Any]
    line: Overheard

    def check(self, address: str, of_client: Called, of_server: Called) -> None:
        channel = Described(self.document, address)
        channel.check("client", self.line.of(address, "client"), of_client)
        channel.check("server", self.line.of(address, "server"), of_server)


@asynccontextmanager
async def bench(*providers: str, settings: Settings | None = None) -> AsyncIterator[Bench]:
    async with stack(*providers, settings=settings) as running:
        async with running.client.get(f"{running.url}/asyncapi.json") as response:
            document = await response.json()
        async with Overheard(running.url) as line:
            yield Bench(running, document, line)


# --- The native sub-protocol ----------------------------------------------------------------


class Client:
    """One socket of the native sub-protocol."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self._ws = ws

    async def say(self, t: str, **fields: object) -> None:
        await self._ws.send_json({"t": t, **fields})

    async def until(self, t: str) -> dict[str, Any]:
        """The next frame of that name; what comes before it is passed over."""
        while True:
            frame: dict[str, Any] = await self._ws.receive_json(timeout=10)
            if frame["t"] == t:
                return frame

    async def asks(self, name: str, **fields: object) -> str:
        """Start a stream; its id."""
        await self.say("start", id=name, request=question("openai/auto"), **fields)
        stream: str = (await self.until("started"))["stream"]
        return stream

    async def closes(self) -> int | None:
        async for _ in self._ws:
            pass
        return self._ws.close_code


@asynccontextmanager
async def native(b: Bench, **accept: bool) -> AsyncIterator[Client]:
    async with b.running.client.ws_connect(
        f"{b.line.url}/v1/ws", protocols=("tailrace.stream.v1",)
    ) as ws:
        client = Client(ws)
        about = {"client": {"name": "a test", "version": "1"}, "auth": {"scheme": "bearer"}}
        await client.say("init", accept=accept, **about)
        await client.until("ready")
        yield client


async def starts_and_resumes(b: Bench) -> None:
    """A start, acknowledgements, and the same again: joined, batched, and from a snapshot."""
    words = [f"word{number} " for number in range(300)]
    b.running.double.script(reply(reasoning("Let me ", "see."), *words, tool_call("weather", "{}")))
    async with native(b, coalesce=True) as client:
        stream = await client.asks("a", idempotency_key="once", on_disconnect="cancel_after:5")
        await client.say("ack", id="a", seq=3)
        await client.until("end")
        for coalesce in (True, False):
            async with native(b, coalesce=coalesce) as late:
                await late.say("attach", id="b", stream=stream, after=300, window=1024)
                await late.until("evs")
                await late.say("ack", id="b", seq=400)
                await late.until("end")
        await client.say("attach", id="c", stream=stream, after=-1)
        assert (await client.until("ev"))["e"]["type"] == "stream.snapshot"
        await client.until("end")


async def stops(b: Bench) -> None:
    """A cancel and a detach."""
    async with native(b) as client:
        for word in ("cancel", "detach"):
            gate = Gate()
            b.running.double.script(reply("Hello ", Wait(gate), "you."))
            await client.asks(word)
            await gate.reached()
            await client.say(word, id=word)
            await client.until("end")
            gate.open()


async def goes_wrong(b: Bench) -> None:
    """Errors of an id, a provider that fails, and one that breaks."""
    b.running.double.script(http_error(Kind.OVERLOADED), reply("Half ", Cut()))
    async with native(b) as client:
        await client.say("attach", id="a", stream="st_none", after=-1)
        assert (await client.until("err"))["id"] == "a"
        await client.say("start", id="a", request=question("qwen/auto"))
        assert (await client.until("err"))["error"]["code"] == "no_candidates"
        for name in ("fails", "breaks"):
            fields = {"fallback": False, "after_commit": "fail"}
            request = question("openai/auto", **fields)
            await client.say("start", id=name, request=request)
            await client.until("end")


async def is_slow(b: Bench) -> None:
    """A stream that waits for credit for too long, beside one that does not."""
    b.running.double.script(reply(*["w" * 100] * 20), reply(*["w" * 100] * 20))
    async with native(b) as client:
        for name in ("a", "b"):
            request = question("openai/auto")
            await client.say("start", id=name, window=1, request=request)
        assert (await client.until("end"))["reason"] == "slow_consumer"


async def is_silent(b: Bench) -> None:
    """Pings of both sides."""
    async with native(b) as client:
        await client.say("ping", ts=1)
        await client.until("pong")
        await client.say("ping")
        await client.until("pong")
        await client.say("pong", ts=(await client.until("ping"))["ts"])


async def is_drained(b: Bench) -> None:
    """A goaway, behind which what runs still ends."""
    gate = Gate()
    b.running.double.script(reply("Hello ", Wait(gate), "you."))
    async with native(b) as client, asyncio.TaskGroup() as group:
        await client.asks("a")
        await gate.reached()
        group.create_task(b.running.service.drain())
        await client.until("goaway")
        await client.say("start", id="late", request=question("openai/auto"))
        assert (await client.until("err"))["error"]["code"] == "draining"
        gate.open()
        await client.until("end")
        assert await client.closes() == 1012


async def test_every_native_frame_is_as_it_is_described() -> None:
    settings = Settings(
        websocket=Websocket(heartbeat_s=1),
        streams=Streams(slow_reader_s=0.1, max_events=200),
    )
    async with bench("openai", settings=settings) as b:
        for session in (starts_and_resumes, stops, goes_wrong, is_slow, is_silent, is_drained):
            await session(b)
        frame = Called("t")
        b.check("/v1/ws", frame, frame)
        joined = [
            each
            for said in b.line.of("/v1/ws", "server")
            if said["t"] == "evs"
            for each in said["e"]
        ]
        assert any("seq_first" in event for event in joined)


# --- The Responses API ----------------------------------------------------------------------


async def test_every_frame_of_a_responses_socket_is_as_it_is_described() -> None:
    async with bench("openai", "claude") as b:
        b.running.double.on_provider(
            "openai", reply("Hello ", "you."), reply(tool_call("weather", "{}"))
        )
        b.running.double.on_provider(
            "claude", reply(reasoning("Let me ", "see."), "No."), reply("Half", Cut())
        )
        async with (
            AsyncOpenAI(api_key="test-key-client", base_url=f"{b.line.url}/v1") as client,
            client.responses.connect() as line,
        ):
            for model, more in (
                ("openai/auto", {}),
                ("openai/auto", {"tools": [WEATHER], "stream_id": "one"}),
                ("claude/auto", {"reasoning": {"effort": "low"}, "stream_id": "two"}),
                ("claude/auto", {"metadata": {"tailrace_use_case": "analysis"}}),
                ("openai/auto", {"previous_response_id": "resp_none"}),
                ("openai/auto", {"generate": False, "stream_id": "one"}),
            ):
                await line.response.create(model=model, input="Is it cold?", **more)
                async for event in line:
                    if event.type in {"error", "response.completed", "response.failed"}:
                        break
        b.check("/v1/responses", Called("type"), Called("type", events=True))
        told = Counter(frame["type"] for frame in b.line.of("/v1/responses", "server"))
        assert (told["response.completed"], told["response.failed"], told["error"]) == (4, 1, 1)


# --- The AI SDK's chat ----------------------------------------------------------------------


async def test_every_frame_of_the_chats_socket_is_as_it_is_described() -> None:
    gate = Gate()
    async with (
        bench("openai", "claude") as b,
        program("chat", "websocket", b.line.url) as chat,
    ):
        await chat.do("open", id="chat-1", body={"model": "claude/auto"})
        await chat.do("resume")
        await chat.do("settled")
        b.running.double.script(
            reply(reasoning("Let me ", "see."), "Hello ", "you.", tool_call("weather", "{}")),
            reply("Hello ", "again", Wait(gate), "."),
            reply("Half ", Cut()),
        )
        await chat.do("send", text="Hi")
        await chat.do("settled")
        await chat.do("open", id="chat-2", body={"model": "claude/auto"})
        await chat.do("send", text="Go on")
        await chat.do("shows", text="Hello again")
        await chat.do("stop")
        await becomes(lambda: not b.running.service.relay.store.live)
        await chat.do("open", id="chat-3", body={"after_commit": "fail"})
        await chat.do("send", text="Once more")
        await chat.do("settled")
        await chat.do("open", id="chat-4", body={"temperature": "hot"})
        await chat.do("send", text="Hi")
        await chat.do("settled")
        frame = Called("type")
        b.check("/api/chat/ws", frame, frame)


@pytest.mark.parametrize(("address", "tag"), [("/v1/ws", "t"), ("/api/chat/ws", "type")])
async def test_a_frame_that_is_not_described_or_not_heard_is_noticed(
    address: str, tag: str
) -> None:
    async with bench("openai") as b:
        channel = Described(b.document, address)
    with pytest.raises(AssertionError, match="knows no gossip"):
        channel.check("server", [{tag: "gossip"}], Called(tag))
    with pytest.raises(AssertionError, match="were not heard"):
        channel.check("server", [], Called(tag))
