"""Each fault does to the bytes and the connection what it says, and nothing else."""

import asyncio
import re
from collections.abc import AsyncIterator

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import StartDouble
from tests.double.answer import Failure, KeepAlives
from tests.double.errors import Kind
from tests.double.faults import (
    GARBAGE,
    Fault,
    closed_address,
    cut_at,
    deaf_address,
    gzipped,
    hanging_up,
    header,
    huge_line,
    in_one_write,
    in_pieces,
    late,
    stall_at,
    without,
)
from tests.double.script import DEFAULT, Script, dropped, http_error, play, reply
from tests.double.server import Double
from tests.double.steps import Cut, End, Gate, Head, Paced, Repeat, Send, Steps, Wait, body_of
from tests.double.wire.scribe import DONE, Ask
from tests.double.wire.voices import voice_for

CHAT = "/v1/chat/completions"
WHOLE = body_of(DEFAULT.steps(voice_for("openai", "chat"), Ask("double")))


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def received(
    client: aiohttp.ClientSession, double: Double, path: str = CHAT
) -> tuple[bytes, Exception | None]:
    """What came of one answer, and what ended it before its end."""
    body = b""
    try:
        async with client.post(double.url + path) as response:
            async for data in response.content.iter_any():
                body += data
    except aiohttp.ClientError as broken:
        return body, broken
    return body, None


# --- Cuts and stalls ------------------------------------------------------------------------


@pytest.mark.parametrize("position", [0, 1, 100, len(WHOLE)])
async def test_a_cut_closes_the_connection_after_exactly_so_many_bytes(
    position: int, double: Double, client: aiohttp.ClientSession
) -> None:
    double.script(DEFAULT.with_faults(cut_at(position)))

    body, broken = await received(client, double)

    assert body == WHOLE[:position]
    assert isinstance(broken, aiohttp.ClientPayloadError)
    assert double.requests[0].ending == "cut"
    assert double.requests[0].sent == position


async def test_a_cut_with_a_reset_is_a_reset_for_the_client(double: Double) -> None:
    gate = Gate()
    double.script(reply("a", Wait(gate), Cut("rst")))
    reader, writer = await request(double)
    await reader.readuntil(b'"a"')

    gate.open()
    with pytest.raises(ConnectionResetError):
        await reader.read()

    writer.close()
    with pytest.raises(ConnectionResetError):
        await writer.wait_closed()


async def test_a_cut_without_a_reset_is_an_end_of_bytes_for_the_client(double: Double) -> None:
    double.script(reply("a", Cut("fin")))
    reader, writer = await request(double)

    body = await reader.read()

    assert b'"a"' in body
    assert not body.endswith(b"0\r\n\r\n")
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize("how", ["fin", "rst"])
async def test_a_dropped_request_gets_no_byte_of_an_answer(
    how: str, double: Double, client: aiohttp.ClientSession
) -> None:
    double.script(dropped(Cut("fin" if how == "fin" else "rst")))

    body, broken = await received(client, double)

    assert body == b""
    assert isinstance(broken, (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError))
    assert double.requests[0].head_at is None


async def test_a_reused_connection_can_die_under_the_next_request(
    double: Double, client: aiohttp.ClientSession
) -> None:
    double.choose(lambda seen: dropped() if seen.turn > 1 else None)

    assert await received(client, double) == (WHOLE, None)
    body, broken = await received(client, double)
    again = await received(client, double)

    assert body == b""
    assert isinstance(broken, aiohttp.ServerDisconnectedError)
    assert again == (WHOLE, None)
    assert [seen.turn for seen in double.requests] == [1, 2, 1]


async def test_a_connection_can_be_closed_after_an_answer_without_saying_so(
    double: Double,
) -> None:
    double.script(reply("a").with_faults(hanging_up()))
    reader, writer = await request(double)

    answer = await reader.read()

    assert b"connection: close" not in answer.lower()
    assert answer.endswith(b"0\r\n\r\n")
    assert double.requests[0].finished
    writer.close()
    await writer.wait_closed()


async def test_a_stall_sends_so_many_bytes_and_keeps_the_connection(double: Double) -> None:
    double.script(DEFAULT.with_faults(stall_at(100)))
    reader, writer = await request(double)
    seen = await double.seen(1)

    await reader.readuntil(WHOLE[90:100])

    assert seen.sent == 100
    assert (seen.ending, double.active, double.open_connections) == (None, 1, 1)
    writer.close()
    await writer.wait_closed()
    await seen.left()


@pytest.mark.parametrize("fault", [cut_at, stall_at])
def test_a_position_behind_the_body_is_refused(fault: type) -> None:
    with pytest.raises(ValueError, match="the body has 3 bytes, expected at least 4"):
        fault(4)((Head(), Send(b"abc")))


def test_steps_before_the_position_are_kept() -> None:
    gate = Gate()
    steps: Steps = (Head(), Send(b"ab"), Wait(gate), Paced((b"c", b"de"), 1), End())

    assert cut_at(4)(steps) == (Head(), Send(b"ab"), Wait(gate), Paced((b"c", b"d"), 1), Cut())


# --- Bytes ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [in_pieces(1), in_pieces(7), in_one_write(), gzipped()],
    ids=["bytewise", "in sevens", "at once", "gzip"],
)
async def test_the_same_body_comes_however_it_is_written(
    fault: Fault, double: Double, client: aiohttp.ClientSession
) -> None:
    double.script(DEFAULT.with_faults(fault))

    assert await received(client, double) == (WHOLE, None)


@given(st.integers(min_value=1, max_value=50), st.integers(min_value=0, max_value=len(WHOLE)))
def test_pieces_and_a_cut_make_a_prefix_in_writes_of_that_size(size: int, position: int) -> None:
    cut = DEFAULT.with_faults(in_pieces(size), cut_at(position))

    steps = cut.steps(voice_for("openai", "chat"), Ask("double"))

    assert body_of(steps) == WHOLE[:position]
    assert all(
        len(data) <= size for step in steps if isinstance(step, Paced) for data in step.writes
    )


async def test_each_event_is_a_write_of_its_own(
    double: Double, client: aiohttp.ClientSession
) -> None:
    double.script(reply("a", "b"))
    pieces = []
    async with client.post(double.url + CHAT) as response:
        async for data, whole in response.content.iter_chunks():
            assert whole
            pieces.append(data)

    assert pieces.pop() == b""  # the end of the body
    assert len(pieces) == 5  # role, a, b, finish, [DONE]
    assert all(piece.startswith(b"data: ") and piece.endswith(b"\n\n") for piece in pieces)


async def test_a_gzip_answer_says_so_and_is_flushed_with_every_event(
    double: Double, client: aiohttp.ClientSession
) -> None:
    gate = Gate()
    double.script(reply("a", Wait(gate), "b").with_faults(gzipped()))

    async with client.post(double.url + CHAT) as response:
        assert response.headers["content-encoding"] == "gzip"
        body = b""
        while b'"a"' not in body:
            body += await response.content.readany()
        gate.open()
        assert b"[DONE]" in await response.content.read()


def test_an_endless_body_cannot_be_compressed_ahead() -> None:
    with pytest.raises(ValueError, match="endless"):
        gzipped()((Head(), Repeat(b":\n", 1)))


async def test_a_compressed_error_answer_has_no_length_of_the_plain_one(
    double: Double, client: aiohttp.ClientSession
) -> None:
    double.script(http_error(Kind.SERVER).with_faults(gzipped()))

    async with client.post(double.url + CHAT) as response:
        assert "content-length" not in response.headers
        assert (await response.json())["error"]["type"] == "server_error"


async def test_a_header_can_be_another_than_the_right_one(
    double: Double, client: aiohttp.ClientSession
) -> None:
    double.script(reply("a").with_faults(header("Content-Type", "text/html")))

    async with client.post(double.url + CHAT) as response:
        assert response.headers.getall("content-type") == ["text/html"]


async def test_an_event_can_be_left_out(double: Double, client: aiohttp.ClientSession) -> None:
    double.script(DEFAULT.with_faults(without(DONE)))

    assert await received(client, double) == (WHOLE.removesuffix(DONE), None)


async def test_the_headers_can_come_late(double: Double, client: aiohttp.ClientSession) -> None:
    gate = Gate()
    double.script(DEFAULT.with_faults(late(Wait(gate))))

    async def open_it() -> None:
        await gate.reached()
        assert double.requests[0].head_at is None
        gate.open()

    answer, _ = await asyncio.gather(received(client, double), open_it())

    assert answer == (WHOLE, None)


@pytest.mark.parametrize("stray", [GARBAGE, huge_line(2 * 1024 * 1024)], ids=["garbage", "huge"])
async def test_stray_bytes_come_between_events_as_they_are(
    stray: bytes, double: Double, client: aiohttp.ClientSession
) -> None:
    double.script(reply("a", stray, "b"))

    body, _ = await received(client, double)

    before, _, after = body.partition(stray)
    assert b'"a"' in before
    assert b'"b"' in after


def test_a_huge_line_has_its_size() -> None:
    line = huge_line(1000)

    assert len(line) == 1000
    assert line.count(b"\n") == 1


KEEP_ALIVES = {
    "openai": (CHAT, b": keep-alive\n\n"),
    "openrouter": (CHAT, b": OPENROUTER PROCESSING\n\n"),
    "claude": ("/v1/messages", b'event: ping\ndata: {"type":"ping"}\n\n'),
}


@pytest.mark.parametrize("provider", KEEP_ALIVES)
async def test_keep_alives_go_on_in_the_providers_way_until_the_client_leaves(
    provider: str, start_double: StartDouble, client: aiohttp.ClientSession
) -> None:
    double = await start_double(provider)
    double.script(reply("a", KeepAlives(0.001)))
    path, keep_alive = KEEP_ALIVES[provider]

    async with client.post(double.url + path) as response:
        body = b""
        while body.count(keep_alive) < 5:
            body += await response.content.readany()
        response.close()

    assert body.endswith(keep_alive)
    await double.requests[0].left()


FAILURES = {
    "openai": (CHAT, rb'data: \{"error":.*"server_overloaded"\}\}\n\ndata: \[DONE\]\n\n$'),
    "groq": (CHAT, rb'event: error\ndata: \{"error":.*"capacity_exceeded"\}\}\n\n$'),
    "openrouter": (CHAT, rb'"finish_reason":"error".*"error":\{"code":503.*\[DONE\]\n\n$'),
    "mistral": (CHAT, rb'"finish_reason":"error".*\[DONE\]\n\n$'),
    "deepseek": (CHAT, rb'"finish_reason":"insufficient_system_resource".*\[DONE\]\n\n$'),
    "claude": ("/v1/messages", rb'event: error\ndata: .*"overloaded_error".*\n\n$'),
    "gemini": (
        "/v1beta/models/m:streamGenerateContent?alt=sse",
        rb'data: \{"error":\{"code":503,.*"UNAVAILABLE"\}\}\n\n$',
    ),
    "perplexity": ("/v1/agent", rb"event: error\n.*event: response.failed\n.*\n\n$"),
    "grok": ("/v1/responses", rb"event: error\n.*event: response.failed\n.*\n\n$"),
}


@pytest.mark.parametrize("provider", FAILURES)
async def test_an_error_inside_a_stream_is_told_as_the_provider_tells_it(
    provider: str, start_double: StartDouble, client: aiohttp.ClientSession
) -> None:
    double = await start_double(provider)
    double.script(reply("partial", Failure(Kind.OVERLOADED), "never"))
    path, expected = FAILURES[provider]

    body, broken = await received(client, double, path)

    assert broken is None
    assert b"partial" in body
    assert b"never" not in body
    assert re.search(expected, body, re.DOTALL)


async def test_steps_after_an_error_inside_a_stream_are_played(
    double: Double, client: aiohttp.ClientSession
) -> None:
    double.script(reply("partial", Failure(Kind.SERVER), Cut()))

    body, broken = await received(client, double)

    assert b'"server_error"' in body
    assert isinstance(broken, aiohttp.ClientPayloadError)


async def test_a_script_that_cannot_be_played_is_a_server_error_not_a_hang(
    double: Double, client: aiohttp.ClientSession
) -> None:
    for broken in (play(Send(b"no head")), DEFAULT.with_faults(cut_at(10**6))):
        double.script(broken)
        async with client.post(double.url + CHAT) as response:
            assert response.status == 500

    assert double.active == 0


# --- Where there is no server ---------------------------------------------------------------


async def test_connecting_to_a_deaf_address_hangs(client: aiohttp.ClientSession) -> None:
    with deaf_address() as url, pytest.raises(aiohttp.ConnectionTimeoutError):
        await client.post(url, timeout=aiohttp.ClientTimeout(sock_connect=0.1))


async def test_connecting_to_a_closed_address_is_refused(client: aiohttp.ClientSession) -> None:
    with closed_address() as url, pytest.raises(aiohttp.ClientConnectorError):
        await client.post(url)


async def request(double: Double) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A chat request on a connection of its own, sent but not read."""
    port = int(double.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}" % CHAT.encode())
    return reader, writer


def test_rendering_is_done_once_for_each_voice_and_request() -> None:
    script: Script = reply("a")
    voice = voice_for("openai", "chat")

    assert script.steps(voice, Ask("m")) is script.steps(voice, Ask("m"))
    assert script.steps(voice, Ask("n")) is not script.steps(voice, Ask("m"))
