"""Failures as typed bodies."""

import logging

import aiohttp
import orjson
import pytest
from aiohttp import web

from adapters.errors import make
from adapters.events import ErrorCode
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
