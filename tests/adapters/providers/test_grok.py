from adapters.events import ErrorCode
from adapters.providers.grok import PROVIDER
from tests.adapters.providers import wire
from tests.adapters.providers.wire import ABSENT, Case


def test_a_request_goes_to_chat_completions() -> None:
    encoded = wire.sent(PROVIDER)
    assert encoded.path == "/chat/completions"
    assert encoded.body["model"] == "grok-4.3"
    assert encoded.body["stream"] is True


@wire.each(
    # Usage comes unasked.
    Case(wire.PLAIN, {"stream_options": ABSENT, "messages.0.role": "system"}),
    Case(wire.LIMIT, {"max_tokens": 100}),
    Case(wire.WARM, {"temperature": 0.5, "top_p": 0.9}),
    # No stop sequences on a reasoning model, and all of them reason.
    Case(wire.STOP, {"stop": ABSENT}, warned=frozenset({"stop"})),
    Case(wire.STOP, {"stop": ABSENT}, "grok-4.7"),
    Case(wire.STOP, {"stop": ABSENT}, "grok-build"),
    Case(
        wire.FORCED | wire.THINK_NOT,
        {"tools.0.function.name": "get_weather", "tool_choice": "required"},
    ),
    Case(wire.THINK, {"reasoning_effort": "high"}),
    Case(wire.THINK_NOT, {"reasoning_effort": "none"}),
    Case(wire.think("xhigh"), {"reasoning_effort": "high"}),
    Case(wire.think("xhigh"), {"reasoning_effort": "xhigh"}, "grok-4.7"),
    Case(wire.THINK_NOT, {"reasoning_effort": "low"}, "grok-4.7"),
    Case(wire.THINK, {"reasoning_effort": ABSENT}, "grok-build"),
    Case(wire.SHAPED, {"response_format.json_schema.schema": wire.SCHEMA}),
    Case(wire.LOOK, {"messages.0.content.0.image_url.url": wire.IMAGE}),
)
def test_each_field_goes_where_chat_completions_takes_it(case: Case) -> None:
    wire.check(PROVIDER, case)


def test_tools_go_over_responses_unless_the_model_does_not_reason() -> None:
    assert wire.sent(PROVIDER, **wire.TOOLS).path == "/responses"
    assert wire.sent(PROVIDER, **wire.TOOLS, **wire.THINK_NOT).path == "/chat/completions"


@wire.each(
    Case(wire.TOOLS, {"store": False, "include": ["reasoning.encrypted_content"]}),
    Case(wire.TOOLS, {"input.0.role": "system", "tools.0.name": "get_weather"}),
    Case(wire.TOOLS | wire.LIMIT, {"max_output_tokens": 100}),
    Case(wire.TOOLS | wire.THINK, {"reasoning.effort": "high"}, "grok-4.7"),
)
def test_each_field_goes_where_responses_takes_it(case: Case) -> None:
    wire.check(PROVIDER, case)


@wire.each_error(
    (
        400,
        {"code": "invalid-argument", "error": "Incorrect API key provided."},
        ErrorCode.AUTH_PROVIDER,
    ),
    (
        410,
        {"code": "gone", "error": "Live search is no longer offered."},
        ErrorCode.MODEL_UNAVAILABLE,
    ),
)
def test_an_error_means_what_xai_means_by_it(answer: wire.Answer) -> None:
    wire.check_error(PROVIDER, answer)
