from adapters.events import ErrorCode
from adapters.providers.perplexity import PROVIDER
from tests.adapters.providers import wire
from tests.adapters.providers.wire import ABSENT, Case


def test_a_request_goes_to_the_agent_api() -> None:
    encoded = wire.sent(PROVIDER)
    assert encoded.path == "/responses"
    assert encoded.body["model"] == "perplexity/sonar"
    assert encoded.body["stream"] is True


@wire.each(
    # It searches only where a search is offered.
    Case(wire.PLAIN, {"tools": [{"type": "web_search"}]}),
    Case(wire.FORCED, {"tools.0.type": "web_search", "tools.1.name": "get_weather"}),
    Case(wire.FORCED, {"tool_choice": "required"}),
    Case(wire.PLAIN, {"input.0.type": "message", "input.0.role": "system"}),
    # Unknown fields are a 400, and these are unknown.
    Case(wire.PLAIN, {"stream_options": ABSENT, "include": ABSENT, "instructions": ABSENT}),
    Case(wire.USER, {"user": ABSENT, "safety_identifier": ABSENT}, warned=frozenset({"user"})),
    Case(wire.STOP, {"stop": ABSENT}, warned=frozenset({"stop"})),
    Case(wire.SEED, {"seed": ABSENT}, warned=frozenset({"seed"})),
    Case(wire.LIMIT, {"max_output_tokens": 100, "max_tokens": ABSENT}),
    Case({"max_tokens": 3}, {"max_output_tokens": 16}, warned=frozenset({"max_tokens"})),
    Case(wire.WARM, {"temperature": 0.5, "top_p": 0.9}),
    Case(wire.THINK, {"reasoning": {"effort": "high"}}, "kimi-k3"),
    Case(wire.THINK, {"reasoning": ABSENT}, warned=frozenset({"reasoning"})),
    Case(wire.SHAPED, {"text": ABSENT, "response_format.json_schema.schema": wire.SCHEMA}),
    Case(
        {"response_format": {"type": "json_object"}},
        {"text": ABSENT, "response_format": ABSENT},
        warned=frozenset({"response_format"}),
    ),
    # A preset is named in a field of its own.
    Case(wire.PLAIN, {"preset": "fast", "model": ABSENT}, "fast"),
    Case(wire.PLAIN, {"model": "anthropic/claude-sonnet-5-5"}, "anthropic/claude-sonnet-5-5"),
)
def test_each_field_goes_where_perplexity_takes_it(case: Case) -> None:
    wire.check(PROVIDER, case)


@wire.each_error(
    (401, wire.typed("invalid_api_key"), ErrorCode.AUTH_PROVIDER),
    (400, wire.typed("too_many_prompt_tokens"), ErrorCode.CONTEXT_LENGTH),
    (429, wire.typed("request_rate_limit_exceeded"), ErrorCode.RATE_LIMIT_PROVIDER),
)
def test_an_error_means_what_perplexity_means_by_it(answer: wire.Answer) -> None:
    wire.check_error(PROVIDER, answer)
