import asyncio
import gzip
import random
import zlib

import aiohttp
import pytest

from adapters.clients.transport import Connections
from adapters.clients.upstream import MAX_ERROR_BODY, RawUpstream, read_bounded
from adapters.errors import UpstreamError
from adapters.events import ErrorCode
from tests.adapters.clients.conftest import idle, in_use, until
from tests.adapters.clients.peer import EVENT_STREAM, PATIENCE, Answer, Asked, Peer, Talk, chunk

CHUNKED = EVENT_STREAM + b"Transfer-Encoding: chunked\r\n\r\n"
EVENT = b"data: one\n\n"
CHANCE = random.Random(4)  # noqa: S311 - any bytes will do, the same each time
BODY = CHANCE.randbytes(300_000)


async def respond(connections: Connections, peer: Peer) -> aiohttp.ClientResponse:
    return await connections.post(peer.url, {}, b"{}", connect_timeout=PATIENCE)


async def upstream(connections: Connections, peer: Peer) -> RawUpstream:
    return RawUpstream(await respond(connections, peer), "someone")


async def heard(upstream: RawUpstream) -> tuple[bytes, UpstreamError | None]:
    """Every byte, and how it ended."""
    body = b""
    try:
        async for part in upstream.chunks():
            assert part
            body += part
    except UpstreamError as error:
        return body, error
    return body, None


def says(*parts: bytes, then: str = "gone") -> Answer:
    """Send just this, then cut, reset, or wait until the client is gone."""

    async def answer(_asked: Asked, talk: Talk) -> None:
        await talk.send(*parts)
        await getattr(talk, then)()

    return answer


# --- Reading ---


def in_chunks() -> list[bytes]:
    parts, rest = [], BODY
    while rest:
        size = CHANCE.choice((1, 7, 300, 5_000, 70_000))
        parts.append(chunk(rest[:size]))
        rest = rest[size:]
    return [CHUNKED, *parts, b"0\r\n\r\n"]


@pytest.mark.parametrize(
    "parts",
    [
        in_chunks(),
        [EVENT_STREAM, b"Content-Length: 300000\r\n\r\n", BODY],
        [EVENT_STREAM, b"Connection: close\r\n\r\n", BODY],
    ],
    ids=["chunked", "of known length", "until it closes"],
)
async def test_what_is_read_is_what_was_sent_byte_for_byte(
    connections: Connections, peer: Peer, parts: list[bytes]
) -> None:
    peer.answer = says(*parts, then="cut")
    assert await heard(await upstream(connections, peer)) == (BODY, None)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_a_compressed_stream_is_decompressed_as_it_comes(
    connections: Connections, peer: Peer, coding: str
) -> None:
    packer = zlib.compressobj(wbits=31 if coding == "gzip" else 15)
    first = packer.compress(EVENT) + packer.flush(zlib.Z_SYNC_FLUSH)
    more = asyncio.Event()

    async def answer(_asked: Asked, talk: Talk) -> None:
        await talk.send(EVENT_STREAM, f"Content-Encoding: {coding}\r\n".encode())
        await talk.send(b"Transfer-Encoding: chunked\r\n\r\n", chunk(first))
        await more.wait()
        await talk.send(chunk(packer.compress(b"data: two\n\n") + packer.flush()), b"0\r\n\r\n")

    peer.answer = answer
    parts = (await upstream(connections, peer)).chunks()
    assert await anext(parts) == EVENT
    more.set()
    assert await anext(parts) == b"data: two\n\n"
    with pytest.raises(StopAsyncIteration):
        await anext(parts)


async def test_every_read_of_the_socket_is_a_chunk(connections: Connections, peer: Peer) -> None:
    turn = asyncio.Event()

    async def answer(_asked: Asked, talk: Talk) -> None:
        await talk.send(CHUNKED)
        for number in range(5):
            await turn.wait()
            turn.clear()
            await talk.send(chunk(b"data: %d\n\n" % number))
        await talk.send(b"0\r\n\r\n")

    peer.answer = answer
    parts = (await upstream(connections, peer)).chunks()
    for number in range(5):
        turn.set()
        assert await anext(parts) == b"data: %d\n\n" % number
    assert [part async for part in parts] == []


async def test_headers_are_found_in_any_case(connections: Connections, peer: Peer) -> None:
    peer.answer = says(EVENT_STREAM, b"X-Request-Id: r1\r\nContent-Length: 0\r\n\r\n")
    answer = await upstream(connections, peer)
    assert answer.headers["x-request-ID"] == "r1"
    answer.close()


# --- Being cut ---


@pytest.mark.parametrize("then", ["cut", "reset"])
async def test_a_cut_comes_after_every_byte_before_it(
    connections: Connections, peer: Peer, then: str
) -> None:
    read = asyncio.Event()

    async def answer(_asked: Asked, talk: Talk) -> None:
        await talk.send(CHUNKED, chunk(EVENT))
        await read.wait()
        await getattr(talk, then)()

    peer.answer = answer
    parts = (await upstream(connections, peer)).chunks()
    assert await anext(parts) == EVENT
    read.set()
    with pytest.raises(UpstreamError) as cut:
        await anext(parts)
    assert cut.value.error.code is ErrorCode.STREAM_INTERRUPTED
    assert cut.value.error.provider == "someone"
    assert cut.value.error.retryable


async def test_bytes_that_came_with_the_cut_are_read_all_the_same(
    connections: Connections, peer: Peer
) -> None:
    # A finish signal may be among them; aiohttp alone would raise the cut first.
    peer.answer = says(CHUNKED, chunk(EVENT), b"20\r\ndata: half an ev", then="cut")
    response = await respond(connections, peer)
    await until(lambda: response.content.exception() is not None)
    body, error = await heard(RawUpstream(response, "someone"))
    assert body == EVENT + b"data: half an ev"
    assert error is not None
    assert error.error.code is ErrorCode.STREAM_INTERRUPTED


@pytest.mark.parametrize(
    ("head", "broken"),
    [
        ("Transfer-Encoding: chunked", b"a\r\ndata: one\n\r\nnot a size\r\n"),
        ("Content-Length: 100", b"data: one\n"),
        ("Content-Encoding: gzip\r\nContent-Length: 100", b"this was never compressed" * 4),
    ],
    ids=["framing", "length", "compression"],
)
async def test_a_broken_body_is_a_cut(
    connections: Connections, peer: Peer, head: str, broken: bytes
) -> None:
    headers_read = asyncio.Event()

    async def answer(_asked: Asked, talk: Talk) -> None:
        await talk.send(EVENT_STREAM, f"{head}\r\n\r\n".encode())
        await headers_read.wait()
        await talk.send(broken)
        await talk.cut()

    peer.answer = answer
    response = await upstream(connections, peer)
    headers_read.set()
    body, error = await heard(response)
    response.close()
    assert body in (b"data: one\n", b"")
    assert error is not None
    assert error.error.code is ErrorCode.STREAM_INTERRUPTED


# --- Closing ---


async def test_an_answer_read_to_its_end_gives_its_connection_back(
    connections: Connections, peer: Peer
) -> None:
    answer = await upstream(connections, peer)
    await heard(answer)
    answer.close()
    answer.close()
    assert (in_use(connections), idle(connections)) == (0, 1)


async def test_closing_earlier_closes_the_socket(connections: Connections, peer: Peer) -> None:
    peer.answer = says(CHUNKED, chunk(EVENT))
    answer = await upstream(connections, peer)
    await anext(answer.chunks())
    answer.close()
    answer.close()
    assert (in_use(connections), idle(connections)) == (0, 0)
    await peer.deserted()


async def test_closing_after_a_cancelled_read_closes_the_socket(
    connections: Connections, peer: Peer
) -> None:
    peer.answer = says(CHUNKED, chunk(EVENT))
    answer = await upstream(connections, peer)
    parts = answer.chunks()
    await anext(parts)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await anext(parts)
    answer.close()
    assert in_use(connections) == 0
    await peer.deserted()


async def test_closing_ends_a_read_that_waits(connections: Connections, peer: Peer) -> None:
    peer.answer = says(CHUNKED, chunk(EVENT))
    answer = await upstream(connections, peer)
    parts = answer.chunks()
    await anext(parts)
    asyncio.get_running_loop().call_soon(answer.close)
    with pytest.raises(UpstreamError):
        await anext(parts)


async def test_an_answer_that_was_cut_leaves_nothing(connections: Connections, peer: Peer) -> None:
    peer.answer = says(CHUNKED, chunk(EVENT), then="reset")
    answer = await upstream(connections, peer)
    await heard(answer)
    answer.close()
    assert (in_use(connections), idle(connections)) == (0, 0)


# --- Error bodies ---


async def test_an_error_body_is_read_whole_and_its_connection_reused(
    connections: Connections, peer: Peer
) -> None:
    packed = gzip.compress(b"an error")
    headers = f"Content-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n"
    peer.answer = says(b"HTTP/1.1 500 No\r\n", headers.encode(), packed)
    assert await read_bounded(await respond(connections, peer)) == b"an error"
    assert (in_use(connections), idle(connections)) == (0, 1)


async def test_an_error_body_without_end_is_read_to_its_bound(
    connections: Connections, peer: Peer
) -> None:
    async def answer(_asked: Asked, talk: Talk) -> None:
        await talk.send(CHUNKED)
        while True:
            await talk.send(chunk(b"x" * 10_000))

    peer.answer = answer
    assert await read_bounded(await respond(connections, peer)) == b"x" * MAX_ERROR_BODY
    assert in_use(connections) == 0
    await peer.deserted()


async def test_an_error_body_that_stalls_is_taken_as_far_as_it_came(
    connections: Connections, peer: Peer
) -> None:
    peer.answer = says(CHUNKED, chunk(b"an error, bro"))
    response = await respond(connections, peer)
    await until(lambda: response.content.total_bytes)
    assert await read_bounded(response, wait=0.01) == b"an error, bro"
    assert in_use(connections) == 0
    await peer.deserted()


async def test_an_error_body_that_is_cut_is_taken_as_far_as_it_came(
    connections: Connections, peer: Peer
) -> None:
    peer.answer = says(CHUNKED, chunk(b"an error, bro"), then="cut")
    assert await read_bounded(await respond(connections, peer)) == b"an error, bro"
