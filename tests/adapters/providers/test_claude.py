from adapters.events import ErrorCode
from adapters.providers.claude import PROVIDER
from tests.adapters.providers import wire
from tests.adapters.providers.wire import ABSENT, Case


def test_a_request_goes_to_the_messages_api() -> None:
    encoded = wire.sent(PROVIDER)
    assert encoded.path == "/v1/messages"
    assert encoded.body["model"] == "claude-sonnet-5-5"
    assert encoded.body["stream"] is True


@wire.each(
    # Instructions stand apart, and the first turn is the user's.
    Case(wire.PLAIN, {"system": "Be brief.", "messages.0.role": "user"}),
    # A limit is mandatory: the model's own where nobody names one.
    Case(wire.PLAIN, {"max_tokens": 128_000}),
    Case(wire.LIMIT, {"max_tokens": 100}),
    Case({"max_tokens": 900_000}, {"max_tokens": 128_000}, warned=frozenset({"max_tokens"})),
    Case(
        wire.WARM,
        {"temperature": ABSENT, "top_p": ABSENT},
        warned=frozenset({"temperature", "top_p"}),
    ),
    Case(wire.STOP, {"stop_sequences": ["END"], "stop": ABSENT}),
    Case(wire.SEED, {"seed": ABSENT}, warned=frozenset({"seed"})),
    Case(wire.USER, {"metadata.user_id": "u1", "user": ABSENT}),
    Case(wire.TOOLS, {"tools.0.name": "get_weather", "tools.0.input_schema.type": "object"}),
    # Newer models take no forced tool, Haiku does.
    Case(wire.FORCED, {"tool_choice": ABSENT}, warned=frozenset({"tool_choice"})),
    Case(wire.NAMED, {"tool_choice": ABSENT}, "opus", frozenset({"tool_choice"})),
    Case(wire.FORCED, {"tool_choice.type": "any"}, "haiku"),
    Case(wire.NAMED, {"tool_choice": {"type": "tool", "name": "get_weather"}}, "haiku"),
    Case(wire.THINK, {"thinking.type": "adaptive", "output_config.effort": "high"}),
    Case(wire.think("max"), {"output_config.effort": "max"}),
    # Three ways of not thinking, and one model that cannot.
    Case(wire.THINK_NOT, {"thinking": {"type": "between_tools"}}),
    Case(wire.THINK_NOT, {"thinking": {"type": "disabled"}}, "haiku"),
    Case(wire.THINK_NOT, {"thinking": ABSENT}, "opus", frozenset({"reasoning.effort"})),
    Case(wire.THINK_NOT, {"thinking": ABSENT}, "claude-haiku-4-5"),
    # The generation before thinks by a budget.
    Case(wire.THINK, {"thinking.type": "enabled", "output_config": ABSENT}, "claude-haiku-4-5"),
    Case(wire.SHAPED, {"output_config.format.schema": wire.SCHEMA, "response_format": ABSENT}),
    Case(wire.LOOK, {"messages.0.content.0.source": {"type": "url", "url": wire.IMAGE}}),
)
def test_each_field_goes_where_claude_takes_it(case: Case) -> None:
    wire.check(PROVIDER, case)


@wire.each_error(
    (529, wire.typed("overloaded_error"), ErrorCode.OVERLOADED),
    (402, wire.typed("billing_error"), ErrorCode.QUOTA_PROVIDER),
    (403, wire.typed("permission_error"), ErrorCode.AUTH_PROVIDER),
    (404, wire.typed("not_found_error"), ErrorCode.MODEL_UNAVAILABLE),
)
def test_an_error_means_what_claude_means_by_it(answer: wire.Answer) -> None:
    wire.check_error(PROVIDER, answer)
