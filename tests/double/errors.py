"""The error answer of each kind that each provider gives: status, body, headers.

One table per manner of speaking. The first three are complete: `openai` stands for every provider
of the OpenAI formats, `claude` for the Messages format, `gemini` for its own. A provider's own
table holds only what it says differently; what is in neither is said in its format's usual words.
The shapes follow docs/providers.md, errors -> kind: rows marked [F] there are as recorded, the
others follow the providers' documents. What no source shows is marked invented here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import orjson


class Kind(StrEnum):
    """What a provider's error is about."""

    AUTH = "auth"
    PERMISSION = "permission"
    RATE_LIMIT = "rate_limit"
    QUOTA = "quota"
    CONTEXT_LENGTH = "context_length"
    INVALID_REQUEST = "invalid_request"
    UNSUPPORTED_PARAMETER = "unsupported_parameter"
    CONTENT_FILTER = "content_filter"
    NOT_FOUND = "not_found"
    OVERLOADED = "overloaded"
    SERVER = "server"


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """An answer that is an error in its provider's words."""

    status: int
    body: dict[str, Any]
    """What is sent as JSON; inside a stream, the object an error event holds."""
    headers: tuple[tuple[str, str], ...] = ()
    streamed: bool = False
    """Sent as the only event of a stream."""

    @property
    def content(self) -> bytes:
        """The body as sent."""
        written = orjson.dumps(self.body)
        return b"data: %b\n\n" % written if self.streamed else written

    @property
    def content_type(self) -> str:
        """What the body is."""
        return "text/event-stream" if self.streamed else "application/json"


RETRY_AFTER = 7
"""Seconds that every rate limit asks to wait for, wherever the provider says it."""

_WAIT = (("retry-after", str(RETRY_AFTER)),)
_WAIT_MS = (*_WAIT, ("retry-after-ms", str(RETRY_AFTER * 1000)))

Table = Mapping[Kind, ErrorAnswer]


def error_answer(provider: str, family: str, kind: Kind) -> ErrorAnswer:
    """How `provider` says it; `family` is the manner it falls back to."""
    return _OWN.get(provider, {}).get(kind) or _FAMILIES[family][kind]


def _openai(
    status: int,
    code: str | int | None,
    message: str,
    *,
    kind: str = "invalid_request_error",
    param: str | None = None,
    headers: tuple[tuple[str, str], ...] = (),
) -> ErrorAnswer:
    error = {"message": message, "type": kind, "param": param, "code": code}
    return ErrorAnswer(status, {"error": error}, headers)


def _claude(
    status: int, kind: str, message: str, headers: tuple[tuple[str, str], ...] = ()
) -> ErrorAnswer:
    body = {
        "type": "error",
        "error": {"type": kind, "message": message},
        "request_id": "req_double",
    }
    return ErrorAnswer(status, body, headers)


def _gemini(code: int, status: str, message: str, *details: dict[str, Any]) -> ErrorAnswer:
    error: dict[str, Any] = {"code": code, "message": message, "status": status}
    if details:
        error["details"] = list(details)
    return ErrorAnswer(code, {"error": error})


def _google(detail: str, **fields: object) -> dict[str, Any]:
    return {"@type": f"type.googleapis.com/google.rpc.{detail}", **fields}


def _gemini_quota(period: str) -> ErrorAnswer:
    quota = f"GenerateRequestsPer{period}PerProjectPerModel-FreeTier"
    return _gemini(
        429,
        "RESOURCE_EXHAUSTED",
        "You exceeded your current quota, please check your plan.",
        _google("QuotaFailure", violations=[{"quotaId": quota}]),
        _google("RetryInfo", retryDelay=f"{RETRY_AFTER}s"),
    )


_FAMILIES: Mapping[str, Table] = {
    "openai": {
        Kind.AUTH: _openai(401, "invalid_api_key", "Incorrect API key provided: test-key."),
        Kind.PERMISSION: _openai(
            403,
            "unsupported_country_region_territory",
            "Country, region, or territory not supported",
            kind="request_forbidden",
        ),
        Kind.RATE_LIMIT: _openai(
            429,
            "rate_limit_exceeded",
            "Rate limit reached for requests. Please try again in 7s.",
            kind="requests",
            headers=_WAIT_MS,
        ),
        Kind.QUOTA: _openai(
            429,
            "insufficient_quota",
            "You exceeded your current quota, please check your plan and billing details.",
            kind="insufficient_quota",
        ),
        Kind.CONTEXT_LENGTH: _openai(
            400,
            "context_length_exceeded",
            "This model's maximum context length is 128000 tokens. However, your messages "
            "resulted in 130012 tokens.",
            param="messages",
        ),
        Kind.INVALID_REQUEST: _openai(
            400,
            "invalid_type",
            "Invalid type for 'messages[0].content': expected a string, but got an integer.",
            param="messages[0].content",
        ),
        Kind.UNSUPPORTED_PARAMETER: _openai(
            400,
            "unsupported_parameter",
            "Unsupported parameter: 'temperature' is not supported with this model.",
            param="temperature",
        ),
        Kind.CONTENT_FILTER: _openai(
            400,
            "invalid_prompt",
            "Invalid prompt: your prompt was flagged as potentially violating our usage policy.",
        ),
        Kind.NOT_FOUND: _openai(
            404, "model_not_found", "The model `nope` does not exist or you do not have access."
        ),
        Kind.OVERLOADED: _openai(
            503,
            "server_overloaded",
            "The server is currently overloaded. Please try again later.",
            kind="service_unavailable",
        ),
        Kind.SERVER: _openai(
            500,
            None,
            "The server had an error while processing your request. Sorry about that!",
            kind="server_error",
        ),
    },
    "claude": {
        Kind.AUTH: _claude(401, "authentication_error", "invalid x-api-key"),
        Kind.PERMISSION: _claude(
            403, "permission_error", "Your API key does not have permission to use this resource."
        ),
        Kind.RATE_LIMIT: _claude(
            429,
            "rate_limit_error",
            "This request would exceed your organization's rate limit.",
            (*_WAIT, ("x-should-retry", "true")),
        ),
        Kind.QUOTA: _claude(402, "billing_error", "Your credit balance is too low."),
        Kind.CONTEXT_LENGTH: _claude(
            400,
            "invalid_request_error",
            "prompt is too long: 3333404 tokens > 200000 maximum",
        ),
        Kind.INVALID_REQUEST: _claude(
            400, "invalid_request_error", "messages: at least one message is required"
        ),
        Kind.UNSUPPORTED_PARAMETER: _claude(
            400, "invalid_request_error", "`temperature` is not supported with this model."
        ),
        Kind.CONTENT_FILTER: _claude(
            400, "invalid_request_error", "Output blocked by content filtering policy"
        ),
        Kind.NOT_FOUND: _claude(404, "not_found_error", "model: nope"),
        Kind.OVERLOADED: _claude(
            529, "overloaded_error", "Overloaded", (("x-should-retry", "true"),)
        ),
        Kind.SERVER: _claude(500, "api_error", "Internal server error"),
    },
    "gemini": {
        Kind.AUTH: _gemini(
            400,
            "INVALID_ARGUMENT",
            "API key not valid. Please pass a valid API key.",
            _google("ErrorInfo", reason="API_KEY_INVALID", domain="googleapis.com"),
        ),
        Kind.PERMISSION: _gemini(
            403, "PERMISSION_DENIED", "You do not have permission to access this model."
        ),
        Kind.RATE_LIMIT: _gemini_quota("Minute"),
        Kind.QUOTA: _gemini_quota("Day"),
        Kind.CONTEXT_LENGTH: _gemini(
            400,
            "INVALID_ARGUMENT",
            "The input token count (1200000) exceeds the maximum number of tokens allowed "
            "(1048576).",
        ),
        Kind.INVALID_REQUEST: _gemini(
            400,
            "INVALID_ARGUMENT",
            "Invalid value at 'contents[0].parts[0]'.",
            _google("BadRequest", fieldViolations=[{"field": "contents[0].parts[0]"}]),
        ),
        Kind.UNSUPPORTED_PARAMETER: _gemini(
            400, "INVALID_ARGUMENT", "Thinking budget is not supported for this model."
        ),
        # A blocked prompt is no HTTP error there but a stream without candidates.
        Kind.CONTENT_FILTER: ErrorAnswer(
            200, {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}, streamed=True
        ),
        Kind.NOT_FOUND: _gemini(
            404, "NOT_FOUND", "models/nope is not found for API version v1beta"
        ),
        Kind.OVERLOADED: _gemini(
            503, "UNAVAILABLE", "The model is overloaded. Please try again later."
        ),
        Kind.SERVER: _gemini(500, "INTERNAL", "An internal error has occurred."),
    },
}


def _glm(status: int, code: int, message: str) -> ErrorAnswer:
    return ErrorAnswer(status, {"error": {"code": str(code), "message": message}})


def _grok(status: int, code: str, message: str) -> ErrorAnswer:
    return ErrorAnswer(status, {"code": code, "error": message})


def _kimi(
    status: int, kind: str, message: str, headers: tuple[tuple[str, str], ...] = ()
) -> ErrorAnswer:
    return ErrorAnswer(status, {"error": {"message": message, "type": kind}}, headers)


def _mistral(
    status: int, kind: str, code: int, message: str, headers: tuple[tuple[str, str], ...] = ()
) -> ErrorAnswer:
    body = {"object": "error", "message": message, "type": kind, "param": None, "code": str(code)}
    return ErrorAnswer(status, body, headers)


def _openrouter(
    code: int,
    message: str,
    metadata: dict[str, Any] | None = None,
    headers: tuple[tuple[str, str], ...] = (),
) -> ErrorAnswer:
    error: dict[str, Any] = {"code": code, "message": message}
    if metadata is not None:
        error["metadata"] = metadata
    return ErrorAnswer(code, {"error": error}, headers)


_OWN: Mapping[str, Table] = {
    "mistral": {
        Kind.AUTH: ErrorAnswer(401, {"detail": "Invalid API Key"}),
        Kind.RATE_LIMIT: _mistral(429, "rate_limited", 1300, "Requests rate limit exceeded", _WAIT),
        Kind.CONTEXT_LENGTH: _mistral(
            400,
            "invalid_request_prompt",
            3051,
            "Prompt contains 140000 tokens, too large for model with 131072 maximum context length",
        ),
        Kind.INVALID_REQUEST: _mistral(
            400,
            "invalid_request_message_order",
            3230,
            "Expected last role User or Tool (or Assistant with prefix True) for serving but got "
            "assistant",
        ),
        Kind.UNSUPPORTED_PARAMETER: ErrorAnswer(
            422,
            {
                "detail": [
                    {
                        "type": "extra_forbidden",
                        "loc": ["body", "stream_options"],
                        "msg": "Extra inputs are not permitted",
                    }
                ]
            },
        ),
        Kind.NOT_FOUND: _mistral(400, "invalid_model", 1500, "Invalid model: nope"),
        Kind.OVERLOADED: _mistral(
            503, "service_unavailable", 3000, "Service unavailable. Please try again later."
        ),
    },
    "qwen": {
        Kind.PERMISSION: _openai(403, "AccessDenied", "Access denied.", kind="AccessDenied"),
        Kind.RATE_LIMIT: _openai(
            429, "Throttling.RateQuota", "Requests rate limit exceeded.", kind="Throttling"
        ),
        Kind.QUOTA: _openai(
            400, "Arrearage", "Access denied, your account is not in good standing."
        ),
        Kind.CONTENT_FILTER: _openai(
            400,
            "data_inspection_failed",
            "Input data may contain inappropriate content.",
            kind="data_inspection_failed",
        ),
    },
    "deepseek": {
        Kind.AUTH: _openai(
            401,
            "invalid_request_error",
            "Authentication Fails, Your api key: ****-key is invalid",
            kind="authentication_error",
        ),
        Kind.QUOTA: _openai(
            402, "invalid_request_error", "Insufficient Balance", kind="unknown_error"
        ),
        Kind.CONTEXT_LENGTH: _openai(
            400,
            "invalid_request_error",
            "This model's maximum context length is 131072 tokens. However, you requested 140000 "
            "tokens.",
        ),
    },
    "kimi": {
        Kind.AUTH: _kimi(401, "invalid_authentication_error", "Invalid Authentication"),
        Kind.RATE_LIMIT: _kimi(
            429, "rate_limit_reached_error", "max RPM: 3, please try again after 7 seconds", _WAIT
        ),
        Kind.QUOTA: _kimi(
            429, "exceeded_current_quota_error", "Your account is suspended, check your balance."
        ),
        Kind.CONTEXT_LENGTH: _kimi(
            400,
            "invalid_request_error",
            "Invalid request: Your request exceeded model token limit: 262144",
        ),
        Kind.INVALID_REQUEST: _kimi(
            400, "invalid_request_error", "Invalid request: messages must not be empty"
        ),
        Kind.CONTENT_FILTER: _kimi(
            400, "content_filter", "The request was rejected because it was considered high risk"
        ),
        Kind.NOT_FOUND: _kimi(
            404, "resource_not_found_error", "Not found the model nope or Permission denied"
        ),
        Kind.OVERLOADED: _kimi(
            429, "engine_overloaded_error", "The engine is currently overloaded"
        ),
    },
    "glm": {
        Kind.AUTH: _glm(401, 1001, "Authentication parameter not received in Header"),
        Kind.PERMISSION: _glm(403, 1121, "Account locked due to policy violation"),
        Kind.RATE_LIMIT: _glm(429, 1302, "Rate limit reached for requests"),
        Kind.QUOTA: _glm(429, 1113, "Insufficient balance or no resource package."),
        Kind.CONTEXT_LENGTH: _glm(400, 1261, "Prompt exceeds max length"),
        Kind.INVALID_REQUEST: _glm(400, 1210, "Invalid API parameter"),
        Kind.CONTENT_FILTER: _glm(400, 1301, "System detected potentially unsafe content"),
        Kind.NOT_FOUND: _glm(400, 1211, "Unknown Model, please check the model code."),
        Kind.OVERLOADED: _glm(429, 1305, "The service may be temporarily overloaded"),
    },
    "groq": {
        Kind.RATE_LIMIT: _openai(
            429,
            "rate_limit_exceeded",
            "Rate limit reached for model. Please try again in 7s.",
            kind="tokens",
            headers=_WAIT,
        ),
        Kind.CONTEXT_LENGTH: _openai(413, "request_too_large", "Request Entity Too Large"),
        Kind.OVERLOADED: _openai(
            498, "capacity_exceeded", "Flex tier capacity exceeded", kind="capacity_exceeded"
        ),
    },
    "grok": {
        Kind.AUTH: _grok(
            400,
            "invalid-argument",
            "Incorrect API key provided. You can obtain an API key from https://console.x.ai.",
        ),
        Kind.RATE_LIMIT: _grok(429, "resource-exhausted", "Too many requests."),
        Kind.INVALID_REQUEST: _grok(400, "invalid-argument", "Invalid request content."),
        Kind.NOT_FOUND: _grok(404, "not-found", "The model nope does not exist."),
        Kind.OVERLOADED: _grok(503, "unavailable", "Service temporarily unavailable."),
        Kind.SERVER: _grok(500, "internal", "Internal error."),
    },
    "perplexity": {
        Kind.AUTH: _openai(401, 401, "Invalid API key provided.", kind="invalid_api_key"),
        Kind.CONTEXT_LENGTH: _openai(
            400, 400, "The prompt has too many tokens.", kind="too_many_prompt_tokens"
        ),
    },
    "openrouter": {
        Kind.AUTH: _openrouter(401, "Missing Authentication header"),
        Kind.RATE_LIMIT: _openrouter(
            429,
            "Provider returned error",
            {"provider_name": "Double", "raw": "nope is temporarily rate-limited upstream."},
            _WAIT,
        ),
        Kind.QUOTA: _openrouter(402, "Insufficient credits. Add more to continue."),
        Kind.CONTEXT_LENGTH: _openrouter(
            400, "This endpoint's maximum context length is 131072 tokens."
        ),
        Kind.INVALID_REQUEST: _openrouter(400, "Input required: specify messages"),
        Kind.CONTENT_FILTER: _openrouter(
            403,
            "The input was flagged by moderation",
            {"reasons": ["violence"], "flagged_input": "...", "provider_name": "Double"},
        ),
        Kind.NOT_FOUND: _openrouter(404, "No endpoints found for nope."),
        Kind.OVERLOADED: _openrouter(503, "There is no available model provider", headers=_WAIT),
        Kind.SERVER: _openrouter(502, "Provider returned error"),
    },
    "huggingface": {
        Kind.AUTH: ErrorAnswer(401, {"error": "Invalid username or password."}),
        Kind.QUOTA: ErrorAnswer(402, {"error": "You have exceeded your monthly included credits."}),
        Kind.NOT_FOUND: _openai(
            400,
            "model_not_supported",
            "The requested model 'nope' is not supported by any provider you have enabled.",
            param="model",
        ),
    },
    "github": {
        Kind.NOT_FOUND: _openai(410, "gone", "GitHub Models was retired."),  # invented
    },
    "copilot": {
        Kind.AUTH: ErrorAnswer(
            401,
            {"error": {"code": "401", "message": "Access denied due to invalid subscription key."}},
        ),
        Kind.RATE_LIMIT: ErrorAnswer(
            429,
            {"error": {"code": "RateLimitReached", "message": "Rate limit is exceeded."}},
            _WAIT_MS,
        ),
        Kind.CONTENT_FILTER: ErrorAnswer(
            400,
            {
                "error": {
                    "message": "The response was filtered due to the prompt triggering Azure "
                    "OpenAI's content management policy.",
                    "type": None,
                    "param": "prompt",
                    "code": "content_filter",
                    "status": 400,
                    "innererror": {
                        "code": "ResponsibleAIPolicyViolation",
                        "content_filter_result": {"hate": {"filtered": True, "severity": "high"}},
                    },
                }
            },
        ),
        Kind.NOT_FOUND: ErrorAnswer(
            404,
            {
                "error": {
                    "code": "DeploymentNotFound",
                    "message": "The API deployment for this resource does not exist.",
                }
            },
        ),
    },
}
