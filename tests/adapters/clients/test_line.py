"""The tap: a body passed on in the read that brought it, and everything that can end it."""

import asyncio
import contextlib
import zlib

import aiohttp
import pytest

from adapters.clients.line import Tap, tap
from adapters.clients.transport import Connections
from adapters.clients.upstream import RawUpstream
from adapters.errors import UpstreamError
from adapters.events import ErrorCode
from tests.adapters.clients.conftest import idle
from tests.adapters.clients.peer import EVENT_STREAM, PATIENCE, Answer, Asked, Peer, Talk, chunk

CHUNKED = EVENT_STREAM + b"Transfer-Encoding: chunked\r\n\r\n"
EVENTS = [b"data: %d\n\n" % number for number in range(5)]


async def upstream(connections: Connections, peer: Peer) -> RawUpstream:
    response = await connections.post(peer.url, {}, b"{}", connect_timeout=PATIENCE)
    return RawUpstream(response, "someone")


def gated(gate: asyncio.Event, *after: bytes, then: str = "gone") -> Answer:
    """One event at once; the rest when the gate opens."""

    async def answer(_asked: Asked, talk: Talk) -> None:
        await talk.send(CHUNKED, chunk(EVENTS[0]))
        await gate.wait()
        await talk.send(*after)
        await getattr(talk, then)()

    return answer


async def test_every_read_is_passed_on_in_order_and_the_connection_is_kept(
    connections: Connections, peer: Peer
) -> None:
    gate = asyncio.Event()
    peer.answer = gated(gate, *map(chunk, EVENTS[1:]), b"0\r\n\r\n")
    poured: list[bytes] = []

    def sink(data: bytes) -> None:
        poured.append(data)
        gate.set()

    answer = await upstream(connections, peer)
    await answer.pour(sink)
    assert poured[0] == EVENTS[0]
    assert b"".join(poured) == b"".join(EVENTS)
    assert idle(connections) == 1


async def test_what_came_before_the_tap_is_passed_on_first(
    connections: Connections, peer: Peer
) -> None:
    async def answer(_asked: Asked, talk: Talk) -> None:
        await talk.stream(*EVENTS)
        await talk.gone()

    peer.answer = answer
    complete = await upstream(connections, peer)
    async with asyncio.timeout(PATIENCE):
        await complete._response.content.wait_eof()
    poured: list[bytes] = []
    await complete.pour(poured.append)
    assert b"".join(poured) == b"".join(EVENTS)


async def test_a_compressed_body_is_decompressed_before_it_is_passed_on(
    connections: Connections, peer: Peer
) -> None:
    packer = zlib.compressobj(wbits=31)
    packed = packer.compress(b"".join(EVENTS)) + packer.flush()

    async def answer(_asked: Asked, talk: Talk) -> None:
        head = b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
        await talk.send(EVENT_STREAM + head, chunk(packed[:10]))
        await asyncio.sleep(0)
        await talk.send(chunk(packed[10:]), b"0\r\n\r\n")

    peer.answer = answer
    poured: list[bytes] = []
    await (await upstream(connections, peer)).pour(poured.append)
    assert b"".join(poured) == b"".join(EVENTS)


@pytest.mark.parametrize("then", ["cut", "reset"])
async def test_a_cut_is_raised_after_every_byte_before_it(
    connections: Connections, peer: Peer, then: str
) -> None:
    gate = asyncio.Event()
    peer.answer = gated(gate, then=then)
    poured: list[bytes] = []

    def sink(data: bytes) -> None:
        poured.append(data)
        gate.set()

    answer = await upstream(connections, peer)
    with contextlib.closing(answer), pytest.raises(UpstreamError) as cut:
        await answer.pour(sink)
    assert cut.value.error.code is ErrorCode.STREAM_INTERRUPTED
    assert poured == [EVENTS[0]]


async def test_framing_that_breaks_is_a_cut(connections: Connections, peer: Peer) -> None:
    gate = asyncio.Event()
    peer.answer = gated(gate, b"no chunk at all\r\n")
    answer = await upstream(connections, peer)
    with contextlib.closing(answer), pytest.raises(UpstreamError):
        await answer.pour(lambda _: gate.set())


async def test_what_the_sink_raises_is_raised_to_who_waits_and_nothing_more_comes(
    connections: Connections, peer: Peer
) -> None:
    gate = asyncio.Event()
    peer.answer = gated(gate, *map(chunk, EVENTS[1:]))
    calls: list[bytes] = []

    def sink(data: bytes) -> None:
        calls.append(data)
        gate.set()
        raise ZeroDivisionError

    answer = await upstream(connections, peer)
    with contextlib.closing(answer), pytest.raises(ZeroDivisionError):
        await answer.pour(sink)
    assert calls == [EVENTS[0]]


async def test_who_is_cancelled_while_it_pours_closes_the_connection(
    connections: Connections, peer: Peer
) -> None:
    came = asyncio.Event()
    left = asyncio.Event()

    async def endless(_asked: Asked, talk: Talk) -> None:
        await talk.send(CHUNKED, chunk(EVENTS[0]))
        await talk.gone()
        left.set()

    peer.answer = endless
    answer = await upstream(connections, peer)

    async def pour() -> None:
        with contextlib.closing(answer):
            await answer.pour(lambda _: came.set())

    async with asyncio.TaskGroup() as group:
        pouring = group.create_task(pour())
        await came.wait()
        pouring.cancel()
    async with asyncio.timeout(PATIENCE):
        await left.wait()


async def test_only_a_connection_of_ours_can_be_tapped(peer: Peer) -> None:
    async with aiohttp.ClientSession() as session, session.post(peer.url) as response:
        assert response.connection is None or response.connection.protocol is not None
        protocol = aiohttp.client_proto.ResponseHandler(asyncio.get_running_loop())
        with pytest.raises(TypeError, match="not a connection of ours"):
            tap(response.content, protocol, lambda _: None)
        assert not isinstance(response.content, Tap)
