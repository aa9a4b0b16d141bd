from adapters.events import ErrorCode
from adapters.providers.openai import PROVIDER
from tests.adapters.providers import wire
from tests.adapters.providers.wire import ABSENT, Case


def test_a_request_goes_to_chat_completions() -> None:
    encoded = wire.sent(PROVIDER)
    assert encoded.path == "/chat/completions"
    assert encoded.body["model"] == "gpt-6.1-terra"
    assert encoded.body["stream"] is True
    assert encoded.warnings == ()


@wire.each(
    Case(
        wire.PLAIN,
        {"stream_options": {"include_usage": True, "include_obfuscation": False}},
    ),
    Case(wire.PLAIN, {"messages.0.role": "developer", "messages.1.name": "ada"}),
    Case(wire.LIMIT, {"max_completion_tokens": 100, "max_tokens": ABSENT}),
    # Sampling only where the model does not reason.
    Case(
        wire.WARM,
        {"temperature": ABSENT, "top_p": ABSENT},
        warned=frozenset({"temperature", "top_p"}),
    ),
    Case(
        wire.WARM | wire.THINK_NOT, {"temperature": 0.5, "top_p": 0.9, "reasoning_effort": "none"}
    ),
    Case(
        wire.WARM | wire.THINK_NOT,
        {"temperature": ABSENT, "reasoning_effort": "low"},
        "sol",
        frozenset({"temperature", "reasoning.effort"}),
    ),
    Case(wire.STOP, {"stop": ["END"]}),
    Case({"stop": list("abcdef")}, {"stop": list("abcd")}, warned=frozenset({"stop"})),
    Case(wire.SEED, {"seed": 7}),
    Case(wire.USER, {"user": "u1"}),
    Case(wire.THINK, {"reasoning_effort": "high"}),
    # `max` exists over Responses alone.
    Case(wire.think("max"), {"reasoning_effort": "xhigh"}, warned=frozenset({"reasoning.effort"})),
    Case(wire.think("minimal"), {"reasoning_effort": "low"}),
    Case(wire.SHAPED, {"response_format.json_schema.schema": wire.SCHEMA}),
    Case(wire.LOOK, {"messages.0.content.0.image_url.url": wire.IMAGE}),
    Case(wire.CALLED, {"messages.1.tool_calls.0.id": "call_1"}),
    Case(wire.WARM, {"temperature": ABSENT}, "gpt-7-unheard-of"),
)
def test_each_field_goes_where_chat_completions_takes_it(case: Case) -> None:
    wire.check(PROVIDER, case)


def test_tools_go_over_responses_unless_the_model_does_not_reason() -> None:
    assert wire.sent(PROVIDER, **wire.TOOLS).path == "/responses"
    assert wire.sent(PROVIDER, **wire.TOOLS, **wire.THINK_NOT).path == "/chat/completions"
    # Sol cannot be told not to reason.
    assert wire.sent(PROVIDER, "sol", **wire.TOOLS, **wire.THINK_NOT).path == "/responses"


@wire.each(
    Case(wire.TOOLS, {"store": False, "include": ["reasoning.encrypted_content"]}),
    Case(wire.TOOLS, {"input.0.role": "developer", "stream_options.include_obfuscation": False}),
    Case(wire.TOOLS | wire.LIMIT, {"max_output_tokens": 100, "max_completion_tokens": ABSENT}),
    Case(
        wire.TOOLS | {"max_tokens": 3}, {"max_output_tokens": 16}, warned=frozenset({"max_tokens"})
    ),
    Case(wire.FORCED, {"tools.0.name": "get_weather", "tool_choice": "required"}),
    Case(wire.TOOLS | wire.think("max"), {"reasoning.effort": "max"}),
    Case(
        wire.TOOLS | wire.WARM | wire.THINK_NOT,
        {"temperature": ABSENT, "reasoning.effort": "low"},
        "sol",
    ),
    Case(wire.TOOLS | wire.SHAPED, {"text.format.schema": wire.SCHEMA, "response_format": ABSENT}),
    Case(wire.TOOLS | wire.STOP, {"stop": ABSENT}, warned=frozenset({"stop"})),
)
def test_each_field_goes_where_responses_takes_it(case: Case) -> None:
    wire.check(PROVIDER, case)


@wire.each_error(
    (429, wire.coded("insufficient_quota", "insufficient_quota"), ErrorCode.QUOTA_PROVIDER),
    (429, wire.coded("credit_balance_exhausted"), ErrorCode.QUOTA_PROVIDER),
    (429, wire.coded("organization_spend_limit_exceeded"), ErrorCode.QUOTA_PROVIDER),
    (429, wire.coded("project_spend_limit_exceeded"), ErrorCode.QUOTA_PROVIDER),
    (400, wire.coded("invalid_prompt"), ErrorCode.CONTENT_BLOCKED_INPUT),
    (400, wire.coded("context_length_exceeded"), ErrorCode.CONTEXT_LENGTH),
    (404, wire.coded("model_not_found"), ErrorCode.MODEL_UNAVAILABLE),
)
def test_an_error_means_what_openai_means_by_it(answer: wire.Answer) -> None:
    wire.check_error(PROVIDER, answer)
