"""The web app's files over a real socket, as a browser asks for them."""

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from service.http.web import WebApp
from tests.service.http.serving import served


@pytest.fixture
async def session(tmp_path: Path) -> AsyncIterator[aiohttp.ClientSession]:
    """Of a service whose app is a page and one script."""
    folder = tmp_path / "dist"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html>the app")
    (folder / "icon.svg").write_text("<svg/>")
    (folder / "assets" / "index-1.js").write_text("plain")
    (folder / "assets" / "index-1.js.br").write_bytes(b"\x0b\x02\x80small\x03")
    (folder / "secret.txt").write_text("secret")
    async with (
        served(*WebApp(folder).routes()) as url,
        aiohttp.ClientSession(url, auto_decompress=False) as session,
    ):
        yield session


@pytest.mark.parametrize("path", ["/", "/icon.svg", "/assets/index-1.js"])
async def test_everything_comes_with_a_policy_that_allows_its_own_origin_only(
    session: aiohttp.ClientSession, path: str
) -> None:
    async with session.get(path) as response:
        policy = response.headers["Content-Security-Policy"]
        assert response.status == 200
        assert response.headers["X-Content-Type-Options"] == "nosniff"
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules.pop("default-src") == "'none'"
    assert rules.pop("script-src") == "'self'"
    assert set(rules.values()) == {"'self'", "'none'"}


async def test_the_page_is_asked_for_each_time_and_what_it_loads_is_kept(
    session: aiohttp.ClientSession,
) -> None:
    async with session.get("/") as page, session.get("/assets/index-1.js") as script:
        assert await page.text() == "<!doctype html>the app"
        assert page.content_type == "text/html"
        assert page.headers["Cache-Control"] == "no-cache"
        assert "immutable" in script.headers["Cache-Control"]


async def test_a_page_that_did_not_change_is_not_sent_again(session: aiohttp.ClientSession) -> None:
    async with session.get("/") as first:
        tag = first.headers["ETag"]
    async with session.get("/", headers={"If-None-Match": tag}) as again:
        assert again.status == 304


async def test_the_compressed_copy_goes_to_who_takes_one(session: aiohttp.ClientSession) -> None:
    path = "/assets/index-1.js"
    async with session.get(path, headers={"Accept-Encoding": "br"}) as small:
        assert small.headers["Content-Encoding"] == "br"
        assert small.content_type in {"text/javascript", "application/javascript"}
    async with session.get(path, headers={"Accept-Encoding": "identity"}) as plain:
        assert "Content-Encoding" not in plain.headers
        assert await plain.text() == "plain"
    for response in small, plain:
        assert response.headers["Vary"] == "Accept-Encoding"


@pytest.mark.parametrize("name", ["none.js", "..%2Fsecret.txt", "%2E%2E%2Fsecret.txt", "", "%00"])
async def test_nothing_else_of_the_disk_is_served(
    session: aiohttp.ClientSession, name: str
) -> None:
    async with session.get(f"/assets/{name}") as response:
        assert response.status == 404
        assert "secret" not in (await response.text()).replace("secret.txt", "")


@pytest.mark.parametrize("host", ["127.0.0.1:8180", "<script>"])
async def test_without_a_build_the_page_says_so_with_a_first_command(
    tmp_path: Path, host: str
) -> None:
    async with (
        served(*WebApp(tmp_path).routes()) as url,
        aiohttp.ClientSession() as session,
        session.get(url, headers={"Host": host}) as response,
    ):
        page = await response.text()
    assert response.content_type == "text/html"
    assert "was not built" in page
    assert "curl -N http://" in page
    assert "<script" not in page
