"""WebSocket over real sockets: handshake, streams, resume, slow clients, close codes, drain."""

import asyncio
import logging
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import orjson
import pytest
from aiohttp import WSMsgType
from jsonschema import Draft202012Validator

from adapters import schema
from adapters.errors import UpstreamError, make
from adapters.events import Error, ErrorCode
from adapters.registry import COMPATIBLE, PROVIDERS
from service import endpoints, tasks
from service.endpoints import Inactive
from service.http.native import Native
from service.http.origins import Origins
from service.http.websocket import MAX_REPLIES, WebSockets
from service.http.ws_messages import SUBPROTOCOL
from service.relay import Ask, Relay
from service.routing.plan import Plan
from service.settings import Server, Settings, Streams, Websocket
from service.streams.store import Store
from service.streams.stream import Stream
from tests.double.steps import Gate
from tests.service.http.serving import becomes, body, parsed, served
from tests.service.scripted import Piece, Scripted, chat, deployed, deployment, provider

SCHEMA = Draft202012Validator(schema.document())
KIB = 1024
WORD = "w" * 4_096


class Client:
    """One socket, its messages as dicts."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self.ws = ws

    async def say(self, t: str, **fields: object) -> None:
        await self.ws.send_str(orjson.dumps({"t": t, **fields}).decode())

    async def hear(self) -> dict[str, Any]:
        """The next message; a close where one was expected fails the test."""
        message = await self.ws.receive(timeout=20)
        assert message.type is WSMsgType.TEXT, f"{message.type} {self.ws.close_code}"
        heard: dict[str, Any] = orjson.loads(message.data)
        return heard

    async def until(self, t: str, *, of: str | None = None) -> list[dict[str, Any]]:
        """Messages up to and with the first `t` (of that id)."""
        heard = [await self.hear()]
        while heard[-1]["t"] != t or (of is not None and heard[-1].get("id") != of):
            heard.append(await self.hear())
        return heard

    async def start(self, id_: str = "a", **fields: object) -> None:
        wish = {"request": body(), **fields}
        await self.say("start", id=id_, **wish)

    async def closed(self) -> int:
        """The code that the server closes with; what it says before is passed over."""
        while True:
            message = await self.ws.receive(timeout=20)
            if message.type in {WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED}:
                code = self.ws.close_code
                assert code is not None
                return code
            assert message.type is WSMsgType.TEXT


def events(messages: list[dict[str, Any]], of: str = "a") -> list[dict[str, Any]]:
    """The events of one id, out of their frames."""
    found: list[dict[str, Any]] = []
    for message in messages:
        if message.get("id") == of and message["t"] in {"ev", "evs"}:
            found += message["e"] if message["t"] == "evs" else [message["e"]]
    return found


def text(found: list[dict[str, Any]]) -> str:
    return "".join(event["delta"] for event in found if event["type"] == "text.delta")


class Bench(NamedTuple):
    """A service over one scripted provider."""

    relay: Relay
    sockets: WebSockets
    url: str
    session: aiohttp.ClientSession

    @asynccontextmanager
    async def socket(
        self, *, init: bool = True, accept: dict[str, Any] | None = None, **options: object
    ) -> AsyncIterator[Client]:
        connect: Any = self.session.ws_connect
        async with connect(f"{self.url}/v1/ws", **options) as ws:
            client = Client(ws)
            if init:
                await client.say("init", accept=accept or {})
                assert (await client.hear())["t"] == "ready"
            yield client

    async def over_sse(self, stream: str, after: int = -1) -> list[dict[str, Any]]:
        async with self.session.get(f"{self.url}/v1/streams/{stream}?after={after}") as response:
            return [block.data for block in parsed(await response.read())]


@asynccontextmanager
async def bench(
    *pieces: Piece,
    relay: Relay | None = None,
    limits: dict[str, float] | None = None,
    streams: dict[str, float] | None = None,
    server: Server | None = None,
    **log_bounds: int,
) -> AsyncIterator[Bench]:
    """The WebSocket and native routes over a provider that plays `pieces`, known as openai."""
    if relay is None:
        relay = relay_of(Scripted(*pieces), **log_bounds)
    slow = Streams.model_validate(streams or {})
    sockets = WebSockets(relay, Websocket.model_validate(limits or {}), slow)
    routes = [*sockets.routes(), *Native(relay, slow).routes()]
    async with (
        served(*routes, origins=Origins(server or Server())) as url,
        aiohttp.ClientSession() as session,
    ):
        yield Bench(relay, sockets, url, session)
    for stream in relay.store.live:
        stream.cancel("the test is over")
    await tasks.settle(patience=1)


def relay_of(client: Scripted, **log_bounds: int) -> Relay:
    missing = Inactive(provider("qwen"), "no_key")
    return Relay(Store(ttl=600), deployment({"openai": client}, missing), **log_bounds)


def small_buffers(address: tuple[Any, ...]) -> socket.socket:
    """A client's socket that takes little before it is read."""
    connection = socket.socket(family=address[0], type=address[1], proto=address[2])
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * KIB)
    connection.setblocking(False)
    return connection


# --- Handshake ------------------------------------------------------------------------------


async def test_the_sub_protocol_is_echoed_alone_and_a_token_beside_it_is_not() -> None:
    async with bench() as b:
        offer = (SUBPROTOCOL, "tailrace.bearer.dGVzdC10b2tlbg")
        async with b.socket(protocols=offer) as client:
            assert client.ws.protocol == SUBPROTOCOL
        async with b.session.ws_connect(f"{b.url}/v1/ws", protocols=offer[::-1]) as ws:
            assert ws.protocol == SUBPROTOCOL


async def test_a_client_that_offers_no_sub_protocol_is_served() -> None:
    async with bench() as b, b.socket() as client:
        assert client.ws.protocol is None
        await client.say("ping", ts=1.5)
        assert await client.hear() == {"t": "pong", "ts": 1.5}


async def test_only_unknown_sub_protocols_close_with_4406_and_are_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    offer = ("graphql-transport-ws", "tailrace.bearer.dGVzdC10b2tlbg")
    with caplog.at_level(logging.DEBUG):
        async with bench() as b, b.socket(init=False, protocols=offer) as client:
            assert client.ws.protocol is None
            assert await client.closed() == 4406
    server_side = [record for record in caplog.records if "dGVzdC10b2tlbg" in record.getMessage()]
    assert server_side == []


async def test_no_compression_is_agreed_on() -> None:
    async with bench() as b, b.socket(compress=15) as client:
        assert not client.ws.compress


async def test_a_plain_request_is_told_that_this_is_a_websocket() -> None:
    async with bench() as b, b.session.get(f"{b.url}/v1/ws") as response:
        assert response.status == 426
        error = (await response.json())["error"]
        assert error["code"] == "invalid_request"
        assert SUBPROTOCOL in error["message"]


async def test_a_foreign_page_s_socket_closes_with_4403() -> None:
    async with bench() as b, b.socket(init=False, origin="https://evil.example") as client:
        assert await client.closed() == 4403
        assert len(b.sockets) == 0


async def test_an_allowed_page_s_socket_is_served() -> None:
    server = Server(allowed_origins=("https://chat.example",))
    async with bench(server=server) as b, b.socket(origin="https://chat.example") as client:
        await client.say("ping")
        assert await client.hear() == {"t": "pong"}


async def test_a_socket_too_many_closes_with_4429() -> None:
    async with bench(limits={"max_sockets": 1}) as b:
        async with b.socket(), b.socket(init=False) as second:
            assert await second.closed() == 4429
        await becomes(lambda: len(b.sockets) == 0)
        async with b.socket():
            pass


async def test_a_draining_service_closes_a_new_socket_with_1012() -> None:
    async with bench() as b:
        b.relay.draining = True
        async with b.socket(init=False) as client:
            assert await client.closed() == 1012


# --- Streams --------------------------------------------------------------------------------


async def test_a_start_streams_the_same_events_as_sse_until_their_end() -> None:
    async with bench(*chat("Hel", "lo")) as b, b.socket() as client:
        await client.start()
        heard = await client.until("end")
        assert heard[0] == {
            "t": "started", "id": "a", "stream": heard[0]["stream"], "next": 0, "live": True
        }  # fmt: skip
        assert heard[-1] == {"t": "end", "id": "a", "reason": "stream_end"}
        found = events(heard)
        assert [event["seq"] for event in found] == list(range(len(found)))
        assert text(found) == "Hello"
        assert found[-1]["type"] == "stream.end"
        assert await b.over_sse(heard[0]["stream"]) == found


async def test_lifecycle_events_come_before_the_first_content() -> None:
    gate = Gate()
    async with bench(gate, *chat("x")) as b, b.socket() as client:
        await client.start()
        found: list[dict[str, Any]] = []
        while "attempt.start" not in [event["type"] for event in found]:
            found += events([await client.hear()])
        assert [event["type"] for event in found] == ["stream.start", "route.plan", "attempt.start"]
        gate.open()
        assert text(events(await client.until("end"))) == "x"


async def test_a_failure_before_any_content_is_the_stream_s_end() -> None:
    refused = UpstreamError(make(ErrorCode.UPSTREAM_CONNECT, "refused"))
    async with bench(refused) as b, b.socket() as client:
        await client.start()
        found = events(await client.until("end"))
        assert found[-1]["type"] == "stream.end"
        assert found[-1]["error"]["code"] == "upstream_connect"


@pytest.mark.parametrize(
    ("request_", "code", "param"),
    [
        ({}, "invalid_request", "messages"),
        ({"messages": [], "zzz": 1}, "invalid_request", "messages"),
        (body(zzz=1), "invalid_request", "zzz"),
        (body(use_case="cooking"), "invalid_request", "use_case"),
        (body(model="qwen/auto"), "no_candidates", "model"),
        ([1, 2], "invalid_request", None),
    ],
)
async def test_a_request_that_cannot_be_opened_is_an_error_on_its_id_that_names_the_field(
    request_: object, code: str, param: str | None
) -> None:
    async with bench(*chat("x")) as b, b.socket() as client:
        await client.start(request=request_)
        heard = await client.hear()
        assert (heard["t"], heard["id"], heard["error"]["code"]) == ("err", "a", code)
        assert heard["error"].get("param") == param
        await client.start()
        assert text(events(await client.until("end"))) == "x"


async def test_a_fault_of_ours_ends_one_start_and_not_the_socket() -> None:
    class Faulty(Relay):
        def open(self, ask: Ask) -> tuple[Stream, Plan | None]:
            raise RuntimeError(f"/secret/path {ask}")

    relay = Faulty(Store(ttl=600), deployment({"openai": Scripted()}))
    async with bench(relay=relay) as b, b.socket() as client:
        await client.start()
        heard = await client.hear()
        assert heard["error"]["code"] == "internal"
        assert "secret" not in heard["error"]["message"]
        await client.say("ping")
        assert await client.hear() == {"t": "pong"}


async def test_a_fault_of_ours_beyond_one_start_closes_with_1011_and_says_nothing_of_itself() -> (
    None
):
    def broken(error: Error) -> None:
        raise RuntimeError(f"/secret/path {error}")

    gate = Gate()
    async with bench(*chat("x", gate)) as b, b.socket() as client:
        await client.start()
        await gate.reached()
        [stream] = b.relay.store.live
        stream.on_stop(broken)
        await client.say("cancel", id="a")
        assert await client.closed() == 1011
        await becomes(lambda: stream.log.readers == 0)
        gate.open()
        await stream.over()


async def test_many_streams_share_a_socket_each_whole_and_in_order() -> None:
    names = [f"s{number}" for number in range(16)]
    words = [f"{number} " for number in range(50)]
    async with bench(*chat(*words)) as b, b.socket() as client:
        for name in names:
            await client.start(name)
        heard: list[dict[str, Any]] = []
        while [message["t"] for message in heard].count("end") < len(names):
            heard.append(await client.hear())
            if heard[-1]["t"] == "ev":
                await client.say("ack", id=heard[-1]["id"], seq=heard[-1]["e"]["seq"])
        for name in names:
            found = events(heard, name)
            assert [event["seq"] for event in found] == list(range(len(found)))
            assert text(found) == "".join(words)


async def test_the_same_idempotency_key_attaches_instead_of_generating_twice() -> None:
    client_ = Scripted(*chat("once"))
    async with bench(relay=relay_of(client_)) as b:
        async with b.socket() as first:
            await first.start(idempotency_key="k1")
            whole = events(await first.until("end"))
        async with b.socket() as second:
            await second.start("b", idempotency_key="k1")
            assert events(await second.until("end"), "b") == whole
            await second.start("c", idempotency_key="k1", request=body("other"))
            heard = await second.hear()
            assert (heard["id"], heard["error"]["code"]) == ("c", "conflict")
    assert len(client_.sent) == 1


async def test_cancel_ends_the_generation_at_once_and_says_so() -> None:
    gate = Gate()
    client_ = Scripted(*chat("part", gate, "never"))
    async with bench(relay=relay_of(client_)) as b, b.socket() as client:
        await client.start()
        await gate.reached()
        await client.say("cancel", id="a", reason="changed my mind")
        found = events(await client.until("end"))
        assert text(found) == "part"
        assert found[-1]["status"] == "cancelled"
        assert found[-1]["error"]["message"] == "cancelled by the client: changed my mind"
        await client_.quiet()


async def test_detach_stops_the_events_and_not_the_generation() -> None:
    gate = Gate()
    async with bench(*chat("one ", gate, "two")) as b, b.socket() as client:
        await client.start()
        stream = (await client.hear())["stream"]
        await gate.reached()
        await client.say("detach", id="a")
        heard = await client.until("end")
        assert heard[-1]["reason"] == "detached"
        after = events(heard)[-1]["seq"]
        gate.open()
        await b.relay.store.get(stream).over()
        await client.say("attach", id="a", stream=stream, after=after)
        rest = await client.until("end")
        assert rest[0] == {
            "t": "started", "id": "a", "stream": stream, "next": after + 1, "live": False
        }  # fmt: skip
        assert text(events(rest)) == "two"


# --- Attaching and resuming -----------------------------------------------------------------


async def test_any_prefix_and_the_resumed_rest_are_the_whole_over_either_transport() -> None:
    async with bench(*chat("a", "b", "c")) as b:
        async with b.socket() as client:
            await client.start()
            heard = await client.until("end")
        stream, whole = heard[0]["stream"], events(heard)
        async with b.socket() as client:
            for after in range(-1, len(whole) - 1):
                await client.say("attach", id="a", stream=stream, after=after)
                rest = events(await client.until("end"))
                assert whole[: after + 1] + rest == whole
                assert await b.over_sse(stream, after) == rest


async def test_a_lost_socket_is_resumed_on_another_while_the_answer_goes_on() -> None:
    gate = Gate()
    async with bench(*chat("one ", gate, "two")) as b:
        async with b.socket() as client:
            await client.start()
            stream = (await client.hear())["stream"]
            prefix: list[dict[str, Any]] = []
            while text(prefix) != "one ":
                prefix += events([await client.hear()])
        await becomes(lambda: len(b.sockets) == 0)
        async with b.socket() as client:
            await client.say("attach", id="z", stream=stream, after=prefix[-1]["seq"])
            assert (await client.hear())["live"]
            gate.open()
            rest = events(await client.until("end"), "z")
        assert prefix + rest == await b.over_sse(stream)


async def test_two_sockets_on_one_stream_see_the_same_events() -> None:
    gate = Gate()
    async with bench(gate, *chat("x", "y")) as b, b.socket() as one, b.socket() as two:
        await one.start()
        stream = (await one.hear())["stream"]
        await two.say("attach", id="b", stream=stream, after=-1)
        assert (await two.hear())["t"] == "started"
        gate.open()
        assert events(await one.until("end")) == events(await two.until("end"), "b")


async def test_two_ids_of_one_socket_may_follow_one_stream() -> None:
    async with bench(*chat("x")) as b, b.socket() as client:
        await client.start()
        stream = (await client.until("end"))[0]["stream"]
        for id_ in "bc":
            await client.say("attach", id=id_, stream=stream, after=-1)
        heard = [*await client.until("end", of="b"), *await client.until("end", of="c")]
        assert events(heard, "b") == events(heard, "c") != []


@pytest.mark.parametrize(
    ("stream", "after", "code"),
    [("st_nobody", -1, "not_found"), (None, 10_000, "invalid_request")],
)
async def test_what_cannot_be_attached_to_is_an_error_on_its_id(
    stream: str | None, after: int, code: str
) -> None:
    async with bench(*chat("x")) as b, b.socket() as client:
        await client.start()
        known = (await client.until("end"))[0]["stream"]
        await client.say("attach", id="b", stream=stream or known, after=after)
        heard = await client.hear()
        assert (heard["t"], heard["id"], heard["error"]["code"]) == ("err", "b", code)


async def test_a_stream_that_is_no_longer_kept_has_expired() -> None:
    async with bench(*chat("x")) as b, b.socket() as client:
        await client.start()
        stream = (await client.until("end"))[0]["stream"]
        assert b.relay.store.sweep(now=1e12) == 1
        await client.say("attach", id="b", stream=stream, after=-1)
        assert (await client.hear())["error"]["code"] == "stream_expired"


async def test_what_the_log_no_longer_has_is_told_as_a_snapshot() -> None:
    words = [f"word{number} " for number in range(300)]
    async with bench(*chat(*words), max_events=100) as b, b.socket() as client:
        await client.start()
        stream = (await client.until("end"))[0]["stream"]
        await client.say("attach", id="b", stream=stream, after=-1)
        heard = await client.until("end")
        snapshot, *rest = events(heard, "b")
        assert snapshot["type"] == "stream.snapshot"
        assert heard[0]["next"] == snapshot["as_of"] + 1 == rest[0]["seq"]
        assert snapshot["blocks"][0]["text"] + text(rest) == "".join(words)
        SCHEMA.validate(snapshot)


async def test_a_late_client_that_takes_it_gets_joined_deltas() -> None:
    words = [f"word{number} " for number in range(300)]
    async with bench(*chat(*words)) as b:
        async with b.socket() as client:
            await client.start()
            stream = (await client.until("end"))[0]["stream"]
        async with b.socket(accept={"coalesce": True}) as client:
            await client.say("attach", id="a", stream=stream, after=-1)
            found = events(await client.until("end"))
        deltas = [event for event in found if event["type"] == "text.delta"]
        assert text(found) == "".join(words)
        assert len(deltas) < 5
        assert found[-1]["type"] == "stream.end"
        for event in found:
            SCHEMA.validate(event)


# --- A socket that is lost ------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"request": body(on_disconnect="cancel_after:0")},
        {"on_disconnect": "cancel_after:0"},
        {"request": body(on_disconnect="continue"), "on_disconnect": "cancel_after:0"},
        {"request": body(), "on_disconnect": "cancel_after:0.01"},
    ],
)
async def test_a_lost_socket_ends_a_stream_that_was_asked_to_end_with_it(
    options: dict[str, Any],
) -> None:
    gate = Gate()
    client_ = Scripted(*chat("part", gate))
    async with bench(relay=relay_of(client_)) as b:
        async with b.socket() as client:
            await client.start(**options)
            stream = b.relay.store.get((await client.hear())["stream"])
            await gate.reached()
        await stream.over()
        await client_.quiet()
        assert stream.log.end is not None
        assert stream.log.end.status == "cancelled"


@pytest.mark.parametrize(
    "options",
    [{}, {"request": body(on_disconnect="cancel_after:0"), "on_disconnect": "continue"}],
)
async def test_a_lost_socket_ends_no_other_stream_and_leaves_nothing_behind(
    options: dict[str, Any],
) -> None:
    gate = Gate()
    async with bench(*chat("one ", gate, "two")) as b:
        async with b.socket() as client:
            await client.start(**options)
            stream = b.relay.store.get((await client.hear())["stream"])
            await gate.reached()
        await becomes(lambda: len(b.sockets) == 0)
        assert stream.log.readers == 0
        gate.open()
        await stream.over()
        assert stream.log.end is not None
        assert stream.log.end.status == "completed"


# --- Close codes of what a client sends -----------------------------------------------------


async def test_a_binary_frame_closes_with_1003() -> None:
    async with bench() as b, b.socket() as client:
        await client.ws.send_bytes(b"{}")
        assert await client.closed() == 1003


async def test_bad_utf_8_closes_with_1007() -> None:
    async with bench() as b, b.socket() as client:
        await client.ws.send_frame(b'{"t":"\xff"}', WSMsgType.TEXT)
        assert await client.closed() == 1007


async def test_a_frame_of_more_than_a_mebibyte_closes_with_1009() -> None:
    async with bench() as b, b.socket() as client:
        await client.ws.send_str("x" * (1024 * KIB + 1))
        assert await client.closed() == 1009


async def test_a_large_frame_within_the_limit_is_a_request() -> None:
    async with bench(*chat("x")) as b, b.socket() as client:
        await client.start(request=body("x" * 1_000 * KIB))
        assert text(events(await client.until("end"))) == "x"


async def test_three_malformed_messages_close_with_4400() -> None:
    async with bench() as b, b.socket() as client:
        for _ in range(3):
            await client.say("hello")
        assert [(await client.hear())["error"]["code"] for _ in range(3)] == ["invalid_message"] * 3
        assert await client.closed() == 4400


async def test_a_message_before_init_closes_with_4401() -> None:
    async with bench() as b, b.socket(init=False) as client:
        await client.start()
        assert await client.closed() == 4401


async def test_no_init_in_time_closes_with_4408() -> None:
    async with bench(limits={"init_s": 0.02}) as b, b.socket(init=False) as client:
        assert await client.closed() == 4408


async def test_a_second_init_closes_with_4429() -> None:
    async with bench() as b, b.socket() as client:
        await client.say("init")
        assert await client.closed() == 4429


async def test_a_client_that_closes_gets_its_close_back() -> None:
    async with bench(*chat("x")) as b, b.socket() as client:
        await client.ws.close(code=1000)
        assert client.ws.close_code == 1000
        await becomes(lambda: len(b.sockets) == 0)


# --- Close codes of time --------------------------------------------------------------------


async def test_a_socket_without_a_stream_closes_with_1000() -> None:
    async with bench(limits={"idle_s": 0.02}) as b, b.socket() as client:
        assert await client.closed() == 1000


async def test_an_old_socket_says_goaway_and_closes_with_4499() -> None:
    gate = Gate()
    async with bench(*chat("x", gate), limits={"max_age_s": 0.6}) as b, b.socket() as client:
        await client.start()
        goaway = (await client.until("goaway"))[-1]
        assert goaway["reason"] == "max_age"
        assert goaway["reconnect_after_ms"] == 0
        assert await client.closed() == 4499
        gate.open()


async def test_a_silent_socket_gets_pings_that_a_page_can_see() -> None:
    async with bench(limits={"heartbeat_s": 0.02}) as b, b.socket() as client:
        pings = [await client.hear(), await client.hear()]
        assert [ping["t"] for ping in pings] == ["ping", "ping"]
        assert pings[0]["ts"] < pings[1]["ts"]


async def test_a_peer_that_answers_no_pings_is_dead() -> None:
    gate = Gate()
    limits = {"heartbeat_s": 0.1}
    async with bench(*chat("x", gate), limits=limits) as b, b.socket(autoping=False) as client:
        await client.start(on_disconnect="cancel_after:0")
        stream = b.relay.store.get((await client.hear())["stream"])
        await stream.over()
        assert len(b.sockets) == 0


# --- Slow clients ---------------------------------------------------------------------------


async def test_a_stream_without_credit_is_ended_alone_and_can_be_resumed() -> None:
    gate = Gate()
    words = [WORD] * 20
    slow = {"slow_reader_bytes": 20 * KIB, "slow_reader_s": 0.1}
    async with bench(*chat(*words, gate), streams=slow) as b, b.socket() as client:
        await client.start("a")
        await client.start("b")
        heard = await client.until("end")
        end = heard[-1]
        assert end["reason"] == "slow_consumer"
        found = events(heard, end["id"])
        assert sum(len(orjson.dumps(event)) for event in found) < 20 * KIB + 2 * len(WORD)
        [stream] = [
            message["stream"]
            for message in heard
            if message["t"] == "started" and message["id"] == end["id"]
        ]
        gate.open()
        await b.relay.store.get(stream).over()
        rest = await b.over_sse(stream, found[-1]["seq"])
        assert text(found) + text(rest) == "".join(words)
        await client.say("ping")
        await client.until("pong")


async def test_a_client_that_acknowledges_gets_everything_through_a_small_window() -> None:
    words = [WORD] * 50
    async with bench(*chat(*words)) as b, b.socket() as client:
        for id_ in "ab":
            await client.start(id_, window=8 * KIB)
        heard: list[dict[str, Any]] = []
        while [message["t"] for message in heard].count("end") < 2:
            heard.append(await client.hear())
            for event in events(heard[-1:], heard[-1]["id"]):
                await client.say("ack", id=heard[-1]["id"], seq=event["seq"])
        assert text(events(heard, "a")) == text(events(heard, "b")) == "".join(words)


async def test_a_client_that_stops_reading_costs_a_bounded_buffer_and_closes_with_4490() -> None:
    words = [WORD] * 4_000  # 16 MiB: more than the kernel's buffers take
    async with bench(*chat(*words), streams={"stalled_socket_s": 1}) as b:
        connector = aiohttp.TCPConnector(socket_factory=small_buffers)
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.ws_connect(f"{b.url}/v1/ws") as ws,
        ):
            client = Client(ws)
            await client.say("init")
            await client.start()
            await becomes(lambda: b.relay.store.live)
            [stream] = b.relay.store.live
            [connection] = b.sockets._sockets
            largest = 0
            while connection._verdict is None:
                largest = max(largest, connection._transport.get_write_buffer_size())
                await asyncio.sleep(0)
            assert 0 < largest < 256 * KIB
            assert connection._replies == []
            assert await client.closed() == 4490
            assert stream.log.readers == 0
        await becomes(lambda: len(b.sockets) == 0)


async def test_a_stalled_peer_that_never_reads_again_is_cut_off() -> None:
    words = [WORD] * 4_000
    async with bench(*chat(*words), streams={"stalled_socket_s": 0.1}) as b:
        connector = aiohttp.TCPConnector(socket_factory=small_buffers)
        async with aiohttp.ClientSession(connector=connector) as session:
            ws = await session.ws_connect(f"{b.url}/v1/ws")
            await Client(ws).say("init")
            await Client(ws).start()
            await becomes(lambda: len(b.sockets) == 1)
            await becomes(lambda: len(b.sockets) == 0, limit=20)
            await ws.close()


async def test_a_slow_client_gets_every_event_in_order() -> None:
    words = [WORD] * 1_500
    async with bench(*chat(*words)) as b:
        connector = aiohttp.TCPConnector(socket_factory=small_buffers)
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.ws_connect(f"{b.url}/v1/ws", max_msg_size=0) as ws,
        ):
            client = Client(ws)
            await client.say("init")
            await client.start()
            await becomes(lambda: b.relay.store.live)
            [stream] = b.relay.store.live
            await stream.over()  # nothing was read until here
            found = events(await client.until("end"))
            assert [event["seq"] for event in found] == list(range(stream.log.next))


async def test_a_client_that_vanishes_while_it_was_slow_leaves_nothing_behind() -> None:
    words = [WORD] * 4_000
    async with bench(*chat(*words), Gate()) as b:
        connector = aiohttp.TCPConnector(socket_factory=small_buffers)
        async with aiohttp.ClientSession(connector=connector) as session:
            ws = await session.ws_connect(f"{b.url}/v1/ws")
            await Client(ws).say("init")
            await Client(ws).start()
            await becomes(lambda: b.relay.store.live)
            [stream] = b.relay.store.live
            [connection] = b.sockets._sockets
            await becomes(lambda: connection._flusher is not None, limit=20)
            # Gone without a goodbye, and with much unread, so the server's socket is reset.
            peer: Any = ws._response.connection
            peer.transport.abort()
        await becomes(lambda: len(b.sockets) == 0)
        assert stream.log.readers == 0
        assert not stream.ended


async def test_an_event_beyond_64_kib_is_one_frame() -> None:
    async with bench(*chat("w" * 100_000)) as b, b.socket() as client:
        await client.start()
        assert text(events(await client.until("end"))) == "w" * 100_000


async def test_a_peer_that_asks_and_does_not_read_is_not_read_either() -> None:
    async with bench(streams={"stalled_socket_s": 5}) as b:
        connector = aiohttp.TCPConnector(socket_factory=small_buffers)
        async with aiohttp.ClientSession(connector=connector) as session:
            ws = await session.ws_connect(f"{b.url}/v1/ws")
            client = Client(ws)
            await client.say("init")
            await becomes(lambda: len(b.sockets) == 1)
            [connection] = b.sockets._sockets
            flood = tasks.spawn(_ask_for_ever(client), name="flood")
            # The refusals have filled every buffer on their way to the peer.
            await becomes(lambda: len(connection._replies) > MAX_REPLIES, limit=30)
            for _ in range(1_000):
                await asyncio.sleep(0)
            assert len(connection._replies) == MAX_REPLIES + 1
            flood.cancel()
            await asyncio.wait([flood])
            b.sockets.drain(30)
            heard = await client.until("goaway")  # what was said before the close comes before it
            assert {message["t"] for message in heard[1:-1]} == {"err"}
            assert await client.closed() == 1012


async def _ask_for_ever(client: Client) -> None:
    name = "x" * 128
    while True:
        await client.say("attach", id=name, stream=name, after=-1)


# --- Draining -------------------------------------------------------------------------------


async def test_draining_lets_streams_finish_and_closes_with_1012() -> None:
    gate = Gate()
    async with bench(*chat("one ", gate, "two")) as b, b.socket() as idle, b.socket() as client:
        await client.start()
        await gate.reached()
        b.relay.draining = True
        b.sockets.drain(30)
        goaway = (await client.until("goaway"))[-1]
        assert goaway["reason"] == "draining"
        assert goaway["deadline_ms"] == 30_000
        assert 1_000 <= goaway["reconnect_after_ms"] <= 5_000
        assert (await idle.hear())["t"] == "goaway"
        assert await idle.closed() == 1012
        await client.start("b")
        assert (await client.hear())["error"]["code"] == "draining"
        gate.open()
        assert text(events(await client.until("end"))) == "two"
        assert await client.closed() == 1012


async def test_a_stream_that_is_cut_off_at_the_deadline_still_ends_on_the_socket() -> None:
    gate = Gate()
    async with bench(*chat("one ", gate)) as b, b.socket() as client:
        await client.start()
        await gate.reached()
        b.sockets.drain(0.05)
        await client.until("goaway")
        [stream] = b.relay.store.live
        stream.stop(make(ErrorCode.DRAINING, "the service is shutting down"))
        found = events(await client.until("end"))
        assert found[-1]["error"]["code"] == "draining"
        assert await client.closed() == 1012


async def test_a_socket_that_has_not_said_init_closes_at_once_when_draining() -> None:
    async with bench() as b, b.socket(init=False) as client:
        await becomes(lambda: len(b.sockets) == 1)
        b.sockets.drain(30)
        assert await client.closed() == 1012


async def test_a_server_that_stops_leaves_no_stream_attached() -> None:
    gate = Gate()
    relay = relay_of(Scripted(*chat("x", gate)))
    async with bench(relay=relay) as b, b.socket() as client:
        await client.start()
        await gate.reached()
        [stream] = relay.store.live
    assert stream.log.readers == 0


# --- Documentation --------------------------------------------------------------------------


async def test_the_example_in_the_documentation_works_as_it_is_written() -> None:
    page = (Path(__file__).parents[3] / "docs" / "websocket.md").read_text(encoding="utf-8")
    program = page.partition("```python\n")[2].partition("```")[0]
    nobody_but_the_demo = endpoints.resolve(PROVIDERS, COMPATIBLE, Settings(), {})
    demo = deployed(nobody_but_the_demo, {"demo": Scripted(*chat("Hel", "lo, ", "world"))})
    async with bench(relay=Relay(Store(ttl=600), demo)) as b:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            program.replace("ws://127.0.0.1:8180", b.url.replace("http", "ws")),
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate()
    assert (process.returncode, output) == (0, b"Hello, world")
