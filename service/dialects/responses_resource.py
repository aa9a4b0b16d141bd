"""A response as the Responses API shows it: the object around an answer, and its items.

Every snapshot repeats some thirty fields of the request, with the API's own defaults where the
request was silent: strict clients refuse an object that lacks one. A count that is not known cannot
be said inside `usage`, whose fields are numbers, so there is no `usage` where input or output is
unknown; the detailed counts are 0 then, as the API has no word for unknown.

Source: openai 3.54.0, types/responses/response.py; Open Responses, ResponseResource (2026-04-24).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from adapters.events import Error, ErrorCode, Finish, Status, StreamEnd, Usage
from service.dialects import chat_completions
from service.dialects.projection import Asked, Named
from service.dialects.responses_request import PREVIOUS

_UNASKED: Final[Mapping[str, Any]] = {
    "background": False,
    "frequency_penalty": 0.0,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "presence_penalty": 0.0,
    PREVIOUS: None,
    "prompt_cache_key": None,
    "safety_identifier": None,
    "service_tier": "default",
    "store": True,
    "temperature": 1.0,
    "tool_choice": "auto",
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}
"""What stands in a response for a field that its request leaves out."""

_UNTOLD: Final[Mapping[str, Any]] = {"description": None, "parameters": None, "strict": None}
"""A tool's fields that a request may leave out, and a response not."""

IN_PROGRESS: Final = "in_progress"


def response_id(stream: str) -> str:
    """A stream's name as a response's."""
    return f"resp_{stream.removeprefix('st_')}"


def stream_id(response: str) -> str:
    """The stream of a response's name, whether there is one or not."""
    return f"st_{response.removeprefix('resp_')}"


def resource(
    asked: Asked,
    named: Named,
    output: Sequence[Mapping[str, Any]] = (),
    end: StreamEnd | None = None,
) -> dict[str, Any]:
    """The response object: under way, or as it ended."""
    body = asked.body
    status = IN_PROGRESS if end is None else str(end.status)
    done = end is not None and end.status is Status.COMPLETED
    return {
        **_UNASKED,
        **{name: body[name] for name in _UNASKED if name in body},
        "id": response_id(named.stream),
        "object": "response",
        "created_at": named.created,
        "completed_at": named.created + end.timing.total_ms // 1000 if end and done else None,
        "status": status,
        "error": error(end.error) if end is not None and end.status is Status.FAILED else None,
        "incomplete_details": _incomplete(end),
        "model": named.model,
        "output": list(output),
        "reasoning": {"effort": None, "summary": None, **body.get("reasoning", {})},
        "text": {"format": {"type": "text"}, **body.get("text", {})},
        "tools": [_UNTOLD | tool for tool in body.get("tools", ())],
        "usage": None if end is None else usage(end.usage),
    }


def usage(counted: Usage) -> dict[str, Any] | None:
    """Token counts; None where input or output is unknown."""
    if counted.input is None or counted.output is None:
        return None
    return {
        "input_tokens": counted.input,
        "input_tokens_details": {
            "cached_tokens": counted.input_cached or 0,
            "cache_write_tokens": counted.input_cache_write or 0,
        },
        "output_tokens": counted.output,
        "output_tokens_details": {"reasoning_tokens": counted.output_reasoning or 0},
        "total_tokens": counted.input + counted.output,
    }


_CODES: Final[Mapping[ErrorCode, str]] = {
    ErrorCode.RATE_LIMIT_CLIENT: "rate_limit_exceeded",
    ErrorCode.RATE_LIMIT_PROVIDER: "rate_limit_exceeded",
    ErrorCode.CONTENT_BLOCKED_INPUT: "invalid_prompt",
    ErrorCode.CONTEXT_LENGTH: "invalid_prompt",
    ErrorCode.INVALID_REQUEST: "invalid_prompt",
    ErrorCode.UNSUPPORTED_PARAMETER: "invalid_prompt",
}
"""The API has a closed list of codes for a response that failed; all others are the server's."""


def error(failure: Error | None) -> dict[str, Any]:
    """Why a response failed. What no code of the list says is in the message, as before headers."""
    if failure is None:
        return {"code": "server_error", "message": "the answer broke off"}
    code = _CODES.get(failure.code, "server_error")
    return {"code": code, "message": chat_completions.worded(failure)}


_REASONS: Final[Mapping[Finish, str]] = {Finish.CONTENT_FILTER: "content_filter"}


def _incomplete(end: StreamEnd | None) -> dict[str, Any] | None:
    if end is None or end.status is not Status.INCOMPLETE:
        return None
    return {"reason": _REASONS.get(end.finish, "max_output_tokens")}


# --- Errors before there is a response ------------------------------------------------------


def failure(refusal: Error) -> dict[str, Any]:
    """The body of an HTTP error. A previous response that is not there has a code of its own."""
    body = chat_completions.failure(refusal)
    if refusal.code is ErrorCode.NOT_FOUND and refusal.param == PREVIOUS:
        body["error"]["code"] = "previous_response_not_found"
    return body
