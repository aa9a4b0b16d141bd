"""The command line's HTTP client against a real server."""

import asyncio
from typing import Any

import pytest
from aiohttp import web
from pytest_aiohttp.plugin import AiohttpServer

from service import remote


async def serving(aiohttp_server: AiohttpServer, path: str, handler: Any) -> str:  # noqa: ANN401 - any
    app = web.Application()
    app.router.add_route("*", path, handler)
    server = await aiohttp_server(app)
    return f"http://127.0.0.1:{server.port}"


async def refusal(url: str) -> str:
    with pytest.raises(remote.RemoteError) as caught:
        await asyncio.to_thread(remote.get, url, "/x")
    assert "\n" not in str(caught.value)
    return str(caught.value)


async def test_json_is_fetched_from_below_any_address(aiohttp_server: AiohttpServer) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.json_response({"path": request.path})

    url = await serving(aiohttp_server, "/{path:.*}", handler)
    assert await asyncio.to_thread(remote.get, f"{url}/", "/x") == {"path": "/x"}


async def test_anything_is_fetched_as_it_comes(aiohttp_server: AiohttpServer) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(text=request.method + request.query_string)

    url = await serving(aiohttp_server, "/p", handler)
    assert b"".join(await asyncio.to_thread(lambda: [*remote.pieces(url, "/p?a=1")])) == b"GETa=1"


async def test_json_is_sent_and_its_answer_read(aiohttp_server: AiohttpServer) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.json_response([request.method, request.content_type, await request.json()])

    url = await serving(aiohttp_server, "/p", handler)
    answer = await asyncio.to_thread(remote.post, url, "/p", {"q": 1})
    assert answer == ["POST", "application/json", {"q": 1}]


async def test_events_arrive_while_the_answer_is_still_open(aiohttp_server: AiohttpServer) -> None:
    first_seen = asyncio.Event()
    bodies: list[Any] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        bodies.append((request.method, request.headers["Accept"], await request.json()))
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"event: a\ndata: 1\n\n")
        await first_seen.wait()
        await response.write(b"event: b\ndata: 2\n\n")
        return response

    url = await serving(aiohttp_server, "/s", handler)
    loop = asyncio.get_running_loop()

    def read() -> list[str]:
        events = remote.stream(url, "/s", {"q": 1})
        names = [next(events).event]
        loop.call_soon_threadsafe(first_seen.set)
        return names + [message.event for message in events]

    assert await asyncio.to_thread(read) == ["a", "b"]
    assert bodies == [("POST", "text/event-stream", {"q": 1})]


async def test_a_typed_error_is_told_by_its_code_and_message(aiohttp_server: AiohttpServer) -> None:
    async def handler(_: web.Request) -> web.Response:
        error = {"code": "no_candidates", "message": "no key is set"}
        return web.json_response({"error": error}, status=422)

    url = await serving(aiohttp_server, "/x", handler)
    assert await refusal(url) == "no_candidates: no key is set"


@pytest.mark.parametrize("text", ["<html>", "{}", '{"error": "no"}', "[]"])
async def test_an_error_of_something_else_is_told_by_its_status(
    aiohttp_server: AiohttpServer, text: str
) -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(status=502, text=text)

    url = await serving(aiohttp_server, "/x", handler)
    assert await refusal(url) == "HTTP 502 Bad Gateway: not a Tailrace answer"


async def test_an_answer_that_is_no_json_is_told_in_a_line(aiohttp_server: AiohttpServer) -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(text="hello")

    url = await serving(aiohttp_server, "/x", handler)
    assert await refusal(url) == f"{url}/x did not answer with JSON"


async def test_a_connection_that_breaks_is_told_in_a_line(aiohttp_server: AiohttpServer) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        await response.write(b"{")
        assert request.transport is not None
        request.transport.abort()
        return response

    url = await serving(aiohttp_server, "/x", handler)
    assert (await refusal(url)).startswith(f"the connection to {url} broke: ")


async def test_where_nobody_listens_the_line_says_how_to_start_one(unused_tcp_port: int) -> None:
    url = f"http://127.0.0.1:{unused_tcp_port}"
    assert await refusal(url) == (
        f"no service answers at {url} (Connection refused); `tailrace serve` starts one"
    )


async def test_only_http_addresses_are_opened() -> None:
    assert "must be http:// or https://" in await refusal("file:///etc/hosts")
