"""What each provider's own error codes mean, by answers written after docs/providers.md."""

from typing import Any

import pytest

from adapters.classify import classify
from adapters.contract import Failure
from adapters.events import ErrorCode
from adapters.registry import PROVIDERS

E = ErrorCode


def glm(number: str) -> dict[str, Any]:
    return {"error": {"code": number, "message": "in words"}}


def coded(code: str, kind: str = "invalid_request_error") -> dict[str, Any]:
    return {"error": {"code": code, "type": kind, "message": "in words"}}


CASES: list[tuple[str, int, Any, ErrorCode]] = [
    # Numbers, nearly all at 429.
    ("glm", 401, glm("1000"), E.AUTH_PROVIDER),
    ("glm", 401, glm("1003"), E.AUTH_PROVIDER),
    ("glm", 429, glm("1112"), E.AUTH_PROVIDER),
    ("glm", 429, glm("1121"), E.AUTH_PROVIDER),
    ("glm", 429, glm("1113"), E.QUOTA_PROVIDER),
    ("glm", 429, glm("1304"), E.QUOTA_PROVIDER),
    ("glm", 429, glm("1308"), E.QUOTA_PROVIDER),
    ("glm", 429, glm("1310"), E.QUOTA_PROVIDER),
    ("glm", 400, glm("1210"), E.INVALID_REQUEST),
    ("glm", 400, glm("1214"), E.INVALID_REQUEST),
    ("glm", 400, glm("1211"), E.MODEL_UNAVAILABLE),
    ("glm", 400, glm("1261"), E.CONTEXT_LENGTH),
    ("glm", 400, glm("1301"), E.CONTENT_BLOCKED_INPUT),
    ("glm", 429, glm("1302"), E.RATE_LIMIT_PROVIDER),
    ("glm", 429, glm("1303"), E.RATE_LIMIT_PROVIDER),
    ("glm", 429, glm("1305"), E.OVERLOADED),
    ("glm", 429, glm("1312"), E.OVERLOADED),
    # The same number at another provider says nothing.
    ("kimi", 429, glm("1113"), E.RATE_LIMIT_PROVIDER),
    # DashScope's names, and the OpenAI ones it uses in another sense.
    ("qwen", 401, coded("InvalidApiKey"), E.AUTH_PROVIDER),
    ("qwen", 403, coded("AccessDenied"), E.AUTH_PROVIDER),
    ("qwen", 400, coded("Arrearage", "Arrearage"), E.QUOTA_PROVIDER),
    ("qwen", 429, coded("Throttling.RateQuota"), E.RATE_LIMIT_PROVIDER),
    ("qwen", 429, coded("Throttling.AllocationQuota"), E.QUOTA_PROVIDER),
    ("qwen", 429, coded("limit_requests", "limit_requests"), E.RATE_LIMIT_PROVIDER),
    ("qwen", 429, coded("insufficient_quota", "insufficient_quota"), E.RATE_LIMIT_PROVIDER),
    ("openai", 429, coded("insufficient_quota", "insufficient_quota"), E.QUOTA_PROVIDER),
    ("qwen", 400, coded("data_inspection_failed"), E.CONTENT_BLOCKED_INPUT),
    ("openai", 429, coded("project_spend_limit_exceeded"), E.QUOTA_PROVIDER),
    ("openai", 429, coded("credit_balance_exhausted"), E.QUOTA_PROVIDER),
    ("perplexity", 429, coded("request_rate_limit_exceeded"), E.RATE_LIMIT_PROVIDER),
    ("openrouter", 400, coded("invalid_prompt"), E.INVALID_REQUEST),
    ("openai", 400, coded("invalid_prompt"), E.CONTENT_BLOCKED_INPUT),
    ("openrouter", 400, coded("token_limit_exceeded"), E.QUOTA_PROVIDER),
    ("openrouter", 502, coded("provider_unavailable"), E.UPSTREAM_5XX),
    # Types that need no word of the provider's.
    ("kimi", 429, {"error": {"type": "engine_overloaded_error", "message": "m"}}, E.OVERLOADED),
    (
        "kimi",
        429,
        {"error": {"type": "exceeded_current_quota_error", "message": "m"}},
        E.QUOTA_PROVIDER,
    ),
    ("kimi", 400, {"error": {"type": "content_filter", "message": "m"}}, E.CONTENT_BLOCKED_INPUT),
    ("deepseek", 402, {"error": {"message": "Insufficient Balance"}}, E.QUOTA_PROVIDER),
    ("groq", 498, {"error": {"code": "capacity_exceeded", "message": "m"}}, E.OVERLOADED),
    (
        "grok",
        400,
        {"code": "invalid-argument", "error": "Incorrect API key provided."},
        E.AUTH_PROVIDER,
    ),
    ("mistral", 401, {"detail": "Invalid API Key"}, E.AUTH_PROVIDER),
    ("claude", 529, {"error": {"type": "overloaded_error", "message": "m"}}, E.OVERLOADED),
    ("copilot", 404, coded("DeploymentNotFound"), E.MODEL_UNAVAILABLE),
    ("github", 410, "gone", E.MODEL_UNAVAILABLE),
]


@pytest.mark.parametrize(
    ("name", "status", "body", "meaning"),
    CASES,
    ids=[f"{number}-{name}-{meaning}" for number, (name, _, _, meaning) in enumerate(CASES)],
)
def test_an_error_means_what_this_provider_means_by_it(
    name: str, status: int, body: object, meaning: ErrorCode
) -> None:
    error = classify(Failure(status=status, body=body), PROVIDERS[name])
    assert error.code is meaning
    assert error.provider == name
