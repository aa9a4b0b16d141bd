from adapters.events import ErrorCode
from adapters.providers.openrouter import PROVIDER
from tests.adapters.providers import wire
from tests.adapters.providers.wire import ABSENT, Case


def test_a_request_goes_to_chat_completions() -> None:
    encoded = wire.sent(PROVIDER)
    assert encoded.path == "/chat/completions"
    assert encoded.body["model"] == "deepseek/deepseek-v4.1-flash"
    assert encoded.body["stream"] is True
    assert encoded.warnings == ()


def test_openrouter_is_told_which_application_asks() -> None:
    assert PROVIDER.headers["X-OpenRouter-Title"] == "Tailrace"
    assert PROVIDER.headers["HTTP-Referer"].startswith("http")


@wire.each(
    Case(wire.PLAIN, {"stream_options": ABSENT, "messages.0.role": "system"}),
    Case(wire.LIMIT, {"max_tokens": 100}),
    Case(wire.WARM, {"temperature": 0.5, "top_p": 0.9}),
    Case(wire.WARM, {"temperature": ABSENT}, "claude-sonnet"),
    Case(wire.STOP, {"stop": ["END"]}),
    # Else a host that ignores tools or schemas may be chosen.
    Case(wire.PLAIN, {"provider": ABSENT}),
    Case(wire.FORCED, {"tool_choice": "required", "provider.require_parameters": True}),
    Case(
        wire.SHAPED,
        {
            "response_format.json_schema.schema": wire.SCHEMA,
            "provider.require_parameters": True,
        },
    ),
    Case(wire.THINK, {"reasoning": {"effort": "high"}, "reasoning_effort": ABSENT}),
    Case(wire.THINK_NOT, {"reasoning": {"effort": "none"}}),
    Case({"reasoning": {"max_tokens": 500}}, {"reasoning": {"max_tokens": 500}}),
    Case(wire.LOOK, {"messages.0.content.0.image_url.url": wire.IMAGE}, "kimi-k3"),
    Case(wire.PLAIN, {"model": "qwen/qwen3.8-27b:free"}, "qwen/qwen3.8-27b:free"),
)
def test_each_field_goes_where_openrouter_takes_it(case: Case) -> None:
    wire.check(PROVIDER, case)


@wire.each_error(
    (401, {"error": {"code": 401, "message": "No credentials"}}, ErrorCode.AUTH_PROVIDER),
    (402, {"error": {"code": 402, "message": "Add more"}}, ErrorCode.QUOTA_PROVIDER),
    # A malformed message; elsewhere the same word is a refused prompt.
    (400, wire.coded("invalid_prompt"), ErrorCode.INVALID_REQUEST),
    (400, wire.coded("token_limit_exceeded"), ErrorCode.QUOTA_PROVIDER),
    (502, wire.coded("provider_unavailable"), ErrorCode.UPSTREAM_5XX),
)
def test_an_error_means_what_openrouter_means_by_it(answer: wire.Answer) -> None:
    wire.check_error(PROVIDER, answer)
