from adapters.events import ErrorCode
from adapters.providers.qwen import PROVIDER
from tests.adapters.providers import wire
from tests.adapters.providers.wire import ABSENT, Case


def test_a_request_goes_to_chat_completions() -> None:
    encoded = wire.sent(PROVIDER)
    assert encoded.path == "/chat/completions"
    assert encoded.body["model"] == "qwen3.7-plus"
    assert encoded.body["stream"] is True
    assert encoded.warnings == ()


@wire.each(
    Case(wire.PLAIN, {"stream_options.include_usage": True, "messages.0.role": "system"}),
    Case(wire.LIMIT, {"max_tokens": 100, "max_completion_tokens": ABSENT}),
    Case(wire.WARM, {"temperature": 0.5, "top_p": 0.9}),
    Case(wire.STOP, {"stop": ["END"]}),
    Case(wire.SEED, {"seed": 7}),
    Case(wire.TOOLS, {"tools.0.function.name": "get_weather"}),
    # It thinks unless told not to, and then takes no forced tool.
    Case(wire.FORCED, {"tool_choice": ABSENT}, warned=frozenset({"tool_choice"})),
    Case(wire.NAMED, {"tool_choice": ABSENT}, "max", frozenset({"tool_choice"})),
    Case(wire.FORCED | wire.THINK_NOT, {"tool_choice": "required", "enable_thinking": False}),
    Case(wire.THINK, {"enable_thinking": True, "reasoning_effort": "high"}),
    Case(wire.THINK_NOT, {"enable_thinking": False, "reasoning_effort": ABSENT}),
    Case(wire.BEGUN, {"messages.1.partial": True, "enable_thinking": False}),
    Case({"reasoning": {"max_tokens": 500}}, {"enable_thinking": True, "thinking_budget": 500}),
    Case(wire.THINK_NOT, {"enable_thinking": ABSENT}, "kimi-k2.7-code"),
    Case(wire.SHAPED, {"response_format.json_schema.schema": wire.SCHEMA}),
    Case(wire.LOOK, {"messages.0.content.0.image_url.url": wire.IMAGE}, "flash"),
    Case(wire.CALLED, {"messages.1.reasoning_content": ABSENT}),
)
def test_each_field_goes_where_qwen_takes_it(case: Case) -> None:
    wire.check(PROVIDER, case)


@wire.each_error(
    (401, wire.coded("InvalidApiKey"), ErrorCode.AUTH_PROVIDER),
    (403, wire.coded("AccessDenied"), ErrorCode.AUTH_PROVIDER),
    (400, wire.coded("Arrearage", "Arrearage"), ErrorCode.QUOTA_PROVIDER),
    (429, wire.coded("Throttling.RateQuota"), ErrorCode.RATE_LIMIT_PROVIDER),
    (429, wire.coded("Throttling.AllocationQuota"), ErrorCode.QUOTA_PROVIDER),
    (429, wire.coded("limit_requests", "limit_requests"), ErrorCode.RATE_LIMIT_PROVIDER),
    # OpenAI's word for an empty purse is here this minute's tokens.
    (429, wire.coded("insufficient_quota", "insufficient_quota"), ErrorCode.RATE_LIMIT_PROVIDER),
    (400, wire.coded("data_inspection_failed"), ErrorCode.CONTENT_BLOCKED_INPUT),
)
def test_an_error_means_what_dashscope_means_by_it(answer: wire.Answer) -> None:
    wire.check_error(PROVIDER, answer)
