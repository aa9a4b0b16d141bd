"""Which pages may call: the Origin and Host rules, preflights, and the headers on every answer."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from adapters.errors import RequestError, make
from adapters.events import ErrorCode
from service.http.origins import Origins
from service.settings import Server
from tests.service.http.serving import served

PAGE = "https://chat.example.com"


async def _thing(_request: web.Request) -> web.Response:
    return web.json_response({"ok": True})


async def _fault(_request: web.Request) -> web.Response:
    raise RequestError(make(ErrorCode.NO_CANDIDATES, "nobody", http=422))


async def _stream(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Vary": "Accept"})
    await response.prepare(request)
    await response.write(b"data: x\n\n")
    return response


@asynccontextmanager
async def service(
    *, allowed: tuple[str, ...] = (), insecure: bool = False
) -> AsyncIterator[tuple[str, aiohttp.ClientSession]]:
    origins = Origins(Server(allowed_origins=allowed, insecure=insecure))
    routes = [web.route("*", "/thing", _thing), web.get("/fault", _fault), web.get("/s", _stream)]
    async with served(*routes, origins=origins) as url, aiohttp.ClientSession() as session:
        yield url, session


async def asked(
    *,
    allowed: tuple[str, ...] = (),
    insecure: bool = False,
    path: str = "/thing",
    **headers: str,
) -> tuple[int, str | None]:
    """The status and the allowed origin of a GET with these headers; `{port}` is the service's."""
    async with service(allowed=allowed, insecure=insecure) as (url, session):
        port = url.rpartition(":")[2]
        filled = {name: value.replace("{port}", port) for name, value in headers.items()}
        async with session.get(url + path, headers=filled) as response:
            if response.status == 403:
                error = (await response.json())["error"]
                assert error["code"] == "permission_denied"
            return response.status, response.headers.get("Access-Control-Allow-Origin")


async def test_a_program_without_an_origin_passes_and_gets_no_headers() -> None:
    assert await asked() == (200, None)


@pytest.mark.parametrize("origin", [PAGE, "null", "https://127.0.0.1:1", "http://localhost:9", ""])
async def test_a_page_of_another_origin_is_refused(origin: str) -> None:
    assert await asked(Origin=origin) == (403, None)


async def test_a_page_whose_origin_is_allowed_passes_and_may_read_the_answer() -> None:
    assert await asked(allowed=(PAGE,), Origin=PAGE) == (200, PAGE)
    assert await asked(allowed=(PAGE,), Origin=f"{PAGE}:444") == (403, None)
    assert await asked(allowed=(PAGE,), Origin="http://chat.example.com") == (403, None)


async def test_a_star_allows_every_page_and_every_host() -> None:
    assert await asked(allowed=("*",), Origin="null", Host="anything.example") == (200, "null")


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "[::1]"])
async def test_the_service_s_own_page_passes_where_it_is_reached_as_this_machine(name: str) -> None:
    host = f"{name}:{{port}}"
    assert (await asked(Host=host, Origin=f"http://{host}"))[0] == 200
    assert (await asked(Host=host, Origin=f"https://{host}"))[0] == 403


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "10.0.0.1:{port}", "[::"])
async def test_a_host_that_is_not_this_machine_is_refused_on_loopback(host: str) -> None:
    assert (await asked(Host=host))[0] == 403
    assert (await asked(Host=host, Origin=f"http://{host}"))[0] == 403


async def test_a_host_is_compared_without_regard_to_case() -> None:
    assert (await asked(Host="LOCALHOST:{port}", Origin="http://localhost:{port}"))[0] == 200


async def test_the_host_of_an_allowed_origin_passes_for_a_proxy_that_keeps_it() -> None:
    assert (await asked(allowed=(PAGE,), Host="chat.example.com"))[0] == 200


async def test_an_insecure_service_is_its_own_origin_under_any_host_behind_tls_too() -> None:
    host = "tailrace.example"
    assert (await asked(insecure=True, Host=host))[0] == 200
    for scheme in ("http", "https"):
        origin = f"{scheme}://{host}"
        assert await asked(insecure=True, Host=host, Origin=origin) == (200, origin)
    assert (await asked(insecure=True, Host=host, Origin=PAGE))[0] == 403


@pytest.mark.parametrize("path", ["/fault", "/nowhere", "/s"])
async def test_errors_and_streams_carry_the_headers_too(path: str) -> None:
    async with (
        service(allowed=(PAGE,)) as (url, session),
        session.get(url + path, headers={"Origin": PAGE}) as response,
    ):
        assert response.headers["Access-Control-Allow-Origin"] == PAGE
        exposed = response.headers["Access-Control-Expose-Headers"].split(", ")
        assert {"Tailrace-Stream-Id", "Location", "Retry-After", "x-should-retry"} <= set(exposed)
        assert "Origin" in ", ".join(response.headers.getall("Vary"))
        assert response.status == {"/fault": 422, "/nowhere": 404, "/s": 200}[path]


# What the SDKs of OpenAI and Anthropic send from a browser, among others.
ASKED = "authorization,content-type,tailrace-use-case,x-api-key,anthropic-version,x-stainless-lang"


async def test_a_preflight_of_an_allowed_page_is_answered_for_any_path_and_any_headers() -> None:
    headers = {
        "Origin": PAGE,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": ASKED,
    }
    async with (
        service(allowed=(PAGE,)) as (url, session),
        session.options(f"{url}/v1/streams", headers=headers) as response,
    ):
        assert response.status == 204
        assert response.headers["Access-Control-Allow-Origin"] == PAGE
        assert response.headers["Access-Control-Allow-Headers"] == ASKED
        assert "POST" in response.headers["Access-Control-Allow-Methods"]
        assert response.headers["Access-Control-Max-Age"] == "600"


async def test_a_preflight_of_another_page_is_refused() -> None:
    headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    async with (
        service(allowed=(PAGE,)) as (url, session),
        session.options(f"{url}/thing", headers=headers) as response,
    ):
        assert response.status == 403
        assert "Access-Control-Allow-Origin" not in response.headers


async def test_options_without_a_preflight_s_headers_is_an_ordinary_request() -> None:
    async with service() as (url, session), session.options(f"{url}/thing") as response:
        assert response.status == 200


async def test_an_upgrade_header_opens_no_other_path_to_a_foreign_page() -> None:
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Origin": "https://evil.example"}
    async with service() as (url, session), session.get(f"{url}/thing", headers=upgrade) as answer:
        assert answer.status == 403


async def test_the_rules_follow_the_configuration_when_it_is_read_anew() -> None:
    origins = Origins(Server())
    async with (
        served(web.get("/thing", _thing), origins=origins) as url,
        aiohttp.ClientSession(headers={"Origin": PAGE}) as session,
    ):
        async with session.get(f"{url}/thing") as response:
            assert response.status == 403
        origins.server = Server(allowed_origins=(PAGE,))
        async with session.get(f"{url}/thing") as response:
            assert response.status == 200
