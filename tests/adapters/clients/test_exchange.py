import asyncio
import gc
import ssl
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import httpx2
import pytest

from adapters.clients import exchange
from adapters.clients.exchange import through
from adapters.clients.transport import Connections, httpx2_client, httpx_client
from adapters.clients.upstream import MAX_ERROR_BODY, RawUpstream
from adapters.contract import Encoded
from adapters.errors import UpstreamError
from adapters.events import ErrorCode
from adapters.registry import COMPATIBLE, FIFTEEN
from tests.adapters.clients.calls import encoded
from tests.adapters.clients.conftest import idle, in_use
from tests.adapters.clients.peer import PATIENCE, Answer, Asked, Peer, Talk

OPENAI = FIFTEEN["openai"]
EVENTS = "text/event-stream"


async def send(
    connections: Connections, url: str, body: dict[str, Any] | None = None
) -> RawUpstream:
    """Through the smallest SDK there can be: a client that posts something else."""
    client = httpx2_client(connections)

    async def sdk(_encoded: Encoded, _body: bytes) -> None:
        request = client.build_request("POST", url, content=b"what the SDK made of it")
        (await client.send(request, stream=True)).raise_for_status()

    return await through(
        sdk,
        Encoded(path="", body=body or {}),
        OPENAI,
        connect_timeout=PATIENCE,
        raises=httpx2.HTTPError,
    )


async def refusal(connections: Connections, url: str) -> UpstreamError:
    with pytest.raises(UpstreamError) as refusal:
        await send(connections, url)
    assert refusal.value.error.provider == "openai"
    return refusal.value


def says(status: str, body: bytes, content_type: str | None, headers: str = "") -> Answer:
    async def answer(_asked: Asked, talk: Talk) -> None:
        kind = "" if content_type is None else f"Content-Type: {content_type}\r\n"
        await talk.whole(body, status=status, headers=kind + headers)

    return answer


# --- Sending ---


async def test_our_encoding_goes_on_the_wire_whatever_the_sdk_makes_of_it(
    connections: Connections, peer: Peer
) -> None:
    (await send(connections, peer.url, {"text": "é \U0001f300", "n": 1.0, "big": 10**30})).close()
    sent = f'{{"text":"é \U0001f300","n":1.0,"big":{10**30}}}'
    assert peer.asked[0].body == sent.encode()


async def test_requests_under_way_together_keep_their_own_bodies_and_answers(
    connections: Connections, peer: Peer
) -> None:
    async def echo(asked: Asked, talk: Talk) -> None:
        await talk.stream(asked.body)

    async def sent(number: int) -> bytes:
        upstream = await send(connections, peer.url, {"n": number})
        return b"".join([part async for part in upstream.chunks()])

    peer.answer = echo
    answers = await asyncio.gather(*(sent(number) for number in range(20)))
    assert answers == [b'{"n":%d}' % number for number in range(20)]


async def test_a_streaming_answer_keeps_nothing_of_its_request(
    connections: Connections, peer: Peer
) -> None:
    # A prompt of megabytes would be held for as long as the connection lives.
    async def stays(_asked: Asked, talk: Talk) -> None:
        await talk.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        await talk.gone()

    bodies: list[bytes] = []
    client = httpx2_client(connections)

    async def sdk(_encoded: Encoded, body: bytes) -> None:
        bodies.append(body)
        await client.send(client.build_request("POST", peer.url, content=body), stream=True)

    peer.answer = stays
    upstream = await through(
        sdk, encoded("openai"), OPENAI, connect_timeout=PATIENCE, raises=httpx2.HTTPError
    )
    await asyncio.sleep(0)
    gc.collect()
    holders = sys.getrefcount(bodies[0])
    assert holders == 2  # the list, and the call that counts
    upstream.close()


async def test_outside_of_an_exchange_there_is_none(connections: Connections, peer: Peer) -> None:
    (await send(connections, peer.url)).close()
    with pytest.raises(LookupError):
        exchange.current()


# --- What streams ---


@pytest.mark.parametrize(
    "content_type", [EVENTS, f"{EVENTS}; charset=utf-8", "Text/Event-Stream;charset=UTF-8", None]
)
async def test_a_200_of_events_or_of_no_stated_type_streams(
    connections: Connections, peer: Peer, content_type: str | None
) -> None:
    peer.answer = says("200 OK", b"data: 1\n\n", content_type)
    upstream = await send(connections, peer.url)
    assert [part async for part in upstream.chunks()] == [b"data: 1\n\n"]


@pytest.mark.parametrize(
    ("status", "body", "content_type"),
    [
        ("200 OK", b"<html>Sign in</html>", "text/html"),
        ("200 OK", b"data: 1\n\n", "text/plain"),
        ("200 OK", b"", "application/json"),
        ("200 OK", b"[]", "application/json"),
        ("200 OK", b'{"id":"x","status":"completed","error":null}', "application/json"),
        ("200 OK", b"data: 1\n\n", ""),
        ("201 Created", b"data: 1\n\n", EVENTS),
        ("204 No Content", b"", EVENTS),
        ("206 Partial Content", b"data: 1\n\n", EVENTS),
        ("302 Found", b"", EVENTS),
        ("304 Not Modified", b"", EVENTS),
        ("307 Temporary Redirect", b"{}", "application/json"),
    ],
)
async def test_anything_else_below_400_is_malformed(
    connections: Connections, peer: Peer, status: str, body: bytes, content_type: str
) -> None:
    peer.answer = says(status, body, content_type, headers=f"Location: {peer.url}/else\r\n")
    error = (await refusal(connections, peer.url)).error
    assert error.code is ErrorCode.UPSTREAM_MALFORMED
    assert len(peer.asked) == 1
    assert in_use(connections) == 0


async def test_an_upgrade_nobody_asked_for_is_malformed(
    connections: Connections, peer: Peer
) -> None:
    async def answer(_asked: Asked, talk: Talk) -> None:
        await talk.send(b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n")
        await talk.cut()

    peer.answer = answer
    await refusal(connections, peer.url)
    assert (in_use(connections), idle(connections)) == (0, 0)


# --- What fails ---


@pytest.mark.parametrize(
    ("status", "body", "content_type", "code"),
    [
        ("400 Bad Request", b'{"error":{"code":"context_length_exceeded","message":"m"}}',
         "application/json", ErrorCode.CONTEXT_LENGTH),
        ("401 Unauthorized", b'{"error":{"code":"invalid_api_key"}}', "application/json",
         ErrorCode.AUTH_PROVIDER),
        ("429 Too Many", b'{"error":{"type":"insufficient_quota"}}', "application/json",
         ErrorCode.QUOTA_PROVIDER),
        ("502 Bad Gateway", b"<html><title>Bad</title></html>", "text/html",
         ErrorCode.UPSTREAM_5XX),
        ("503 No", b"\xff\xfe not text", "application/octet-stream", ErrorCode.OVERLOADED),
        ("429 Too Many", b"data: no\n\n", EVENTS, ErrorCode.RATE_LIMIT_PROVIDER),
        # As a whole answer that failed comes from an API that was asked to stream.
        ("200 OK", b'{"status":"failed","error":{"code":"rate_limit_exceeded","message":"m"}}',
         "application/json", ErrorCode.RATE_LIMIT_PROVIDER),
        ("200 OK", b'{"error":{"code":"invalid_api_key"}}', "application/json; charset=utf-8",
         ErrorCode.AUTH_PROVIDER),
        ("200 OK", b'[{"error":{"code":429,"status":"RESOURCE_EXHAUSTED"}}]', "application/json",
         ErrorCode.RATE_LIMIT_PROVIDER),
    ],
)  # fmt: skip
async def test_an_error_is_told_by_its_body(
    connections: Connections,
    peer: Peer,
    status: str,
    body: bytes,
    content_type: str,
    code: ErrorCode,
) -> None:
    peer.answer = says(status, body, content_type)
    failure = await refusal(connections, peer.url)
    assert failure.error.code is code
    assert failure.reached == "refused"
    assert idle(connections) == 1  # it was read to its end


async def test_an_errors_headers_count(connections: Connections, peer: Peer) -> None:
    peer.answer = says("429 Too Many", b"{}", "application/json", "Retry-After: 7\r\n")
    assert (await refusal(connections, peer.url)).error.retry_after_ms == 7_000


async def test_an_error_without_end_is_told_all_the_same(
    connections: Connections, peer: Peer
) -> None:
    async def answer(_asked: Asked, talk: Talk) -> None:
        await talk.send(b"HTTP/1.1 500 No\r\nContent-Type: text/plain\r\n\r\n")
        while True:
            await talk.send(b"overloaded " * MAX_ERROR_BODY)

    peer.answer = answer
    await refusal(connections, peer.url)
    assert (in_use(connections), idle(connections)) == (0, 0)
    await peer.deserted()


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Talk.cut, ErrorCode.UPSTREAM_CONNECT),
        (Talk.reset, ErrorCode.UPSTREAM_CONNECT),
        (lambda talk: talk.send(b"SSH-2.0-OpenSSH_9.6\r\n"), ErrorCode.UPSTREAM_MALFORMED),
        (
            lambda talk: talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n"),
            ErrorCode.UPSTREAM_MALFORMED,
        ),
    ],
    ids=["closes", "resets", "is not HTTP", "is broken HTTP"],
)
async def test_a_peer_that_does_not_answer_is_told(
    connections: Connections,
    peer: Peer,
    answer: Callable[[Talk], Awaitable[None]],
    code: ErrorCode,
) -> None:
    async def play(_asked: Asked, talk: Talk) -> None:
        await answer(talk)

    peer.answer = play
    failure = await refusal(connections, peer.url)
    assert failure.error.code is code
    assert failure.reached == "taken"  # it had the request
    assert in_use(connections) == 0


async def test_a_refused_connection_is_told(connections: Connections) -> None:
    failure = await refusal(connections, "http://127.0.0.1:1")
    assert failure.error.code is ErrorCode.UPSTREAM_CONNECT
    assert failure.error.message == "The provider could not be reached."
    assert failure.reached == "unsent"


async def test_a_certificate_nobody_vouches_for_is_told(
    connections: Connections, certificate: ssl.SSLContext
) -> None:
    async with Peer(tls=certificate) as peer:
        failure = await refusal(connections, peer.url)
    assert failure.error.code is ErrorCode.UPSTREAM_CONNECT
    assert "TLS" in failure.error.message
    assert failure.reached == "unsent"


async def test_an_sdk_that_sends_nothing_is_an_error_of_ours() -> None:
    async def sdk(_encoded: Encoded, _body: bytes) -> None:
        raise httpx2.UnsupportedProtocol("no")

    with pytest.raises(UpstreamError) as failure:
        await through(
            sdk,
            Encoded(path="", body={}),
            COMPATIBLE,
            connect_timeout=1,
            raises=httpx2.HTTPError,
        )
    assert failure.value.error.code is ErrorCode.INTERNAL
    assert isinstance(failure.value.__cause__, httpx2.UnsupportedProtocol)


async def test_an_sdk_that_fails_over_a_good_answer_leaves_no_connection(
    connections: Connections, peer: Peer
) -> None:
    async def stays(_asked: Asked, talk: Talk) -> None:
        await talk.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        await talk.gone()

    async def sdk(_encoded: Encoded, _body: bytes) -> None:
        client = httpx_client(connections)
        await client.send(client.build_request("POST", peer.url), stream=True)
        raise httpx.DecodingError("no")

    peer.answer = stays
    with pytest.raises(UpstreamError):
        await through(
            sdk,
            Encoded(path="", body={}),
            OPENAI,
            connect_timeout=PATIENCE,
            raises=httpx.HTTPError,
        )
    assert in_use(connections) == 0
    await peer.deserted()


# --- Cancelling ---


async def test_cancelling_after_the_headers_closes_the_socket(
    connections: Connections, peer: Peer
) -> None:
    answered = asyncio.Event()

    async def stays(_asked: Asked, talk: Talk) -> None:
        await talk.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        await talk.gone()

    async def sdk(_encoded: Encoded, _body: bytes) -> None:
        client = httpx2_client(connections)
        await client.send(client.build_request("POST", peer.url), stream=True)
        answered.set()
        await asyncio.Event().wait()  # an SDK that has something to do yet

    peer.answer = stays
    async with asyncio.TaskGroup() as group:
        task = group.create_task(
            through(
                sdk,
                Encoded(path="", body={}),
                OPENAI,
                connect_timeout=PATIENCE,
                raises=httpx2.HTTPError,
            )
        )
        await answered.wait()
        task.cancel()
    assert in_use(connections) == 0
    await peer.deserted()


async def test_cancelling_while_an_error_is_read_closes_the_socket(
    connections: Connections, peer: Peer
) -> None:
    read = asyncio.Event()

    async def stalls(_asked: Asked, talk: Talk) -> None:
        await talk.send(b"HTTP/1.1 500 No\r\nContent-Length: 100\r\n\r\nan err")
        read.set()
        await talk.gone()

    peer.answer = stalls
    async with asyncio.TaskGroup() as group:
        task = group.create_task(send(connections, peer.url))
        await read.wait()
        task.cancel()
    assert in_use(connections) == 0
    await peer.deserted()


@pytest.mark.parametrize("library", [httpx2_client, httpx_client])
async def test_an_sdk_is_told_the_status_alone(
    connections: Connections,
    peer: Peer,
    library: Callable[[Connections], httpx.AsyncClient | httpx2.AsyncClient],
) -> None:
    told: list[tuple[int, bytes]] = []

    async def sdk(_encoded: Encoded, _body: bytes) -> None:
        answer = await library(connections).post(peer.url)
        told.append((answer.status_code, answer.content))

    for status in ("418 Teapot", "200 OK"):
        peer.answer = says(status, b"a prompt, repeated", "text/plain")
        with pytest.raises(UpstreamError):
            await through(
                sdk, Encoded(path="", body={}), OPENAI, connect_timeout=1, raises=httpx.HTTPError
            )
    assert told == [(418, b"{}"), (200, b"{}")]


async def test_a_request_leaves_no_work_to_the_garbage_collector(
    connections: Connections, peer: Peer
) -> None:
    peer.answer = says("200 OK", b"data: {}\n\n", "text/event-stream")
    client = httpx_client(connections)  # the older library, whose responses know their streams

    async def sdk(_encoded: Encoded, _body: bytes) -> None:
        request = client.build_request("POST", peer.url, content=b"")
        await client.send(request, stream=True)

    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        asked = Encoded(path="", body={})
        upstream = await through(sdk, asked, OPENAI, connect_timeout=PATIENCE, raises=())
        await upstream.pour(lambda _data: None)
        upstream.close()
        del upstream
        gc.collect()
        left = [kind for kind in map(type, gc.garbage) if kind.__module__.startswith("httpx")]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert left == []
