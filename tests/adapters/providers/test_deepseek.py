from adapters.events import ErrorCode
from adapters.providers.deepseek import PROVIDER
from tests.adapters.providers import wire
from tests.adapters.providers.wire import ABSENT, Case


def test_a_request_goes_to_chat_completions_without_a_version() -> None:
    encoded = wire.sent(PROVIDER)
    assert PROVIDER.base_url == "https://api.deepseek.com"
    assert encoded.path == "/chat/completions"
    assert encoded.body["model"] == "deepseek-flash"
    assert encoded.body["stream"] is True
    assert encoded.warnings == ()


@wire.each(
    Case(wire.PLAIN, {"stream_options.include_usage": True, "messages.0.role": "system"}),
    Case(wire.LIMIT, {"max_tokens": 100, "max_completion_tokens": ABSENT}),
    Case(wire.WARM, {"temperature": 0.5, "top_p": 0.9}),
    Case(wire.STOP, {"stop": ["END"]}),
    Case(wire.TOOLS, {"tools.0.function.name": "get_weather"}),
    Case(wire.FORCED, {"tool_choice": ABSENT}, warned=frozenset({"tool_choice"})),
    Case(wire.FORCED | wire.THINK_NOT, {"tool_choice": "required"}),
    Case(wire.THINK, {"thinking.type": "enabled", "reasoning_effort": "high"}),
    Case(wire.THINK_NOT, {"thinking.type": "disabled", "reasoning_effort": ABSENT}),
    # low, high and max are all it knows.
    Case(wire.think("medium"), {"reasoning_effort": "high"}),
    Case(wire.think("max"), {"reasoning_effort": "max"}, "pro"),
    # No schemas, so the schema is told in words.
    Case(
        wire.SHAPED,
        {"response_format": {"type": "json_object"}, "messages.1.role": "system"},
        warned=frozenset({"response_format"}),
    ),
    # A beginning is gone on with, and not while thinking.
    Case(wire.BEGUN, {"messages.1.prefix": True, "thinking.type": "disabled"}),
    Case(
        wire.BEGUN | wire.THINK,
        {"thinking.type": "disabled", "reasoning_effort": ABSENT},
        "pro",
        frozenset({"reasoning"}),
    ),
    Case(wire.LOOK, {"messages.0.content.0.image_url.url": wire.IMAGE}),
)
def test_each_field_goes_where_deepseek_takes_it(case: Case) -> None:
    wire.check(PROVIDER, case)


def test_a_beginning_goes_to_the_beta_address() -> None:
    assert wire.sent(PROVIDER, **wire.BEGUN).path == "/beta/chat/completions"


def test_a_past_call_goes_back_with_reasoning_which_is_demanded() -> None:
    assert wire.sent(PROVIDER, **wire.CALLED).body["messages"][1]["reasoning_content"]


def test_a_model_without_eyes_refuses_an_image() -> None:
    wire.check_refuses_images(PROVIDER, "pro")


@wire.each_error(
    (402, {"error": {"message": "Insufficient Balance"}}, ErrorCode.QUOTA_PROVIDER),
    # Its 401 carries a code that says otherwise.
    (401, wire.coded("invalid_request_error", "authentication_error"), ErrorCode.AUTH_PROVIDER),
    (
        400,
        {"error": {"message": "This model's maximum context length is 1000000 tokens."}},
        ErrorCode.CONTEXT_LENGTH,
    ),
)
def test_an_error_means_what_deepseek_means_by_it(answer: wire.Answer) -> None:
    wire.check_error(PROVIDER, answer)
