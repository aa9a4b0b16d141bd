"""Other people's pages and the service's WebSockets.

A browser lets any page open a WebSocket to anywhere and sends its Origin along; it is the server
that must refuse. A page sees close codes and no statuses, so each of these sockets is closed with
4403 right after its handshake, and nothing that was said on it is looked at.
"""

from contextlib import suppress

import aiohttp
import pytest
from aiohttp import WSMsgType

from service.http.origins import SOCKETS
from service.settings import Server, Settings
from tests.e2e.stack import Stack, question, stack

PAGE = "https://chat.example.com"

UI_MESSAGE = {"id": "u", "role": "user", "parts": [{"type": "text", "text": "Say hello."}]}
ASKING: dict[str, tuple[dict[str, object], ...]] = {
    "/v1/ws": (
        {"t": "init"},
        {"t": "start", "id": "a", "request": question("openai/auto")},
    ),
    "/v1/responses": ({"type": "response.create", "model": "openai/auto", "input": "Say hello."},),
    "/api/chat/ws": ({"type": "send", "requestId": "a", "id": "c", "messages": [UI_MESSAGE]},),
}
"""What asks for an answer, by socket."""


def headers(running: Stack, origin: str, host: str | None) -> dict[str, str]:
    """Of a handshake; `{own}` is the address of the service."""
    own = running.url.removeprefix("http://")
    said = {"Origin": origin.replace("{own}", own)}
    return said if host is None else said | {"Host": host.replace("{own}", own)}


async def closed_with(running: Stack, path: str, said: dict[str, str]) -> int | None:
    """The code that a page's socket is closed with; None: it is served, and the page closed it."""
    async with running.client.ws_connect(running.url + path, headers=said) as ws:
        with suppress(aiohttp.ClientConnectionResetError):  # closed by then
            for message in ASKING[path]:
                await ws.send_json(message)
        async for message in ws:
            assert message.type is WSMsgType.TEXT
            return None
        return ws.close_code


@pytest.mark.parametrize("path", sorted(SOCKETS))
async def test_no_socket_serves_a_foreign_page(path: str) -> None:
    async with stack("openai") as running:
        for origin, host in (
            ("https://evil.example", None),
            ("null", None),
            ("http://127.0.0.1:1", None),  # another port of this machine is another origin
            ("https://{own}", None),
            ("http://evil.example", "evil.example"),  # a name that was made to point here
        ):
            assert await closed_with(running, path, headers(running, origin, host)) == 4403
        assert running.double.requests == []
        assert running.streams == []


@pytest.mark.parametrize("path", sorted(SOCKETS))
async def test_every_socket_serves_the_service_s_own_page_and_an_allowed_one(path: str) -> None:
    settings = Settings(server=Server(allowed_origins=(PAGE,)))
    async with stack("openai", settings=settings) as running:
        for origin in ("http://{own}", PAGE):
            assert await closed_with(running, path, headers(running, origin, None)) is None
        for stream in running.streams:
            stream.cancel("the test is over")


async def test_the_origin_rules_know_every_socket_there_is() -> None:
    async with stack("openai") as running:
        getting = {
            route.resource.canonical
            for route in running.service.application().router.routes()
            if route.method == "GET" and route.resource is not None
        }
        plain = {path for path in getting if "{" not in path and not path.endswith("/events")}
        wanting = set()
        for path in plain:
            async with running.client.get(running.url + path) as response:
                if response.status == 426:
                    wanting.add(path)
        assert wanting == SOCKETS


async def test_an_upgrade_header_does_not_make_a_post_a_handshake() -> None:
    said = {"Origin": "https://evil.example", "Upgrade": "websocket", "Connection": "Upgrade"}
    async with stack("openai") as running:
        address = f"{running.url}/v1/responses"
        body = ASKING["/v1/responses"][0]
        async with running.client.post(address, json=body, headers=said) as response:
            assert response.status == 403
        assert running.double.requests == []
