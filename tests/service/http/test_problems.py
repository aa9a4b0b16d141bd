"""Failures as typed bodies."""

import logging

import aiohttp
import orjson
import pytest
from aiohttp import web
from pydantic import ValidationError

from adapters.errors import make
from adapters.events import ErrorCode
from adapters.request import ChatRequest
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


SAID = {"role": "user", "content": "x"}


@pytest.mark.parametrize(
    ("document", "param"),
    [
        ({"messages": [SAID], "colour": 1}, "colour"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": 1}]}]},
            "messages[0].content",
        ),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
        ({"messages": [SAID], "stop": [1]}, "stop"),
        ({"messages": [SAID], "tools": [{"type": "function"}]}, "tools[0].function"),
        ({"messages": "hi"}, "messages"),
        ({}, "messages"),
    ],
)
def test_a_validation_error_names_the_field_as_the_caller_wrote_it(
    document: dict[str, object], param: str
) -> None:
    with pytest.raises(ValidationError) as failure:
        ChatRequest.model_validate_json(orjson.dumps(document))
    error = problems.of_validation(failure.value)
    assert error.code is ErrorCode.INVALID_REQUEST
    assert error.param is not None
    assert error.param.startswith(param)
    assert error.message.startswith(error.param)


def test_a_list_is_asked_for_in_the_words_of_json() -> None:
    with pytest.raises(ValidationError) as failure:
        ChatRequest.model_validate({"messages": [SAID], "providers": {"only": 1}})
    assert problems.of_validation(failure.value).message.endswith("should be a valid array")


def test_further_problems_are_counted_and_named() -> None:
    with pytest.raises(ValidationError) as failure:
        ChatRequest.model_validate_json(b'{"messages":[],"a":1,"b":2}')
    assert "2 more: a, b" in problems.of_validation(failure.value).message


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
