"""Provider errors become the codes that the documented kinds map to."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.classify import MAX_MESSAGE, MOST_WAIT, classify, redacted
from adapters.contract import Call, Decoder, Encoded, Failure, Provider
from adapters.events import Error, ErrorCode
from service.routing.health import HealthSettings
from tests import recordings


class NoDialect:
    """Classification never asks it."""

    name = "none"

    def encode(self, call: Call) -> Encoded:
        """Nobody asks it here."""

    def decoder(self, call: Call) -> Decoder:
        """Nobody asks it here."""


def provider(**error_codes: ErrorCode) -> Provider:
    return Provider(
        name="acme",
        title="Acme",
        key_vars=(),
        address_var="ACME_BASE_URL",
        base_url=None,
        client="openai",
        dialect=NoDialect(),
        models=(),
        error_codes=error_codes,
    )


def read(body: object, status: int | None = 400, **headers: str) -> Error:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return classify(Failure(status=status, body=body, headers=named), provider())


# --- Recordings -----------------------------------------------------------------------------

_AUTH = "error_handling_with_{}_raises_appropriate_auth_error"
RECORDED = {
    f"claude/ruby_llm.chat_{_AUTH.format('anthropic_claude-haiku-4-5')}#0": (
        ErrorCode.AUTH_PROVIDER,
        "authentication_error",
    ),
    "claude/ruby_llm.chat_real_error_scenarios_anthropic_claude-haiku-4-5"
    "_handles_context_length_exceeded_error#0": (
        ErrorCode.CONTEXT_LENGTH,
        "invalid_request_error",
    ),
    f"copilot/ruby_llm.chat_{_AUTH.format('azure_grok-4-1-fast-non-reasoning')}#0": (
        ErrorCode.AUTH_PROVIDER,
        None,
    ),
    f"deepseek/ruby_llm.chat_{_AUTH.format('deepseek_deepseek-chat')}#0": (
        ErrorCode.AUTH_PROVIDER,
        "authentication_error",
    ),
    f"gemini/ruby_llm.chat_{_AUTH.format('gemini_gemini-2_5-flash')}#0": (
        ErrorCode.AUTH_PROVIDER,
        "API_KEY_INVALID",
    ),
    "gemini/vercel-ai.google-429-retry-info#0": (
        ErrorCode.RATE_LIMIT_PROVIDER,
        "RESOURCE_EXHAUSTED",
    ),
    f"grok/ruby_llm.chat_{_AUTH.format('xai_grok-4-1-fast-non-reasoning')}#0": (
        ErrorCode.AUTH_PROVIDER,
        "invalid-argument",
    ),
    "groq/pydantic-ai.test_tool_use_failed_error#0": (ErrorCode.INVALID_REQUEST, "tool_use_failed"),
    "kimi/vercel-ai.moonshotai-error-live-message-only#0": (
        ErrorCode.MODEL_UNAVAILABLE,
        "resource_not_found_error",
    ),
    "kimi/vercel-ai.moonshotai-k2.7-disabled-thinking-error#0": (
        ErrorCode.UNSUPPORTED_PARAMETER,
        "invalid_request_error",
    ),
    "kimi/vercel-ai.moonshotai-kimi-k3-temperature-rejection#0": (
        ErrorCode.UNSUPPORTED_PARAMETER,
        "invalid_request_error",
    ),
    "kimi/vercel-ai.moonshotai-required-tool-choice-error#0": (
        ErrorCode.UNSUPPORTED_PARAMETER,
        "invalid_request_error",
    ),
    f"mistral/ruby_llm.chat_{_AUTH.format('mistral_mistral-small-latest')}#0": (
        ErrorCode.AUTH_PROVIDER,
        None,
    ),
    f"openai/ruby_llm.chat_{_AUTH.format('openai_gpt-5-nano')}#0": (
        ErrorCode.AUTH_PROVIDER,
        "invalid_api_key",
    ),
    "openai/vercel-ai.reasoning-model-legacy-parameter-error#0": (
        ErrorCode.UNSUPPORTED_PARAMETER,
        "unsupported_parameter",
    ),
    **{
        f"openrouter/pydantic-ai.test_openrouter_errors_raised#{number}": (
            ErrorCode.RATE_LIMIT_PROVIDER,
            None,
        )
        for number in range(3)
    },
    f"openrouter/ruby_llm.chat_{_AUTH.format('openrouter_claude-haiku-4-5')}#0": (
        ErrorCode.AUTH_PROVIDER,
        None,
    ),
    f"perplexity/ruby_llm.chat_{_AUTH.format('perplexity_sonar')}#0": (
        ErrorCode.AUTH_PROVIDER,
        "invalid_api_key",
    ),
    "qwen/vercel-ai.qwen-plus-malformed-replayed-tool-arguments-error#0": (
        ErrorCode.INVALID_REQUEST,
        "invalid_parameter_error",
    ),
}


@recordings.each(recordings.errors())
def test_a_recorded_error_has_the_code_its_kind_maps_to(exchange: recordings.Exchange) -> None:
    error = read(exchange.body.decode(), exchange.status)
    assert (error.code, error.provider_code) == RECORDED[exchange.case]
    assert error.message
    assert "{" not in error.message


@recordings.each(recordings.errors())
def test_a_recorded_error_reads_the_same_with_its_body_parsed_or_not(
    exchange: recordings.Exchange,
) -> None:
    parsed = orjson.loads(exchange.body)
    assert read(parsed, exchange.status) == read(exchange.body.decode(), exchange.status)


# --- The kinds, in every provider's words ---------------------------------------------------


def said(**error: object) -> dict[str, object]:
    return {"error": error}


KINDS: dict[ErrorCode, list[tuple[str, int | None, object]]] = {
    ErrorCode.AUTH_PROVIDER: [
        ("a 401 whose code says otherwise", 401, said(code="rate_limit_exceeded")),
        ("a key error at 400", 400, {"error": "Incorrect API key provided"}),
        ("invalid_authentication_error", 400, said(type="invalid_authentication_error")),
        ("InvalidApiKey, flat", 400, {"code": "InvalidApiKey", "message": "No."}),
        ("PERMISSION_DENIED in a list", 403, [said(code=403, status="PERMISSION_DENIED")]),
        ("permission_error", 403, said(type="permission_error")),
        ("AccessDenied.Unpurchased", 400, {"code": "AccessDenied.Unpurchased"}),
        ("a bare 403", 403, ""),
    ],
    ErrorCode.RATE_LIMIT_PROVIDER: [
        ("a bare 429", 429, "slow"),
        ("RateLimitReached", 429, said(code="RateLimitReached")),
        ("Throttling.RateQuota", 429, {"code": "Throttling.RateQuota"}),
        ("rate_limit_reached_error", 429, said(type="rate_limit_reached_error")),
        ("a gateway's error_type", 400, said(metadata={"error_type": "rate_limit_exceeded"})),
        ("a 200 with a status inside", 200, said(code=429)),
        ("an error event with a status_code", None, said(status_code=429)),
    ],
    ErrorCode.QUOTA_PROVIDER: [
        ("a bare 402", 402, {"detail": "pay"}),
        ("insufficient_quota at 429", 429, said(code="insufficient_quota")),
        ("exceeded_current_quota_error", 429, said(type="exceeded_current_quota_error")),
        ("Throttling.AllocationQuota", 429, {"code": "Throttling.AllocationQuota"}),
        ("Arrearage", 400, {"code": "Arrearage"}),
        ("billing_error", 400, said(type="billing_error")),
        ("credits as text", 403, {"error": "You have exceeded your monthly included credits"}),
        (
            "an empty account said only in words",
            400,
            said(type="invalid_request_error", message="Your credit balance is too low"),
        ),
        (
            "a daily quota",
            429,
            said(
                status="RESOURCE_EXHAUSTED",
                details=[{"violations": [{"quotaId": "RequestsPerDayPerProject"}]}],
            ),
        ),
        ("an error event, flat", None, {"type": "error", "code": "insufficient_quota"}),
    ],
    ErrorCode.CONTEXT_LENGTH: [
        ("context_length_exceeded", 400, said(code="context_length_exceeded")),
        ("too_many_prompt_tokens", 400, said(type="too_many_prompt_tokens")),
        ("a 413, whatever it calls itself", 413, said(code="rate_limit_exceeded")),
        (
            "input token count",
            400,
            said(status="INVALID_ARGUMENT", message="The input token count (9) exceeds"),
        ),
        (
            "exceeded model token limit",
            400,
            said(message="Your request exceeded model token limit: 8192"),
        ),
        (
            "another provider's words behind a gateway",
            400,
            said(
                code=400,
                message="Provider returned error",
                metadata={"raw": '{"error":{"message":"maximum context length is 8"}}'},
            ),
        ),
    ],
    ErrorCode.INVALID_REQUEST: [
        ("a bare 400", 400, "no"),
        ("a bare 422", 422, {"detail": []}),
        ("an error event that blames us", None, said(type="invalid_request_error")),
    ],
    ErrorCode.UNSUPPORTED_PARAMETER: [
        ("unsupported_value", 400, said(code="unsupported_value")),
        ("a prefill", 400, said(message="m does not support assistant message prefill")),
        (
            "a feature the model lacks",
            400,
            said(
                status="INVALID_ARGUMENT",
                message="Thinking budget is not supported for this model.",
            ),
        ),
    ],
    ErrorCode.CONTENT_BLOCKED_INPUT: [
        ("content_filter", 400, said(code="content_filter", message="blocked")),
        ("an inner error", 400, said(innererror={"code": "ResponsibleAIPolicyViolation"})),
        ("data_inspection_failed", 400, said(code="data_inspection_failed")),
        (
            "a filter said only in words",
            400,
            said(
                type="invalid_request_error", message="Output blocked by content filtering policy"
            ),
        ),
        ("moderation at 403", 403, said(code=403, metadata={"flagged_input": "secret plans"})),
    ],
    ErrorCode.MODEL_UNAVAILABLE: [
        ("a bare 404 page", 404, "<html><body>nothing</body></html>"),
        ("any 410", 410, said(code="invalid_request_error")),
        ("model_not_found at 400", 400, said(code="model_not_found")),
        ("DeploymentNotFound", 404, said(code="DeploymentNotFound")),
        (
            "a router without that model",
            400,
            said(message="The model 'm' is not supported by any provider you have enabled."),
        ),
    ],
    ErrorCode.OVERLOADED: [
        ("overloaded_error", 529, {"type": "error", "error": {"type": "overloaded_error"}}),
        ("overloaded at 429", 429, said(type="engine_overloaded_error")),
        ("capacity_exceeded", 498, said(code="capacity_exceeded")),
        ("a bare 498", 498, ""),
        ("a bare 503", 503, ""),
        ("a bare 529", 529, ""),
        ("overloaded in words", None, said(message="The engine is currently overloaded")),
    ],
    ErrorCode.UPSTREAM_5XX: [
        ("a bare 500", 500, ""),
        ("a bare 504", 504, ""),
        ("a bare 408", 408, ""),
        ("a bare 499", 499, ""),
        ("a 502 whose text sounds like something else", 502, "The prompt is too long"),
        ("a 200 that failed", 200, {"status": "failed", "error": {"code": "server_error"}}),
        ("an error event with a status", None, said(code=502)),
        ("an error event that blames itself", None, said(type="server_error", code="whatever")),
        ("an error event that says nothing", None, said()),
        ("no body", None, None),
    ],
    ErrorCode.UPSTREAM_MALFORMED: [
        ("a redirect", 302, ""),
        ("a wrong method", 405, "Method Not Allowed"),
        ("a 200 that says nothing", 200, {"id": "x"}),
    ],
}


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        pytest.param(status, body, code, id=f"{code}: {name}")
        for code, cases in KINDS.items()
        for name, status, body in cases
    ],
)
def test_a_kind_of_error_is_known_by_its_body_then_its_status(
    status: int | None, body: object, code: ErrorCode
) -> None:
    assert read(body, status).code is code


def test_a_provider_s_own_codes_outrank_everything() -> None:
    own = provider(**{"1113": ErrorCode.QUOTA_PROVIDER, "odd": ErrorCode.OVERLOADED})
    unpaid = Failure(status=429, body={"error": {"code": "1113", "message": "balance"}})
    assert classify(unpaid, own).code is ErrorCode.QUOTA_PROVIDER
    assert classify(unpaid, own).provider_code == "1113"
    numeric = Failure(status=401, body={"error": {"code": 1113}})
    assert classify(numeric, own).code is ErrorCode.QUOTA_PROVIDER
    family = Failure(status=400, body={"code": "Odd.User"})
    assert classify(family, own).code is ErrorCode.OVERLOADED


# --- Parameters -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (said(code="unsupported_parameter", param="max_tokens"), "max_tokens"),
        (said(message="Unsupported value: 'top_p' does not support 0.1"), "top_p"),
        (said(message="property 'logprobs' is unsupported"), "logprobs"),
        (said(message='Invalid JSON payload received. Unknown name "seed": no'), "seed"),
        (said(message="temperature: Extra inputs are not permitted"), "temperature"),
        (said(message="`temperature` is deprecated for this model."), "temperature"),
        ({"error": "Model m does not support parameter presencePenalty."}, "presencePenalty"),
        (said(message="invalid temperature: only 1 is allowed for this model"), "temperature"),
        (said(message="tool_choice 'required' is incompatible with thinking"), "tool_choice"),
        ({"detail": [{"type": "extra_forbidden", "loc": ["body", "n"], "msg": "Extra"}]}, "n"),
        (
            {
                "object": "error",
                "message": {
                    "detail": [
                        {
                            "type": "extra_forbidden",
                            "loc": ["body", "messages", 0, "user", "name"],
                            "msg": "Extra inputs are not permitted",
                        }
                    ]
                },
                "type": "invalid_request_error",
            },
            "messages.0.user.name",
        ),
    ],
)
def test_a_parameter_that_is_not_taken_is_named(body: object, param: str) -> None:
    error = read(body)
    assert (error.code, error.param) == (ErrorCode.UNSUPPORTED_PARAMETER, param)


def test_an_invalid_request_keeps_the_parameter_the_provider_names() -> None:
    error = read({"error": {"type": "invalid_request_error", "param": "messages", "code": None}})
    assert (error.code, error.param) == (ErrorCode.INVALID_REQUEST, "messages")


# --- When to come back ----------------------------------------------------------------------

_DATE = "Tue, 03 Nov 2026 12:00:00 GMT"


@pytest.mark.parametrize(
    ("body", "headers", "milliseconds"),
    [
        ("", {"retry-after": "7"}, 7_000),
        ("", {"Retry-After": "0.5"}, 500),
        ("", {"retry-after-ms": "1250", "retry-after": "2"}, 1_250),
        ("", {"retry-after": "Tue, 03 Nov 2026 12:00:09 GMT", "date": _DATE}, 9_000),
        ("", {"retry-after": "Tue, 03 Nov 2026 12:00:09 GMT"}, None),
        ("", {"retry-after": "soon"}, None),
        ({"error": {"details": [{"retryDelay": "34.4s"}]}}, {}, 34_400),
        ({"error": {"message": "Please try again in 1m2.5s."}}, {}, 62_500),
        ({"error": {"message": "Please retry in 120ms."}}, {}, 120),
        ({"error": {"message": "Please try again in a while."}}, {}, None),
        (
            {"error": {"metadata": {"headers": {"X-RateLimit-Reset": "1793707242000"}}}},
            {"date": _DATE},
            42_000,
        ),
        ({"error": {"metadata": {"headers": {"Retry-After": 3}}}}, {}, 3_000),
        ("", {"retry-after": "3600"}, 3_600_000),
        ("", {"retry-after": "1000000000"}, 3_600_000),
        ("", {"retry-after-ms": "999999999999999"}, 3_600_000),
        ({"error": {"message": "Please try again in 48h."}}, {}, 3_600_000),
    ],
)
def test_the_wait_is_read_wherever_it_is_written(
    body: object, headers: dict[str, str], milliseconds: int | None
) -> None:
    failure = Failure(status=429, body=body, headers=headers)
    assert classify(failure, provider()).retry_after_ms == milliseconds


def test_nobody_is_told_to_wait_for_longer_than_routing_does() -> None:
    assert HealthSettings().most_cool_down == MOST_WAIT


@pytest.mark.parametrize(
    ("status", "said", "retryable"),
    [(429, "false", False), (400, "true", True), (429, "maybe", True), (400, "", False)],
)
def test_a_provider_s_word_on_retrying_outranks_the_code_s_rule(
    status: int, said: str, *, retryable: bool
) -> None:
    assert read("", status, X_Should_Retry=said).retryable is retryable


# --- What a client sees ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "secret",
    [
        "sk-proj-AbCdEf0123456789AbCdEf",
        "sk-abc***********xyz",
        "gsk_0123456789abcdefghijklmn",
        "AIzaSyA0123456789abcdefghij",
        "hf_abcdefghijklmnopqrst",
        "xai-0123456789abcdefghij",
        "0123456789abcdef0123456789abcdef",
        "0123456789abcdef0123456789abcdef.AbCdEfGhIjKl",
        "org-Q1w2e3r4t5y6u7i8",
    ],
)
def test_whatever_looks_like_a_key_is_cut_out_of_the_message(secret: str) -> None:
    message = read({"error": {"message": f"Rejected {secret}, sorry"}}).message
    assert message == "Rejected [redacted], sorry"


@pytest.mark.parametrize(
    "text",
    [
        "Incorrect API key provided: test-key-openai.",
        "Your api key: ****-key is invalid",
        "bad Authorization: secretive",
        "got Bearer abc.def",
    ],
)
def test_whatever_follows_the_word_key_is_cut_out(text: str) -> None:
    safe = redacted(text)
    assert "[redacted]" in safe
    assert not any(part in safe for part in ("test-key", "****", "secretive", "abc.def"))


@pytest.mark.parametrize(
    "text",
    [
        "You can obtain an API key from https://console.x.ai.",
        "prompt is too long: 3333404 tokens > 200000 maximum",
        "The model meta-llama/Llama-3.3-70B-Instruct via hf-inference is not found",
        "claude-haiku-4-5-20251001 is not available",
        "Your request exceeded model token limit: 262144",
    ],
)
def test_an_ordinary_message_is_left_as_it_is(text: str) -> None:
    assert redacted(text) == text


def test_a_message_is_one_bounded_line() -> None:
    message = read({"error": {"message": "word \n\t" * 200}}).message
    assert len(message) == MAX_MESSAGE
    assert "\n" not in message


def test_an_answer_without_words_still_gets_a_message() -> None:
    assert read("", 502).message == "Acme answered HTTP 502 without an explanation"
    assert read({"error": None}, None).message == "Acme answered an error without an explanation"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("<html><head><title>502 Bad Gateway</title></head></html>", "502 Bad Gateway"),
        ("<!DOCTYPE html><p>down", "Acme answered HTTP 502 without an explanation"),
        (
            "Traceback (most recent call last):\n  File",
            "Acme answered HTTP 502 without an explanation",
        ),
        ("upstream connect error\nat /srv/app/main.py", "upstream connect error"),
        ("{not json", "{not json"),
    ],
)
def test_a_page_or_a_traceback_is_not_passed_on(body: str, message: str) -> None:
    assert read(body, 502).message == message


def test_a_flagged_prompt_is_not_repeated() -> None:
    error = read(
        {"error": {"code": 403, "message": "Flagged", "metadata": {"flagged_input": "me"}}}
    )
    assert error.message == "Flagged"


def test_what_a_provider_behind_a_gateway_said_is_added_once() -> None:
    raw = '{"error":{"message":"Provider returned error: too busy"}}'
    twice = {"error": {"message": "too busy", "metadata": {"raw": raw}}}
    assert read(twice).message == "too busy; Provider returned error: too busy"
    same = {"error": {"message": "too busy", "details": [{"message": "too busy"}]}}
    assert read(same).message == "too busy"


def test_a_body_nested_without_end_is_given_up_on() -> None:
    body: object = {"code": "insufficient_quota"}
    for _ in range(500):
        body = {"error": [body]}
    assert read(body, 503).code is ErrorCode.OVERLOADED


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["error", "message", "details", "code", "type", "status", "loc"])
            | st.sampled_from(["metadata", "raw", "headers", "violations", "quotaId", "detail"])
            | st.sampled_from(["retryDelay", "innererror", "param", "msg", "flagged_input"]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(
    body=_JSON,
    status=st.none() | st.integers(100, 999),
    headers=st.dictionaries(
        st.sampled_from(["retry-after", "date", "retry-after-ms", "x-should-retry"]), st.text()
    ),
)
def test_no_body_makes_it_raise(body: object, status: int | None, headers: dict[str, str]) -> None:
    error = classify(Failure(status=status, body=body, headers=headers), provider())
    assert 0 < len(error.message) <= MAX_MESSAGE
