from adapters.events import ErrorCode
from adapters.providers.kimi import PROVIDER
from tests.adapters.providers import wire
from tests.adapters.providers.wire import ABSENT, Case


def test_a_request_goes_to_chat_completions() -> None:
    encoded = wire.sent(PROVIDER)
    assert encoded.path == "/chat/completions"
    assert encoded.body["model"] == "kimi-k3.1-pro"
    assert encoded.body["stream"] is True
    assert encoded.warnings == ()


@wire.each(
    Case(wire.PLAIN, {"stream_options.include_usage": True, "messages.0.role": "system"}),
    Case(wire.LIMIT, {"max_tokens": 100, "max_completion_tokens": ABSENT}),
    # The only temperature is 1, and top_p is fixed as well.
    Case(
        wire.WARM,
        {"temperature": ABSENT, "top_p": ABSENT},
        warned=frozenset({"temperature", "top_p"}),
    ),
    Case({"temperature": 1.0}, {"temperature": 1.0}),
    Case(wire.WARM, {"temperature": ABSENT}, "k2.6"),
    Case(wire.WARM, {"temperature": ABSENT}, "kimi-k4-unheard-of"),
    Case(wire.STOP, {"stop": ["END"]}),
    Case({"stop": list("abcdef")}, {"stop": list("abcde")}, warned=frozenset({"stop"})),
    Case(
        wire.FORCED,
        {"tools.0.function.name": "get_weather", "tool_choice": ABSENT},
        warned=frozenset({"tool_choice"}),
    ),
    Case(wire.FORCED | wire.THINK_NOT, {"tool_choice": "required"}, "k2.6"),
    # K3 has efforts and no switch, K2.6 a switch and no efforts, K2.7 neither.
    Case(wire.THINK, {"reasoning_effort": "high", "thinking": ABSENT}),
    Case(wire.think("medium"), {"reasoning_effort": "high"}, "k3"),
    Case(wire.THINK, {"reasoning_effort": ABSENT, "thinking.type": "enabled"}, "k2.6"),
    Case(wire.THINK_NOT, {"thinking.type": "disabled", "reasoning_effort": ABSENT}, "k2.6"),
    Case(wire.THINK_NOT, {"thinking": ABSENT, "reasoning_effort": ABSENT}, "k2.7-code"),
    Case(wire.SHAPED, {"response_format.json_schema.schema": wire.SCHEMA}),
    Case(wire.BEGUN, {"messages.1.partial": True, "thinking.type": "disabled"}, "k2.6"),
    Case(wire.BEGUN, {"messages.1.partial": ABSENT}, warned=frozenset({"messages"})),
    Case(wire.LOOK, {"messages.0.content.0.image_url.url": wire.IMAGE}),
)
def test_each_field_goes_where_kimi_takes_it(case: Case) -> None:
    wire.check(PROVIDER, case)


def test_a_past_call_goes_back_with_reasoning_which_is_demanded() -> None:
    assert wire.sent(PROVIDER, **wire.CALLED).body["messages"][1]["reasoning_content"]


@wire.each_error(
    (429, wire.typed("engine_overloaded_error"), ErrorCode.OVERLOADED),
    (429, wire.typed("rate_limit_reached_error"), ErrorCode.RATE_LIMIT_PROVIDER),
    (429, wire.typed("exceeded_current_quota_error"), ErrorCode.QUOTA_PROVIDER),
    (401, wire.typed("incorrect_api_key_error"), ErrorCode.AUTH_PROVIDER),
    (400, wire.typed("content_filter"), ErrorCode.CONTENT_BLOCKED_INPUT),
    (404, wire.typed("resource_not_found_error"), ErrorCode.MODEL_UNAVAILABLE),
    # Z.ai's unpaid bill is nothing here.
    (429, wire.coded("1113"), ErrorCode.RATE_LIMIT_PROVIDER),
)
def test_an_error_means_what_moonshot_means_by_it(answer: wire.Answer) -> None:
    wire.check_error(PROVIDER, answer)
