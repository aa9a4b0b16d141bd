"""The response object and the errors beside it."""

import msgspec
import pytest
from openai.types.responses import Response

from adapters.errors import make
from adapters.events import ErrorCode
from service.dialects.responses_request import read
from service.dialects.responses_resource import (
    error,
    failure,
    resource,
    response_id,
    stream_id,
    usage,
)
from tests.service.dialects.responses_streams import NAMED, ending, no_turn

# Open Responses, ResponseResource (2026-04-24): a strict client refuses an object without one.
REQUIRED = [
    "id",
    "object",
    "created_at",
    "completed_at",
    "status",
    "incomplete_details",
    "model",
    "previous_response_id",
    "instructions",
    "output",
    "error",
    "tools",
    "tool_choice",
    "truncation",
    "parallel_tool_calls",
    "text",
    "top_p",
    "presence_penalty",
    "frequency_penalty",
    "top_logprobs",
    "temperature",
    "reasoning",
    "usage",
    "max_output_tokens",
    "max_tool_calls",
    "store",
    "background",
    "service_tier",
    "metadata",
    "safety_identifier",
    "prompt_cache_key",
]


def test_a_response_has_every_field_that_strict_clients_require() -> None:
    shown = resource(read({"input": "hi"}, {}, no_turn), NAMED, end=ending())
    assert set(REQUIRED) <= shown.keys()
    assert Response.model_validate(shown).status == "completed"
    assert shown["completed_at"] == NAMED.created + 2


def test_a_response_repeats_what_was_asked() -> None:
    body = {
        "input": "hi",
        "instructions": "Be brief.",
        "temperature": 0.2,
        "metadata": {"a": "b"},
        "reasoning": {"effort": "low"},
        "text": {"verbosity": "low"},
        "tools": [{"type": "function", "name": "f"}],
        "safety_identifier": "me",
    }
    shown = resource(read(body, {}, no_turn), NAMED)
    for name in ("instructions", "temperature", "metadata", "safety_identifier"):
        assert shown[name] == body[name]
    assert shown["reasoning"] == {"effort": "low", "summary": None}
    assert shown["text"] == {"format": {"type": "text"}, "verbosity": "low"}
    assert shown["tools"] == [
        {"type": "function", "name": "f", "description": None, "parameters": None, "strict": None}
    ]
    assert (shown["status"], shown["usage"], shown["completed_at"]) == ("in_progress", None, None)


def test_a_response_is_called_after_its_stream() -> None:
    assert response_id("st_01") == "resp_01"
    assert stream_id("resp_01") == "st_01"


def test_counts_include_what_was_cached_and_thought() -> None:
    assert usage(ending().usage) == {
        "input_tokens": 30,
        "input_tokens_details": {"cached_tokens": 10, "cache_write_tokens": 0},
        "output_tokens": 20,
        "output_tokens_details": {"reasoning_tokens": 5},
        "total_tokens": 50,
    }


def test_there_is_no_usage_where_a_count_is_unknown() -> None:
    assert usage(msgspec.structs.replace(ending().usage, input=None)) is None


def test_a_failure_without_a_reason_is_the_server_s() -> None:
    assert error(None)["code"] == "server_error"


def test_a_response_that_outgrew_its_model_says_so_in_the_words_of_an_error_before_it() -> None:
    refusal = make(ErrorCode.CONTEXT_LENGTH, "Too long.")
    told = error(refusal)
    assert told == {"code": "invalid_prompt", "message": "Too long. (context_length_exceeded)"}
    assert told["message"] == failure(refusal)["error"]["message"]


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (ErrorCode.INVALID_REQUEST, "invalid_request_error"),
        (ErrorCode.NOT_FOUND, "invalid_request_error"),
        (ErrorCode.AUTH_CLIENT, "authentication_error"),
        (ErrorCode.RATE_LIMIT_PROVIDER, "rate_limit_error"),
        (ErrorCode.UPSTREAM_5XX, "server_error"),
    ],
)
def test_an_error_has_the_api_s_form(code: ErrorCode, kind: str) -> None:
    assert failure(make(code, "words", param="model")) == {
        "error": {"message": "words", "type": kind, "param": "model", "code": code}
    }


def test_a_conversation_that_is_too_long_has_openai_s_code() -> None:
    told = failure(make(ErrorCode.CONTEXT_LENGTH, "Too long."))["error"]
    assert told["code"] == "context_length_exceeded"
    assert told["code"] in told["message"]


def test_a_previous_response_that_is_gone_has_a_code_of_its_own() -> None:
    gone = make(ErrorCode.NOT_FOUND, "gone", param="previous_response_id")
    assert failure(gone)["error"]["code"] == "previous_response_not_found"
