"""How a connection becomes a WebSocket: what is agreed on, and what a wrong handshake is told."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from service.http import handshake
from service.settings import Streams, Websocket
from tests.service.http.serving import served

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPTED = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
"""Of that key, as RFC 6455 has it in section 1.3."""

RIGHT = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": KEY,
}


@asynccontextmanager
async def route(limits: Websocket = Websocket()) -> AsyncIterator[str]:  # noqa: B008 - frozen
    """A route that repeats one message."""

    async def echo(request: web.Request) -> web.StreamResponse:
        ws, _ = await handshake.shaken(request, limits, Streams(), "one.v1")
        await ws.send_str(await ws.receive_str())
        await ws.close()
        return ws

    async with served(web.get("/", echo)) as url:
        yield url


async def answered(headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
    """The status, headers and body that a GET with these headers gets."""
    async with route() as url:
        host, _, port = url.removeprefix("http://").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        said = {"Host": f"{host}:{port}", **headers}
        lines = ["GET / HTTP/1.1", *(f"{name}: {value}" for name, value in said.items()), "", ""]
        writer.write("\r\n".join(lines).encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        told = dict(line.split(": ", 1) for line in head[1:-2])
        body = await reader.readexactly(int(told.get("Content-Length", "0")))
        writer.close()
        return int(head[0].split()[1]), told, body


async def test_the_key_is_answered_as_the_standard_has_it() -> None:
    status, told, _ = await answered(RIGHT)
    assert status == 101
    assert told["Sec-WebSocket-Accept"] == ACCEPTED


async def test_no_compression_is_agreed_on_and_only_a_known_sub_protocol() -> None:
    offer = {"Sec-WebSocket-Extensions": "permessage-deflate", "Sec-WebSocket-Protocol": "x,one.v1"}
    status, told, _ = await answered(RIGHT | offer)
    assert status == 101
    assert told["Sec-WebSocket-Protocol"] == "one.v1"
    assert "Sec-WebSocket-Extensions" not in told


async def test_a_sub_protocol_that_nobody_speaks_is_not_echoed_and_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.DEBUG):
        status, told, _ = await answered(RIGHT | {"Sec-WebSocket-Protocol": "bearer.my-secret"})
    assert status == 101
    assert "Sec-WebSocket-Protocol" not in told
    assert "my-secret" not in caplog.text


@pytest.mark.parametrize(
    "wrong",
    [
        {"Sec-WebSocket-Key": ""},
        {"Sec-WebSocket-Key": "c2hvcnQ="},
        {"Sec-WebSocket-Key": "not base64!"},
        {"Sec-WebSocket-Version": "12"},
        {"Sec-WebSocket-Version": ""},
        {"Connection": "close"},
    ],
    ids=["no key", "a short key", "no base64", "another version", "no version", "no upgrade"],
)
async def test_a_handshake_that_is_none_is_told_what_one_needs(wrong: dict[str, str]) -> None:
    status, _, body = await answered(RIGHT | wrong)
    assert status == 400
    assert b"Sec-WebSocket-Key of 16 bytes in base64" in body


async def test_a_message_may_be_as_long_as_the_settings_have_it() -> None:
    async with route(Websocket(max_frame_bytes=1_024)) as url, aiohttp.ClientSession() as session:
        for size, code in ((1_023, aiohttp.WSCloseCode.OK), (1_024, 1009)):
            async with session.ws_connect(url) as ws:
                await ws.send_str("x" * size)
                async for message in ws:
                    assert message.data == "x" * 1_023
                assert ws.close_code == code


def test_sockets_that_came_at_once_do_not_all_go_at_once() -> None:
    lives = {handshake.lifetime(Websocket(max_age_s=100)) for _ in range(20)}
    assert len(lives) > 1
    assert all(90 <= life <= 110 for life in lives)
