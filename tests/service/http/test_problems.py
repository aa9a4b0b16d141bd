"""Failures as typed bodies."""

import logging

import aiohttp
import orjson
import pytest
from aiohttp import web

from adapters.errors import RequestError, make
from adapters.events import Error, ErrorCode
from service.http import problems
from tests.service.http.serving import served


def test_the_body_shows_what_is_public_and_leaves_out_what_is_unset() -> None:
    error = make(ErrorCode.UPSTREAM_5XX, "it broke", provider="groq", provider_code="x")
    assert problems.body(error) == {
        "code": "upstream_5xx",
        "message": "it broke",
        "retryable": True,
        "provider": "groq",
    }


def test_the_causes_of_an_exhausted_request_are_shown_in_the_same_form() -> None:
    cause = make(ErrorCode.OVERLOADED, "busy", provider="groq")
    error = make(ErrorCode.ALL_ATTEMPTS_FAILED, "nobody answered", causes=[cause])
    assert problems.body(error)["causes"] == [problems.body(cause)]


@pytest.mark.parametrize(("milliseconds", "seconds"), [(1, "1"), (1_000, "1"), (1_001, "2")])
def test_retry_after_is_in_whole_seconds_and_never_too_early(
    milliseconds: int, seconds: str
) -> None:
    error = make(ErrorCode.RATE_LIMIT_PROVIDER, "slow down", retry_after_ms=milliseconds)
    assert problems.response(error).headers["Retry-After"] == seconds


def test_who_would_fail_again_is_not_told_when_to_come_back() -> None:
    error = make(ErrorCode.QUOTA_PROVIDER, "no credit", retry_after_ms=1_000)
    assert "Retry-After" not in problems.response(error).headers
    assert "retry_after_ms" not in problems.body(error)


def _plain(error: Error) -> web.Response:
    return web.Response(status=error.http, text=error.message)


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("GET", "/other/missing", 404, "/other/missing: no such path"),
        ("DELETE", "/other", 405, "DELETE is not allowed here, GET, HEAD is"),
        ("GET", "/other/broken", 500, "the router failed"),
        ("GET", "/other/refused", 429, "slow down"),
    ],
)
async def test_whatever_fails_below_another_api_s_path_has_that_api_s_shape(
    method: str, path: str, status: int, message: str
) -> None:
    async def broken(_request: web.Request) -> web.Response:
        raise ZeroDivisionError

    async def refused(_request: web.Request) -> web.Response:
        raise RequestError(make(ErrorCode.RATE_LIMIT_CLIENT, "slow down"))

    routes = (
        web.get("/other", broken),
        web.get("/other/broken", broken),
        web.get("/other/refused", refused),
    )
    async with (
        served(*routes, shapes={"/other": _plain}) as url,
        aiohttp.ClientSession() as session,
        session.request(method, url + path) as response,
    ):
        assert (response.status, await response.text()) == (status, message)
        assert response.headers.get("Allow") == ("GET,HEAD" if status == 405 else None)


async def test_a_path_that_only_begins_alike_is_not_that_api_s() -> None:
    async with (
        served(shapes={"/other": _plain}) as url,
        aiohttp.ClientSession() as session,
        session.get(url + "/otherwise") as response,
    ):
        assert (await response.json())["error"]["code"] == "not_found"


async def test_a_fault_of_ours_is_logged_whole_and_answered_without_detail(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def handler(_request: web.Request) -> web.Response:
        raise ZeroDivisionError("secret detail")

    async with (
        served(web.get("/broken", handler)) as url,
        aiohttp.ClientSession() as session,
        session.get(url + "/broken") as response,
    ):
        text = await response.text()
    assert response.status == 500
    assert orjson.loads(text)["error"]["code"] == "internal"
    assert "secret" not in text
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "secret detail" in (caplog.records[0].exc_text or "")
