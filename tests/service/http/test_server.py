"""Requests that are not HTTP: refused in the typed form, and forgotten; frames without a mask."""

import asyncio
import gzip
import logging
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson
import pytest
from aiohttp import web

from service.http.problems import typed_errors
from service.http.server import Runner


@asynccontextmanager
async def running(route: web.RouteDef) -> AsyncIterator[tuple[StreamReader, StreamWriter]]:
    """A connection to a server with that route."""
    app = web.Application(middlewares=[typed_errors()])
    app.add_routes([route])
    runner = Runner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        reader, writer = await asyncio.open_connection(*runner.addresses[0][:2])
        async with asyncio.timeout(5):
            yield reader, writer
        writer.close()
    finally:
        await runner.cleanup()


async def said_to(raw: bytes) -> bytes:
    """What the server answers to these bytes, until it hangs up."""

    async def handler(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(text="ok")

    async with running(web.post("/", handler)) as (reader, writer):
        writer.write(raw)
        return await reader.read()


HEAD = b"POST / HTTP/1.1\r\nHost: x\r\n"


@pytest.mark.parametrize(
    "raw",
    [
        HEAD + b"Cookie session=my-secret\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nmy-secret\r\n\r\n",
        HEAD + b"Authorization: Bearer my-secret" + b"x" * 9_000 + b"\r\n\r\n",
        b"my-secret\r\n\r\n",
    ],
    ids=["no colon", "no chunk", "too long", "no method"],
)
async def test_nothing_of_a_broken_request_is_said_again_or_logged(
    raw: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        answer = await said_to(raw)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b" 400 " in head.split(b"\r\n")[0]
    assert orjson.loads(body)["error"]["code"] == "invalid_request"
    assert b"my-secret" not in answer
    assert "my-secret" not in caplog.text
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize(
    ("frame", "answer"),
    [
        (b"\x81\x81\0\0\0\0x", b"\x81\x01x"),
        (b"\x81\x01x", b"\x88\x02\x03\xea"),
    ],
    ids=["masked", "unmasked"],
)
async def test_a_frame_without_a_mask_ends_its_websocket_with_1002(
    frame: bytes, answer: bytes
) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        async for message in ws:
            await ws.send_str(message.data)
        return ws

    async with running(web.get("/", handler)) as (reader, writer):
        writer.write(
            b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        writer.write(frame)
        await reader.readuntil(b"\r\n\r\n")
        assert await reader.readexactly(len(answer)) == answer


async def test_a_body_reaches_its_route_as_it_was_sent() -> None:
    packed = gzip.compress(b"hi")

    async def handler(request: web.Request) -> web.Response:
        return web.Response(body=await request.read())

    async with running(web.post("/", handler)) as (reader, writer):
        length = str(len(packed)).encode()
        writer.write(HEAD + b"Content-Encoding: gzip\r\nContent-Length: " + length + b"\r\n\r\n")
        writer.write(packed)
        await reader.readuntil(b"\r\n\r\n")
        assert await reader.readexactly(len(packed)) == packed
