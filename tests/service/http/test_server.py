"""Requests that are not HTTP: refused in the typed form, and forgotten."""

import asyncio
import logging

import orjson
import pytest
from aiohttp import web

from service.http.problems import typed_errors
from service.http.server import Runner


async def said_to(raw: bytes) -> bytes:
    """What the server answers to these bytes, until it hangs up."""

    async def handler(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(text="ok")

    app = web.Application(middlewares=[typed_errors()])
    app.router.add_post("/", handler)
    runner = Runner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        reader, writer = await asyncio.open_connection(*runner.addresses[0][:2])
        writer.write(raw)
        async with asyncio.timeout(5):
            answer = await reader.read()
        writer.close()
    finally:
        await runner.cleanup()
    return answer


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
