"""The chat's WebSocket over real sockets: frames, several requests, stops, and who is too slow."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType

from adapters.events import Status
from service.http.ws_protocol import Code
from service.settings import Websocket
from service.streams.chats import At
from service.streams.stream import Stream
from tests.double.steps import Gate
from tests.service.http.serving import becomes
from tests.service.http.ui_served import Chats, chats, said, text_of
from tests.service.scripted import Piece, Scripted, chat, delta

KIB = 1024


class Client:
    """One socket."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self.ws = ws

    async def say(self, kind: str, request: str = "r1", **fields: object) -> None:
        await self.ws.send_json({"type": kind, "requestId": request, **fields})

    async def send(self, request: str = "r1", **fields: Any) -> None:  # noqa: ANN401 - the page's
        """A question, as the transport sends it."""
        given = said(**fields)
        own = {name: given.pop(name) for name in ("id", "messages", "trigger")}
        await self.say("send", request, **own, headers={}, body=given, metadata=None)

    async def hear(self) -> dict[str, Any]:
        message = await self.ws.receive(timeout=20)
        assert message.type is WSMsgType.TEXT, f"{message.type} {self.ws.close_code}"
        heard: dict[str, Any] = message.json()
        return heard

    async def until(self, kind: str, request: str = "r1") -> list[dict[str, Any]]:
        """The request's frames up to and with the first of that type."""
        heard: list[dict[str, Any]] = []
        while not heard or heard[-1]["type"] != kind:
            frame = await self.hear()
            if frame["requestId"] == request:
                heard.append(frame)
        return heard

    async def until_text(self, text: str) -> None:
        """Wait for a chunk with that in it."""
        while text not in (await self.hear()).get("chunk", {}).get("delta", ""):
            pass

    async def pinged(self) -> bytes:
        """What the next ping says."""
        message = await self.ws.receive(timeout=20)
        assert message.type is WSMsgType.PING, message
        return bytes(message.data)

    def transport(self) -> asyncio.Transport:
        """What is below the socket."""
        assert self.ws._conn is not None
        assert self.ws._conn.transport is not None
        return self.ws._conn.transport

    async def closed(self) -> int | None:
        """The code that the server closes with."""
        message = await self.ws.receive(timeout=20)
        assert message.type in {WSMsgType.CLOSE, WSMsgType.CLOSED, WSMsgType.CLOSING}, message
        return self.ws.close_code


@asynccontextmanager
async def connected(bench: Chats, **options: Any) -> AsyncIterator[Client]:  # noqa: ANN401 - aiohttp's
    async with bench.session.ws_connect(f"{bench.url}/api/chat/ws", **options) as ws:
        yield Client(ws)


def chunks(frames: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The chunks of a request that was told whole; their numbers have no gap."""
    told = [frame for frame in frames if frame["type"] == "chunk"]
    assert [frame["sequence"] for frame in told] == list(range(len(told)))
    return [frame["chunk"] for frame in told]


def only(bench: Chats) -> Stream:
    """The one stream there is."""
    (kept,) = bench.relay.store._kept.values()
    return kept.stream


async def test_a_turn_is_numbered_chunks_between_a_start_and_an_end() -> None:
    async with chats(Scripted(*chat("Hel", "lo"))) as bench, connected(bench) as page:
        await page.send()
        frames = await page.until("end")
    assert frames[0] == {"type": "start", "requestId": "r1"}
    assert text_of(chunks(frames)) == "Hello"
    assert chunks(frames)[-1]["type"] == "finish"


async def test_one_socket_carries_several_turns() -> None:
    first, second = Gate(), Gate()
    async with (
        chats(Scripted(*chat("Hel", first, second, "lo"))) as bench,
        connected(bench) as page,
    ):
        await page.send("a", chat="c1")
        await page.send("b", chat="c2")
        await first.reached(2)
        first.open()
        second.open()
        heard = [await page.hear()]
        while [frame["type"] for frame in heard].count("end") < 2:
            heard.append(await page.hear())
    for name in ("a", "b"):
        frames = [frame for frame in heard if frame["requestId"] == name]
        assert text_of(chunks(frames)) == "Hello"


async def test_a_socket_that_is_lost_leaves_its_turn_to_be_resumed_on_another() -> None:
    gate = Gate()
    async with chats(Scripted(*chat("Hel", gate, "lo"))) as bench:
        async with connected(bench) as page:
            await page.send()
            await page.until_text("Hel")
        async with connected(bench) as page:
            await page.say("resume", id="c1")
            await page.until_text("Hel")
            gate.open()
            await page.until("end")
            await page.say("resume", "r2", id="c1")
            assert await page.hear() == {"type": "no-active", "requestId": "r2"}


@pytest.mark.parametrize("fields", [{"id": "c1"}, {}])
async def test_where_nothing_is_under_way_nothing_is_resumed(fields: dict[str, str]) -> None:
    async with chats(Scripted()) as bench, connected(bench) as page:
        await page.say("resume", **fields)
        assert await page.hear() == {"type": "no-active", "requestId": "r1"}


async def test_a_request_that_is_refused_is_an_error_of_its_own() -> None:
    async with chats(Scripted(*chat("Hello"))) as bench, connected(bench) as page:
        await page.send(temperature="hot")
        refused = await page.hear()
        assert refused["type"] == "error"
        assert refused["errorText"].startswith("temperature: 'hot'")
        await page.send("r2")
        await page.until("end", "r2")


class Broken:
    """What knows other processes' chats, and fails as nobody has thought of."""

    def put(self, chat: str, at: At) -> None:
        """Nobody is told."""

    async def find(self, chat: str) -> At | None:
        raise ArithmeticError(chat)


async def test_a_fault_of_ours_ends_its_request_and_no_other() -> None:
    gate = Gate()
    async with chats(Scripted(*chat("Hel", gate, "lo"))) as bench, connected(bench) as page:
        await page.send()
        await page.until_text("Hel")
        bench.relay.store.chats.others = Broken()
        await page.say("resume", "r2", id="c1")
        assert (await page.until("error", "r2"))[-1]["errorText"] == "the router failed"
        bench.relay.store.chats.others = None
        gate.open()
        await page.until("end")


async def test_routing_is_read_from_a_frames_headers_and_metadata() -> None:
    async with chats(Scripted(*chat("Hello"))) as bench, connected(bench) as page:
        given = said()
        given.pop("model")
        await page.say(
            "send",
            **given,
            headers={"Tailrace-Use-Case": "analysis", "x": 5},
            body={"model": "openai/auto"},
            metadata={"tailrace_budget_tier": "premium"},
        )
        await page.until("end")
        request = only(bench).request
    assert (request.use_case, request.budget_tier) == ("analysis", "premium")


# --- What has arrived -----------------------------------------------------------------------


async def test_a_turn_is_told_again_until_the_ping_behind_its_end_comes_back() -> None:
    async with (
        chats(Scripted(*chat("Hello"))) as bench,
        connected(bench, autoping=False) as page,
    ):
        await page.send()
        first = chunks(await page.until("end"))
        await page.ws.pong(b"of nothing")
        await page.say("resume", "r2", id="c1")
        pings = [await page.pinged()]
        again = chunks(await page.until("end", "r2"))
        pings.append(await page.pinged())
        await page.ws.pong(pings[-1])  # the last one answers for those before
        await page.say("resume", "r3", id="c1")
        assert await page.hear() == {"type": "no-active", "requestId": "r3"}
    assert again == first
    assert len(set(pings)) == 2


async def test_a_turn_whose_end_never_arrived_is_told_on_another_socket() -> None:
    text = "w" * 256 * KIB
    limits = Websocket(heartbeat_s=600)
    async with chats(Scripted(*chat(text)), limits) as bench:
        async with connected(bench, max_msg_size=0) as page:
            transport = page.transport()
            transport.pause_reading()
            await page.send()
            await becomes(lambda: bench.relay.store._kept)
            await only(bench).over()
            await becomes(lambda: [s for s in bench.sockets._sockets if s._unproven])
            transport.abort()
        async with connected(bench, max_msg_size=0) as page:
            await page.say("resume", id="c1")
            assert text_of(chunks(await page.until("end"))) == text


async def test_a_page_that_pings_is_answered() -> None:
    async with chats(Scripted()) as bench, connected(bench, autoping=False) as page:
        await page.ws.ping(b"there?")
        message = await page.ws.receive(timeout=20)
        assert (message.type, message.data) == (WSMsgType.PONG, b"there?")


async def test_a_service_that_ends_waits_for_what_it_said_to_arrive() -> None:
    async with (
        chats(Scripted(*chat("Hello"))) as bench,
        connected(bench, autoping=False) as page,
    ):
        await page.send()
        await page.until("end")
        bench.sockets.drain()
        await page.ws.pong(await page.pinged())
        assert await page.closed() == Code.RESTART
        at = await bench.relay.store.chats.find("c1")
    assert at is not None
    assert at.told


# --- Stopping -------------------------------------------------------------------------------


async def test_an_abort_ends_the_turn() -> None:
    gate = Gate()
    async with chats(Scripted(*chat("Hel", gate))) as bench, connected(bench) as page:
        await page.send()
        await page.until_text("Hel")
        await page.say("abort")
        await only(bench).over()
        end = only(bench).log.end
        await page.say("abort")  # of a request that is over
        await page.say("resume", "r2", id="c1")
        assert await page.hear() == {"type": "no-active", "requestId": "r2"}
    assert end is not None
    assert end.status is Status.CANCELLED


async def test_an_abort_of_a_resumed_turn_ends_it_too() -> None:
    gate = Gate()
    async with chats(Scripted(*chat("Hel", gate))) as bench:
        async with connected(bench) as page:
            await page.send()
            await page.until_text("Hel")
        async with connected(bench) as page:
            await page.say("resume", id="c1")
            await page.until_text("Hel")
            await page.say("abort")
            await only(bench).over()


async def test_the_name_of_an_aborted_request_can_be_used_again() -> None:
    gate = Gate()
    async with chats(Scripted(*chat("Hel", gate))) as bench, connected(bench) as page:
        await page.send()
        await page.until_text("Hel")
        await page.say("abort")
        await page.send(chat="c2")
        await page.until_text("Hel")
        await page.say("abort")
        await becomes(lambda: not bench.relay.store.live)


async def test_a_page_that_resumes_twice_at_once_does_not_end_its_turn() -> None:
    gate = Gate()
    async with chats(Scripted(*chat("Hel", gate, "lo"))) as bench:
        async with connected(bench) as page:
            await page.send()
            await page.until_text("Hel")
        async with connected(bench) as page, connected(bench) as other:
            await page.say("resume", id="c1")
            await page.until_text("Hel")
            await page.say("abort")
            await page.say("resume", "r2", id="c1")
            await page.until("start", "r2")
            await other.say("resume", "r3", id="c1")
            await other.until("start", "r3")
            # Another page's resume, aborted later: when its moment is over, the first one's is.
            await other.say("abort", "r3")
            await becomes(lambda: len(only(bench)._attached) == 1)
            gate.open()
            assert text_of(chunks([{"type": "x"}, *await page.until("end", "r2")])) == "Hello"


# --- Manners --------------------------------------------------------------------------------


@pytest.mark.parametrize("frame", ["{", "[]", '{"type":"send"}', '{"requestId":"r1"}'])
async def test_a_frame_that_cannot_be_answered_ends_the_socket(frame: str) -> None:
    async with chats(Scripted()) as bench, connected(bench) as page:
        await page.ws.send_str(frame)
        assert await page.closed() == Code.VIOLATION


async def test_a_binary_frame_ends_the_socket() -> None:
    async with chats(Scripted()) as bench, connected(bench) as page:
        await page.ws.send_bytes(b"{}")
        assert await page.closed() == Code.BINARY


async def test_a_frame_of_another_type_is_an_error_of_its_request() -> None:
    async with chats(Scripted()) as bench, connected(bench) as page:
        await page.say("shout")
        assert "shout" in (await page.hear())["errorText"]


async def test_so_many_turns_at_a_time_and_no_more() -> None:
    gate, limits = Gate(), Websocket(max_streams=2)
    async with chats(Scripted(*chat("Hel", gate)), limits) as bench, connected(bench) as page:
        await page.send("a")
        await page.until("start", "a")
        await page.send("b", chat="c2")
        await page.until("start", "b")
        await page.send("c")
        assert "at most 2" in (await page.until("error", "c"))[-1]["errorText"]
        gate.open()


@pytest.mark.parametrize("kind", ["send", "resume", "shout"])
async def test_a_name_in_use_ends_the_socket_and_no_turn_is_taken_for_failed(kind: str) -> None:
    gate = Gate()
    async with chats(Scripted(*chat("Hel", gate, "lo"))) as bench:
        async with connected(bench) as page:
            await page.send()
            await page.until_text("Hel")
            await page.say(kind, id="c1")
            assert await page.closed() == Code.VIOLATION
        async with connected(bench) as page:
            await page.say("resume", id="c1")
            gate.open()
            assert text_of(chunks(await page.until("end"))) == "Hello"


async def test_no_more_sockets_than_there_may_be() -> None:
    limits = Websocket(max_sockets=1)
    async with chats(Scripted(), limits) as bench, connected(bench), connected(bench) as second:
        assert await second.closed() == Code.TOO_MANY


async def test_a_service_that_ends_closes_each_socket_when_its_turns_are_over() -> None:
    gate = Gate()
    async with (
        chats(Scripted(*chat("Hel", gate, "lo"))) as bench,
        connected(bench) as idle,
        connected(bench) as busy,
    ):
        await busy.send()
        await busy.until_text("Hel")
        bench.sockets.drain()
        assert await idle.closed() == Code.RESTART
        async with connected(bench) as late:
            assert await late.closed() == Code.RESTART
        gate.open()
        await busy.until("end")
        assert await busy.closed() == Code.RESTART


async def test_what_a_log_no_longer_keeps_is_told_in_fewer_chunks() -> None:
    gate = Gate()
    pieces: list[Piece] = [*map(delta, "Hello there"), gate, *chat("!")]
    async with chats(Scripted(*pieces), max_events=4) as bench, connected(bench) as page:
        await page.send()
        await gate.reached()
        await page.say("resume", "r2", id="c1")
        await page.until("start", "r2")
        gate.open()
        assert text_of(chunks([{"type": "x"}, *await page.until("end", "r2")])) == "Hello there!"


async def test_a_page_that_takes_nothing_is_cut_off_and_its_turn_goes_on() -> None:
    pieces: list[Piece] = [delta("w" * 64 * KIB) for _ in range(256)]
    provider = Scripted(*pieces, *chat("!"))
    limits = Websocket(heartbeat_s=600)
    async with (
        chats(provider, limits, stalled_socket_s=0.2, max_bytes=64 * KIB * KIB) as bench,
        connected(bench, max_msg_size=0, autoping=False) as page,
    ):
        page.transport().pause_reading()
        await page.send()
        await becomes(lambda: bool(bench.relay.store._kept))
        await only(bench).over()
        await becomes(lambda: not bench.sockets._sockets)
        page.transport().abort()  # or it would wait ten seconds for the other side's farewell
        end = only(bench).log.end
    assert end is not None
    assert end.status is Status.COMPLETED


async def test_a_page_too_slow_for_what_is_kept_is_told_to_resume() -> None:
    gate = Gate()
    pieces: list[Piece] = [delta("first"), gate, *(delta("w" * 64 * KIB) for _ in range(256))]
    provider = Scripted(*pieces, *chat("!"))
    limits = Websocket(heartbeat_s=600)
    async with (
        chats(provider, limits, max_events=64) as bench,
        connected(bench, max_msg_size=0, autoping=False) as page,
    ):
        await page.send()
        await page.until_text("first")
        page.transport().pause_reading()
        gate.open()
        await only(bench).over()
        page.transport().resume_reading()
        frames = await page.until("error")
        assert frames[-1]["errorText"] == "too slow: resume the chat"
        await page.say("resume", "r2", id="c1")
        text = text_of(chunks(await page.until("end", "r2")))
    assert len(text) == len("first!") + 256 * 64 * KIB
