"""The words of Anthropic's Messages API: our vocabularies in its own.

Tables and small conversions that the projection of a stream and the whole answer share. The format
has no word for a count that is unknown: unknown input is told as our estimate, as `count_tokens`
tells it, unknown output as 0.

Source: the types of anthropic 2.12; platform.claude.com, errors and streaming messages.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Final

import msgspec

from adapters.errors import UpstreamError, make
from adapters.events import (
    BlockKind,
    Citation,
    Error,
    ErrorCode,
    Finish,
    Phase,
    ReasoningSignature,
    StreamEnd,
    Usage,
)
from service.dialects import pages
from service.dialects.seal import sealed

# --- Signatures -----------------------------------------------------------------------------

UNSIGNED: Final = "tailrace.unsigned"
"""For reasoning that nobody signed: clients drop a thought whose signature is empty."""

_CALL: Final = "tailrace.call:"


def signature_data(signature: ReasoningSignature, call: str | None) -> str:
    """What a block of redacted thinking holds; `call`: the id of the tool call that is signed."""
    return sealed(signature) if call is None else f"{_CALL}{call}:{sealed(signature)}"


def call_signed(data: str) -> tuple[str | None, str]:
    """The id of the tool call that such data signs, if it is one's, and the sealed signature."""
    if not data.startswith(_CALL):
        return None, data
    call, _, seal = data.removeprefix(_CALL).rpartition(":")
    return call, seal


# --- The arguments of a call ----------------------------------------------------------------


def arguments(text: str) -> dict[str, Any]:
    """A call's input; no text is none.

    Raises UpstreamError for what is no JSON object, as some models write it. The format has no way
    to say so: an agent would run the tool with nothing, or with what its SDK made of the rest.
    """
    try:
        return msgspec.json.decode(text or "{}", type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
        message = "the model called a tool with arguments that are no JSON object"
        error = make(ErrorCode.UPSTREAM_MALFORMED, message, phase=Phase.MID_STREAM)
        raise UpstreamError(error) from None


# --- Why an answer stops --------------------------------------------------------------------

STOP_REASONS: Final[Mapping[Finish, str]] = {
    Finish.STOP: "end_turn",
    Finish.LENGTH: "max_tokens",
    Finish.TOOL_CALLS: "tool_use",
    Finish.CONTENT_FILTER: "refusal",
    Finish.REFUSAL: "refusal",
    Finish.PAUSE: "pause_turn",
    Finish.CONTEXT_LENGTH: "model_context_window_exceeded",
    Finish.OTHER: "end_turn",
}
"""Of answers that came to an end; the others end as an error."""


def stop(end: StreamEnd, kinds: AbstractSet[BlockKind]) -> dict[str, Any]:
    """The fields that say why an answer stopped; `kinds`: those of its whole blocks.

    A refusal is one here whatever finish its provider gave: chat completions end theirs with
    `stop`. So does a provider that was made to call a tool, and some end every call like that; but
    the SDKs' tool runners run a call after `tool_use` only, and wait for one after it.
    """
    called = BlockKind.TOOL_CALL in kinds
    reason = STOP_REASONS.get(end.finish, "end_turn")
    if reason == "tool_use" and not called:
        reason = "end_turn"
    if reason == "end_turn" and BlockKind.REFUSAL in kinds:
        reason = "refusal"
    if reason == "end_turn" and end.stop_sequence is not None:
        reason = "stop_sequence"
    if reason == "end_turn" and called:
        reason = "tool_use"
    told: dict[str, Any] = {"stop_reason": reason, "stop_sequence": end.stop_sequence}
    if reason == "refusal":
        told["stop_details"] = {"type": "refusal", "category": None, "explanation": None}
    return told


# --- Counts ---------------------------------------------------------------------------------


def input_usage(usage: Usage | None, estimate: int) -> dict[str, Any]:
    """What went in: cached tokens apart, where ours are among the input.

    `estimate` stands in for an input that is not known.
    """
    if usage is None or usage.input is None:
        return {
            "input_tokens": estimate,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
        }
    read, written = usage.input_cached or 0, usage.input_cache_write or 0
    return {
        "input_tokens": max(0, usage.input - read - written),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
    }


def usage_of(usage: Usage, estimate: int) -> dict[str, Any]:
    """What an answer took in all; `estimate` as in `input_usage`."""
    told = input_usage(usage, estimate) | {"output_tokens": usage.output or 0}
    if usage.output_reasoning is not None:
        told["output_tokens_details"] = {"thinking_tokens": usage.output_reasoning}
    return told


# --- Errors ---------------------------------------------------------------------------------

_INVALID, _API = "invalid_request_error", "api_error"
_BUSY, _LATE, _MUCH = "overloaded_error", "timeout_error", "rate_limit_error"

ERROR_TYPES: Final[Mapping[ErrorCode, str]] = {
    ErrorCode.INVALID_REQUEST: _INVALID,
    ErrorCode.INVALID_MESSAGE: _INVALID,
    ErrorCode.UNSUPPORTED_PARAMETER: _INVALID,
    ErrorCode.AUTH_CLIENT: "authentication_error",
    ErrorCode.PERMISSION_DENIED: "permission_error",
    ErrorCode.NOT_FOUND: "not_found_error",
    ErrorCode.CONFLICT: "conflict_error",
    ErrorCode.STREAM_EXPIRED: "not_found_error",
    ErrorCode.PAYLOAD_TOO_LARGE: "request_too_large",
    ErrorCode.CONTEXT_LENGTH: _INVALID,
    ErrorCode.CONTENT_BLOCKED_INPUT: _INVALID,
    ErrorCode.CONTENT_BLOCKED_OUTPUT: _API,
    ErrorCode.RATE_LIMIT_CLIENT: _MUCH,
    ErrorCode.RATE_LIMIT_PROVIDER: _MUCH,
    ErrorCode.QUOTA_PROVIDER: _API,
    ErrorCode.AUTH_PROVIDER: _API,
    ErrorCode.MODEL_UNAVAILABLE: _API,
    ErrorCode.UPSTREAM_5XX: _API,
    ErrorCode.OVERLOADED: _BUSY,
    ErrorCode.UPSTREAM_MALFORMED: _API,
    ErrorCode.UPSTREAM_CONNECT: _API,
    ErrorCode.STREAM_INTERRUPTED: _API,
    ErrorCode.TIMEOUT_FIRST_TOKEN: _LATE,
    ErrorCode.TIMEOUT_IDLE: _LATE,
    ErrorCode.TIMEOUT_TOTAL: _LATE,
    ErrorCode.TOO_SLOW: _LATE,
    ErrorCode.NO_CANDIDATES: _BUSY,
    ErrorCode.OVER_BUDGET: _INVALID,
    ErrorCode.ALL_ATTEMPTS_FAILED: _API,
    ErrorCode.FAILOVER_IMPOSSIBLE: _API,
    ErrorCode.SLOW_CONSUMER: _API,
    ErrorCode.DRAINING: _BUSY,
    ErrorCode.CANCELLED: _API,
    ErrorCode.INTERNAL: _API,
}

_UNPROCESSABLE = 422


THREAD: Final = "thread"
"""The field that asks to go on with a conversation that the server keeps."""

_DETAILS: Final[Mapping[str | None, dict[str, Any]]] = {
    THREAD: {"error_code": "thread_unsupported_request"},
}
"""What the SDKs act on, by the field at fault."""


def error_body(error: Error, request_id: str | None) -> dict[str, Any]:
    """An error in the API's shape.

    One that will be the same next time, as nobody with the ability or the key, is the request's.
    """
    kind = _INVALID if error.http == _UNPROCESSABLE else ERROR_TYPES[error.code]
    told: dict[str, Any] = {"type": kind, "message": _worded(error)}
    if error.param in _DETAILS:
        told["details"] = _DETAILS[error.param]
    return {"type": "error", "error": told, "request_id": request_id}


_TOO_LONG: Final = "prompt is too long"
"""How the API says that a conversation is beyond a model's context. It has no code for that, so its
clients look for these words, to shorten the conversation and ask again."""


def _worded(error: Error) -> str:
    told = _TOO_LONG in error.message.lower()
    if error.code is not ErrorCode.CONTEXT_LENGTH or told:
        return error.message
    return f"{_TOO_LONG}: {error.message}"


# --- Sources --------------------------------------------------------------------------------

_LOCATIONS = frozenset(
    {
        "char_location",
        "page_location",
        "content_block_location",
        "web_search_result_location",
        "search_result_location",
    }
)


def citation(cited: Citation) -> dict[str, Any] | None:
    """A source in the API's form: as Claude gave it, or a found page; None for any other."""
    raw = cited.raw
    url = pages.address(cited)
    if raw is not None and raw.get("type") in _LOCATIONS and (url is not None or "url" not in raw):
        return raw
    if url is None:
        return None
    return {
        "type": "web_search_result_location",
        "url": url,
        "title": cited.title,
        "cited_text": cited.quote or "",
        "encrypted_index": "",
    }
