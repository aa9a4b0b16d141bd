import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import aiohttp
import pytest

from adapters.clients.line import Connector, Line
from adapters.clients.transport import Connections, _session
from tests.adapters.clients.conftest import idle, in_use, until
from tests.adapters.clients.peer import (
    EVENT_STREAM,
    PATIENCE,
    Answer,
    Asked,
    Peer,
    Talk,
    chunk,
    hello,
)

BIG = b"x" * 8_000_000  # bytes; more than any socket buffers


async def post(
    connections: Connections,
    url: str,
    body: bytes = b"{}",
    *,
    headers: dict[str, str] | None = None,
    connect_timeout: float = PATIENCE,
) -> aiohttp.ClientResponse:
    return await connections.post(url, headers or {}, body, connect_timeout=connect_timeout)


async def ask(connections: Connections, url: str, body: bytes = b"{}") -> bytes:
    response = await post(connections, url, body)
    return await response.read()


# --- Reuse ---


async def test_answers_read_to_their_end_share_one_connection(
    connections: Connections, peer: Peer
) -> None:
    for _ in range(10):
        assert await ask(connections, peer.url) == b"data: hello\n\n"
    assert peer.accepted == 1
    assert (in_use(connections), idle(connections)) == (0, 1)


async def test_a_hundred_requests_at_once_do_not_wait_for_each_other(
    connections: Connections, peer: Peer
) -> None:
    everyone = asyncio.Event()

    async def together(asked: Asked, talk: Talk) -> None:
        if len(peer.asked) >= 100:
            everyone.set()
        await everyone.wait()
        await hello(asked, talk)

    peer.answer = together
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*(ask(connections, peer.url) for _ in range(100)))
    assert peer.accepted == 100


async def test_closing_drops_idle_connections(peer: Peer) -> None:
    connections = Connections()
    await connections.open()
    await ask(connections, peer.url)
    await connections.close()
    await peer.deserted()


async def test_closing_twice_or_unopened_is_allowed() -> None:
    connections = Connections()
    await connections.close()
    await connections.open()
    await connections.close()
    await connections.close()


async def test_nothing_is_sent_before_opening() -> None:
    with pytest.raises(RuntimeError, match="not open"):
        await post(Connections(), "http://127.0.0.1:1/")


# --- Dead connections ---


Death = Callable[[Talk], Awaitable[None]]


def after_one_answer(then: Death) -> Answer:
    """Answer the first connection's first request, and do something else at its second."""

    async def answer(asked: Asked, talk: Talk) -> None:
        if asked.connection == 1 and asked.turn == 2:
            await then(talk)
        else:
            await hello(asked, talk)

    return answer


@pytest.mark.parametrize("death", [Talk.cut, Talk.reset])
@pytest.mark.parametrize("body", [b"{}", BIG], ids=["small", "big"])
async def test_a_request_on_a_dead_reused_connection_is_sent_once_more_on_a_fresh_one(
    connections: Connections, peer: Peer, death: Death, body: bytes
) -> None:
    peer.answer = after_one_answer(death)
    await ask(connections, peer.url)
    assert await ask(connections, peer.url, body) == b"data: hello\n\n"
    assert [(x.connection, x.turn) for x in peer.asked] == [(1, 1), (1, 2), (2, 1)]
    assert peer.asked[1].body == peer.asked[2].body == body


async def test_a_connection_that_dies_while_the_request_is_written_is_dead_too(
    connections: Connections, peer: Peer
) -> None:
    async def closes_after_answering(asked: Asked, talk: Talk) -> None:
        await hello(asked, talk)
        if asked.connection == 1:
            await talk.reset()

    peer.answer = closes_after_answering
    response = await post(connections, peer.url)
    await response.read()  # aiohttp has not been told yet that the connection is gone
    assert await ask(connections, peer.url, BIG) == b"data: hello\n\n"
    assert peer.asked[-1].body == BIG


async def test_a_fresh_connection_is_tried_even_where_others_wait_in_the_pool(
    connections: Connections, peer: Peer
) -> None:
    two = asyncio.Barrier(2)

    async def answer(asked: Asked, talk: Talk) -> None:
        if asked.turn == 1 and asked.connection <= 2:
            await two.wait()
        if asked.turn > 1:
            await talk.cut()
        else:
            await hello(asked, talk)

    peer.answer = answer
    await asyncio.gather(*(ask(connections, peer.url) for _ in range(2)))
    assert idle(connections) == 2
    assert await ask(connections, peer.url) == b"data: hello\n\n"
    assert [(x.connection, x.turn) for x in peer.asked[2:]] in ([(1, 2), (3, 1)], [(2, 2), (3, 1)])


@pytest.mark.parametrize("death", [Talk.cut, Talk.reset])
async def test_a_request_that_dies_on_a_new_connection_is_not_sent_again(
    connections: Connections, peer: Peer, death: Death
) -> None:
    async def answer(_asked: Asked, talk: Talk) -> None:
        await death(talk)

    peer.answer = answer
    with pytest.raises((aiohttp.ClientError, OSError)):
        await post(connections, peer.url)
    assert len(peer.asked) == 1


@pytest.mark.parametrize("death", [Talk.cut, Talk.reset])
@pytest.mark.parametrize("seen", [b"H", b"HTTP/1.1 200 OK\r\nX-", b"HTTP/1.1 102 P\r\n\r\n"])
async def test_a_request_is_not_sent_again_after_a_byte_of_its_answer(
    connections: Connections, peer: Peer, death: Death, seen: bytes
) -> None:
    async def begins(talk: Talk) -> None:
        await talk.send(seen)
        await arrived(connections)
        await death(talk)

    peer.answer = after_one_answer(begins)
    await ask(connections, peer.url)
    with pytest.raises((aiohttp.ClientError, OSError)):
        await post(connections, peer.url)
    assert len(peer.asked) == 2


async def arrived(connections: Connections) -> None:
    """Wait until the client has read what was sent."""
    session = connections._session
    assert session is not None
    assert session.connector is not None
    (line,) = session.connector._acquired
    assert isinstance(line, Line)
    await until(lambda: line._answered)


async def test_a_request_is_sent_at_most_twice(connections: Connections, peer: Peer) -> None:
    async def answer(asked: Asked, talk: Talk) -> None:
        if len(peer.asked) > 1:
            await talk.cut()
        else:
            await hello(asked, talk)

    peer.answer = answer
    await ask(connections, peer.url)
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await post(connections, peer.url)
    assert [(x.connection, x.turn) for x in peer.asked] == [(1, 1), (1, 2), (2, 1)]


async def test_the_fresh_connection_is_not_kept(connections: Connections, peer: Peer) -> None:
    peer.answer = after_one_answer(Talk.cut)
    await ask(connections, peer.url)
    await ask(connections, peer.url)
    await peer.deserted()
    assert idle(connections) == 0


# --- Connecting ---


@pytest.fixture
def deaf() -> Iterator[str]:
    """An address that takes no connection and refuses none: its backlog is full."""
    with socket.socket() as listener, contextlib.ExitStack() as waiting:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            client = waiting.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
async def mute() -> AsyncIterator[Peer]:
    """Takes connections and never says a word: no TLS handshake comes about."""

    async def silence(_asked: Asked, talk: Talk) -> None:
        await talk.gone()

    async with Peer(silence) as peer:
        yield peer


async def test_a_connection_that_does_not_come_about_ends_at_its_deadline(
    connections: Connections, deaf: str
) -> None:
    with pytest.raises(aiohttp.ConnectionTimeoutError):
        await post(connections, deaf, connect_timeout=0.05)


async def test_the_deadline_covers_tls(connections: Connections, mute: Peer) -> None:
    url = mute.url.replace("http:", "https:")
    with pytest.raises(aiohttp.ConnectionTimeoutError):
        await post(connections, url, connect_timeout=0.05)
    await mute.deserted()


async def test_a_refused_connection_is_told_at_once(connections: Connections) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(aiohttp.ClientConnectorError):
            await post(connections, f"http://127.0.0.1:{taken.getsockname()[1]}")


async def test_the_wait_for_an_answer_has_no_limit_of_its_own(
    connections: Connections, peer: Peer
) -> None:
    async def late(asked: Asked, talk: Talk) -> None:
        await asyncio.sleep(0.2)  # four times what connecting may take
        await hello(asked, talk)

    peer.answer = late
    response = await post(connections, peer.url, connect_timeout=0.05)
    assert await response.read() == b"data: hello\n\n"


async def test_a_certificate_nobody_vouches_for_is_refused(
    connections: Connections, certificate: ssl.SSLContext
) -> None:
    async with Peer(tls=certificate) as peer:
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await post(connections, peer.url)
        assert peer.asked == []


# --- Cancelling ---


async def cancelled(sending: Awaitable[object], when: Awaitable[object]) -> None:
    task = asyncio.ensure_future(sending)  # noqa: TID251 - the test owns it to its end
    await when
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_cancelling_while_connecting_leaves_nothing(
    connections: Connections, deaf: str
) -> None:
    await cancelled(post(connections, deaf), until(lambda: in_use(connections)))


async def test_cancelling_within_the_handshake_closes_the_socket(
    connections: Connections, mute: Peer
) -> None:
    await cancelled(post(connections, mute.url.replace("http:", "https:")), mute.connected())
    await mute.deserted()


async def test_cancelling_before_the_headers_closes_the_socket(
    connections: Connections, mute: Peer
) -> None:
    await cancelled(post(connections, mute.url), mute.arrived())
    assert in_use(connections) == 0
    await mute.deserted()


async def test_cancelling_within_the_headers_closes_the_socket(
    connections: Connections, peer: Peer
) -> None:
    async def begins(_asked: Asked, talk: Talk) -> None:
        await talk.send(EVENT_STREAM)
        await talk.gone()

    peer.answer = begins
    await cancelled(post(connections, peer.url), peer.arrived())
    assert in_use(connections) == 0
    await peer.deserted()


async def test_cancelling_a_request_while_it_is_written_sends_no_more_of_it(
    connections: Connections,
) -> None:
    loop = asyncio.get_running_loop()
    accepted: asyncio.Future[tuple[asyncio.StreamReader, asyncio.StreamWriter]]
    accepted = loop.create_future()

    async def does_not_read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.set_result((reader, writer))

    server = await asyncio.start_server(does_not_read, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    await cancelled(post(connections, url, BIG), accepted)
    reader, writer = accepted.result()
    async with asyncio.timeout(PATIENCE):
        came = await reader.read()
    assert len(came) < len(BIG)
    writer.close()
    server.close()


async def test_closing_an_answer_over_tls_does_not_wait_for_the_peer(
    certificate: ssl.SSLContext,
) -> None:
    async def talks_on(_asked: Asked, talk: Talk) -> None:
        talk.stop_reading()
        await talk.send(EVENT_STREAM, b"Transfer-Encoding: chunked\r\n\r\n")
        while True:
            await talk.send(chunk(b"data: more\n\n"))
            await asyncio.sleep(0)

    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    async with Peer(talks_on, certificate) as peer, _session(Connector(ssl=trusting)) as session:
        response = await session.post(peer.url)
        await response.content.readany()
        response.close()
        async with asyncio.timeout(2):  # the farewell of a plain close takes up to 30 s
            await peer.deserted()


# --- What the environment and the peer may not do ---


async def test_proxies_of_the_environment_are_not_asked(
    connections: Connections, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Peer() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        await ask(connections, peer.url)
        assert proxy.accepted == 0


async def test_netrc_is_not_read(
    connections: Connections, peer: Peer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login me password hunter2\n")
    monkeypatch.setenv("NETRC", str(netrc))
    await ask(connections, peer.url)
    assert "Authorization" not in peer.asked[0].headers


async def test_cookies_are_forgotten(connections: Connections, peer: Peer) -> None:
    async def answer(_asked: Asked, talk: Talk) -> None:
        await talk.whole(b"", headers="Set-Cookie: tenant=one; Path=/\r\n")

    peer.answer = answer
    await ask(connections, peer.url)
    await ask(connections, peer.url)
    assert "Cookie" not in peer.asked[1].headers


async def test_redirects_are_not_followed(connections: Connections, peer: Peer) -> None:
    async def answer(_asked: Asked, talk: Talk) -> None:
        headers = f"Location: {peer.url}/elsewhere\r\n"
        await talk.whole(b"", status="307 Temporary Redirect", headers=headers)

    peer.answer = answer
    response = await post(connections, peer.url)
    await response.read()
    assert response.status == 307
    assert len(peer.asked) == 1


async def test_the_framing_is_ours_and_no_compression_is_asked_for(
    connections: Connections, peer: Peer
) -> None:
    framing = {
        "host": "elsewhere.example",
        "content-length": "7000",
        "Transfer-Encoding": "chunked",
        "Connection": "close",
        "accept-encoding": "gzip, deflate",
        "X-Kept": "yes",
    }
    response = await post(connections, f"{peer.url}/a%2Fb?alt=sse", b"body", headers=framing)
    await response.read()
    (asked,) = peer.asked
    assert asked.line == "POST /a%2Fb?alt=sse HTTP/1.1"
    assert asked.headers.getall("Host") == [peer.url.removeprefix("http://")]
    assert asked.headers.getall("Content-Length") == ["4"]
    assert asked.headers.getall("Accept-Encoding") == ["identity"]
    assert asked.headers["X-Kept"] == "yes"
    assert "Connection" not in asked.headers
    assert "Transfer-Encoding" not in asked.headers
