from adapters.events import ErrorCode
from adapters.providers.copilot import PROVIDER
from tests.adapters.providers import wire
from tests.adapters.providers.wire import ABSENT, Case


def test_every_customer_has_an_own_address_and_the_key_its_own_header() -> None:
    assert PROVIDER.base_url is None
    assert PROVIDER.base_path == "/openai/v1"
    assert PROVIDER.auth == "api-key"


def test_a_request_goes_to_chat_completions_and_names_a_deployment() -> None:
    encoded = wire.sent(PROVIDER, "our-deployment")
    assert encoded.path == "/chat/completions"
    assert encoded.body["model"] == "our-deployment"
    assert encoded.body["stream"] is True


@wire.each(
    Case(wire.PLAIN, {"stream_options": {"include_usage": True}, "messages.0.role": "system"}),
    Case(wire.LIMIT, {"max_completion_tokens": 100, "max_tokens": ABSENT}),
    Case(
        wire.WARM,
        {"temperature": ABSENT, "top_p": ABSENT},
        warned=frozenset({"temperature", "top_p"}),
    ),
    Case(wire.WARM | wire.THINK_NOT, {"temperature": 0.5, "reasoning_effort": "none"}, "luna"),
    Case(wire.WARM, {"temperature": 0.5}, "llama-3.3-70b"),
    Case(wire.STOP, {"stop": ["END"]}),
    Case(wire.THINK, {"reasoning_effort": "high"}),
    # Unlike OpenAI's own, terra cannot be told not to reason.
    Case(wire.THINK_NOT, {"reasoning_effort": "low"}, warned=frozenset({"reasoning.effort"})),
    Case(wire.SHAPED, {"response_format.json_schema.schema": wire.SCHEMA}),
    Case(wire.LOOK, {"messages.0.content.0.image_url.url": wire.IMAGE}),
    Case(wire.TOOLS, {"tools.0.function.name": "get_weather"}, "llama-3.3-70b"),
)
def test_each_field_goes_where_chat_completions_takes_it(case: Case) -> None:
    wire.check(PROVIDER, case)


@wire.each(
    Case(wire.TOOLS, {"store": False, "include": ["reasoning.encrypted_content"]}),
    Case(wire.TOOLS, {"input.0.role": "system", "tools.0.name": "get_weather"}),
    Case(wire.TOOLS | {"max_tokens": 3}, {"max_output_tokens": 16}),
    Case(wire.TOOLS | wire.SHAPED, {"text.format.schema": wire.SCHEMA}),
)
def test_tools_meeting_reasoning_go_over_responses(case: Case) -> None:
    assert wire.sent(PROVIDER, case.model, **case.ask).path == "/responses"
    wire.check(PROVIDER, case)


@wire.each_error(
    (401, {"error": {"code": "401", "message": "Access denied"}}, ErrorCode.AUTH_PROVIDER),
    (404, wire.coded("DeploymentNotFound"), ErrorCode.MODEL_UNAVAILABLE),
    (429, wire.coded("RateLimitReached"), ErrorCode.RATE_LIMIT_PROVIDER),
    (400, wire.coded("content_filter"), ErrorCode.CONTENT_BLOCKED_INPUT),
)
def test_an_error_means_what_azure_means_by_it(answer: wire.Answer) -> None:
    wire.check_error(PROVIDER, answer)
