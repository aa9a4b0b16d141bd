"""The Responses API's WebSocket, on real sockets."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from openai import AsyncOpenAI

from adapters.errors import UpstreamError, make
from adapters.events import ErrorCode
from service.http.earlier_responses import EarlierResponses
from service.http.responses import ResponsesRoutes
from service.http.responses_ws import WARM, ResponsesSockets
from service.relay import Relay
from service.settings import Streams, Websocket
from service.streams.store import Store
from tests.double.steps import Gate
from tests.service.http.responding import MODEL
from tests.service.http.serving import served
from tests.service.scripted import Scripted, chat, deployment

CUT = UpstreamError(make(ErrorCode.STREAM_INTERRUPTED, "the connection was reset"))
REFUSED = UpstreamError(make(ErrorCode.UPSTREAM_CONNECT, "refused"))


class Line:
    """One socket, as a client without an SDK has it."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self.ws = ws

    async def create(self, **fields: object) -> None:
        await self.ws.send_json(
            {"type": "response.create", "model": MODEL, "input": "hi", **fields}
        )

    async def told(self) -> list[dict[str, Any]]:
        """Frames up to the last one of a response, or an error."""
        frames: list[dict[str, Any]] = []
        while True:
            frames.append(await self.ws.receive_json(timeout=5))
            if frames[-1]["type"] in {
                "error",
                "response.completed",
                "response.failed",
                "response.incomplete",
            }:
                return frames

    async def answered(self, **fields: object) -> dict[str, Any]:
        """The last frame of a request."""
        await self.create(**fields)
        return (await self.told())[-1]


class Bench:
    """The route over one provider."""

    def __init__(
        self, relay: Relay, room: ResponsesSockets, url: str, session: aiohttp.ClientSession
    ) -> None:
        self.relay = relay
        self.room = room
        self.url = url
        self.session = session

    @asynccontextmanager
    async def line(self, **headers: str) -> AsyncIterator[Line]:
        async with self.session.ws_connect(f"{self.url}/v1/responses", headers=headers) as ws:
            yield Line(ws)


@asynccontextmanager
async def sockets(provider: Scripted, **limits: float) -> AsyncIterator[Bench]:
    relay = Relay(Store(ttl=600), deployment({"openai": provider}))
    room = ResponsesSockets(
        relay, EarlierResponses(relay), Websocket.model_validate(limits), Streams()
    )
    shapes = ResponsesRoutes(relay, Streams()).shapes()
    async with (
        served(*room.routes(), shapes=shapes) as url,
        aiohttp.ClientSession() as session,
    ):
        yield Bench(relay, room, url, session)


async def test_openai_s_client_is_answered_and_goes_on_from_its_answer() -> None:
    provider = Scripted(*chat("Hel", "lo"))
    async with (
        sockets(provider) as bench,
        AsyncOpenAI(base_url=f"{bench.url}/v1", api_key="test-key-none") as client,
        client.responses.connect() as line,
    ):
        previous = None
        for _ in range(2):
            more = {} if previous is None else {"previous_response_id": previous}
            await line.response.create(model=MODEL, input="hi", store=False, **more)
            async for event in line:
                if event.type == "response.completed":
                    assert event.response.output_text == "Hello"
                    previous = event.response.id
                    break
    said = provider.sent[-1].body["messages"]
    assert [one["role"] for one in said] == ["user", "assistant", "user"]


async def test_the_frames_are_the_events_of_the_stream_numbered_from_0() -> None:
    async with sockets(Scripted(*chat("a"))) as bench, bench.line() as line:
        await line.create()
        frames = await line.told()
    assert [frame["sequence_number"] for frame in frames] == list(range(len(frames)))
    assert frames[0]["type"] == "response.created"
    assert frames[-1]["response"]["status"] == "completed"
    assert all("stream_id" not in frame for frame in frames)


async def test_lanes_run_side_by_side_and_each_in_its_order() -> None:
    gate = Gate()
    provider = Scripted(*chat("a", gate))
    async with sockets(provider) as bench, bench.line() as line:
        await line.create(stream_id="one")
        await asyncio.wait_for(gate.reached(), 5)
        provider.pieces = chat("b")
        await line.create(stream_id="one")
        assert (await line.ws.receive_json(timeout=5))["stream_id"] == "one"
        await line.create(stream_id="two")
        frames = []
        while not frames or frames[-1]["type"] != "response.completed":
            frames.append(await line.ws.receive_json(timeout=5))
        assert frames[-1]["stream_id"] == "two"
        gate.open()
        firsts = [(await line.told())[-1]["response"]["output"][0]["content"] for _ in range(2)]
    assert [parts[0]["text"] for parts in firsts] == ["a", "b"]


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ('{"type": "response.steer"}', "type"),
        ("{", None),
        ("[]", None),
        ('{"type": "response.create", "stream_id": 7}', "stream_id"),
        (f'{{"type": "response.create", "stream_id": "{"n" * 257}"}}', "stream_id"),
        ('{"type": "response.create", "input": "x", "generate": "x"}', "generate"),
        ('{"type": "response.create", "model": "m"}', "input"),
    ],
)
async def test_what_cannot_be_served_is_told_and_the_socket_stays(
    message: str, param: str | None
) -> None:
    async with sockets(Scripted(*chat("a"))) as bench, bench.line() as line:
        await line.ws.send_str(message)
        (frame,) = await line.told()
        assert (frame["type"], frame["status"]) == ("error", 400)
        assert frame["error"]["type"] == "invalid_request_error"
        assert frame["error"]["param"] == param
        assert (await line.answered())["type"] == "response.completed"


async def test_a_binary_frame_is_not_taken() -> None:
    async with sockets(Scripted(*chat("a"))) as bench, bench.line() as line:
        await line.ws.send_bytes(b"{}")
        (frame,) = await line.told()
    assert frame["error"]["param"] == "message"


async def test_there_are_only_so_many_lanes() -> None:
    gate = Gate()
    async with sockets(Scripted(gate, *chat("a")), max_streams=1) as bench, bench.line() as line:
        await line.create(stream_id="one")
        await asyncio.wait_for(gate.reached(), 5)
        frame = await line.answered(stream_id="two")
        gate.open()
    assert (frame["status"], frame["stream_id"]) == (429, "two")


async def test_a_lane_is_open_for_as_long_as_something_waits_in_it() -> None:
    async with sockets(Scripted(*chat("a")), max_streams=1) as bench, bench.line() as line:
        for lane in ("one", "two", "one"):
            assert (await line.answered(stream_id=lane))["type"] == "response.completed"


async def test_there_are_only_so_many_sockets() -> None:
    async with (
        sockets(Scripted(*chat("a")), max_sockets=1) as bench,
        bench.line(),
        bench.line() as second,
    ):
        assert (await second.ws.receive()).data == 1013


async def test_a_failure_before_content_is_an_error_with_its_status() -> None:
    async with sockets(Scripted(REFUSED)) as bench, bench.line() as line:
        frame = await line.answered()
    assert frame["type"] == "error"
    assert frame["status"] == 502


async def test_an_error_without_a_status_of_its_own_is_the_provider_s() -> None:
    blocked = UpstreamError(make(ErrorCode.CONTENT_BLOCKED_OUTPUT, "not this"))
    async with sockets(Scripted(blocked)) as bench, bench.line() as line:
        frame = await line.answered()
    assert (frame["type"], frame["status"]) == ("error", 502)


async def test_a_broken_answer_is_a_failed_response() -> None:
    async with sockets(Scripted(*chat("a")[:1], CUT)) as bench, bench.line() as line:
        frame = await line.answered()
    assert frame["type"] == "response.failed"


async def test_a_response_that_was_not_stored_is_its_socket_s_alone() -> None:
    async with sockets(Scripted(*chat("a"))) as bench:
        async with bench.line() as line:
            first = (await line.answered(store=False))["response"]["id"]
            again = await line.answered(store=False, previous_response_id=first)
            assert again["type"] == "response.completed"
        async with bench.line() as line:
            frame = await line.answered(store=False, previous_response_id=first)
    assert frame["error"]["code"] == "previous_response_not_found"


async def test_a_response_whose_continuation_failed_cannot_be_continued_again() -> None:
    result = {"type": "function_call_output", "call_id": "call_0", "output": "4"}
    async with sockets(Scripted(*chat("a"))) as bench, bench.line() as line:
        first = (await line.answered(store=False))["response"]["id"]
        wrong = await line.answered(store=False, previous_response_id=first, input=[result])
        assert wrong["type"] == "error"
        frame = await line.answered(store=False, previous_response_id=first)
    assert frame["error"]["code"] == "previous_response_not_found"


async def test_a_request_that_is_to_generate_nothing_is_gone_on_from() -> None:
    provider = Scripted(*chat("a"))
    async with sockets(provider) as bench, bench.line() as line:
        warm = (await line.answered(input="first", generate=False, store=False))["response"]
        assert (warm["status"], warm["output"], provider.sent) == ("completed", [], [])
        last = await line.answered(input="second", previous_response_id=warm["id"])
        assert last["type"] == "response.completed"
        provider.pieces = [REFUSED]
        await line.answered(previous_response_id=warm["id"])
        gone = await line.answered(previous_response_id=warm["id"])
    assert gone["error"]["code"] == "previous_response_not_found"
    said = provider.sent[0].body["messages"]
    assert [one["content"] for one in said] == ["first", "second"]


async def test_only_the_newest_of_those_that_generate_nothing_are_remembered() -> None:
    async with sockets(Scripted(*chat("a"))) as bench, bench.line() as line:
        warm = [(await line.answered(generate=False))["response"]["id"] for _ in range(WARM + 1)]
        gone, kept = [await line.answered(previous_response_id=id_) for id_ in warm[:2]]
    assert gone["error"]["code"] == "previous_response_not_found"
    assert kept["type"] == "response.completed"


async def test_what_goes_on_in_the_background_outlives_its_socket() -> None:
    gate = Gate()
    async with sockets(Scripted(*chat("a", gate, "b"))) as bench:
        async with bench.line() as line:
            await line.create(background=True)
            await asyncio.wait_for(gate.reached(), 5)
        (stream,) = bench.relay.store.live
        gate.open()
        await asyncio.wait_for(stream.over(), 5)
        assert stream.log.end is not None
        assert stream.log.end.status == "completed"


async def test_a_socket_is_closed_when_the_service_leaves_and_all_is_answered() -> None:
    gate = Gate()
    async with sockets(Scripted(*chat("a", gate, "b"))) as bench, bench.line() as line:
        await line.create()
        await asyncio.wait_for(gate.reached(), 5)
        async with bench.line() as idle:
            await idle.answered(generate=False)
            bench.room.drain()
            assert (await idle.ws.receive(timeout=5)).data == 1012
        gate.open()
        assert (await line.told())[-1]["type"] == "response.completed"
        assert (await line.ws.receive(timeout=5)).data == 1012


async def test_what_a_socket_asked_for_ends_with_it() -> None:
    gate = Gate()
    provider = Scripted(*chat("a", gate, "b"))
    async with sockets(provider) as bench:
        async with bench.line() as line:
            await line.create()
            await asyncio.wait_for(gate.reached(), 5)
        await asyncio.wait_for(provider.quiet(), 10)
        assert bench.relay.store.live == []


async def test_a_socket_is_closed_at_its_age() -> None:
    async with sockets(Scripted(*chat("a")), max_age_s=0.05) as bench, bench.line() as line:
        assert (await line.ws.receive()).data == 1013


async def test_the_service_may_leave_while_a_socket_is_being_closed_at_its_age() -> None:
    async with (
        sockets(Scripted(*chat("a")), max_age_s=0.05) as bench,
        bench.session.ws_connect(f"{bench.url}/v1/responses", autoclose=False) as ws,
    ):
        assert (await ws.receive(timeout=5)).data == 1013
        bench.room.drain()
        await ws.close()


async def test_who_waits_for_an_answer_on_a_socket_that_reaches_its_age_is_told_so() -> None:
    gate = Gate()
    provider = Scripted(*chat("a", gate, "b"))
    async with sockets(provider, max_age_s=0.5) as bench, bench.line() as line:
        failed = await line.answered()
        assert (failed["type"], failed["status"]) == ("error", 400)
        assert failed["error"]["code"] == "websocket_connection_limit_reached"
        assert (await line.ws.receive(timeout=5)).data == 1013
        await asyncio.wait_for(provider.quiet(), 10)


async def test_without_a_handshake_it_is_no_address() -> None:
    async with (
        sockets(Scripted(*chat("a"))) as bench,
        bench.session.get(f"{bench.url}/v1/responses") as response,
    ):
        assert response.status == 426
        assert (await response.json())["error"]["type"] == "invalid_request_error"
