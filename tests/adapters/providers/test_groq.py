from adapters.events import ErrorCode
from adapters.providers.groq import PROVIDER
from tests.adapters.providers import wire
from tests.adapters.providers.wire import ABSENT, Case

QWEN = "qwen/qwen3.8-27b"


def test_a_request_goes_to_chat_completions() -> None:
    encoded = wire.sent(PROVIDER)
    assert encoded.path == "/chat/completions"
    assert encoded.body["model"] == "openai/gpt-oss-120b"
    assert encoded.body["stream"] is True


def test_the_qwen_it_hosts_is_called_by_its_id_or_alias() -> None:
    assert PROVIDER.model(QWEN) == PROVIDER.model("qwen3.8-27b")


@wire.each(
    Case(wire.PLAIN, {"stream_options.include_usage": True, "messages.0.role": "system"}),
    # An author's name is a 400.
    Case(wire.PLAIN, {"messages.1.name": ABSENT}, warned=frozenset({"messages[].name"})),
    Case(wire.LIMIT, {"max_completion_tokens": 100, "max_tokens": ABSENT}),
    Case({"max_tokens": 20_000}, {"max_completion_tokens": 16_384}, QWEN),
    Case(wire.WARM, {"temperature": 0.5, "top_p": 0.9}),
    Case({"stop": list("abcdef")}, {"stop": list("abcd")}, warned=frozenset({"stop"})),
    Case(wire.FORCED, {"tools.0.function.name": "get_weather", "tool_choice": "required"}),
    # The format of reasoning is a 400 on gpt-oss, and else Qwen's thoughts are in its text.
    Case(wire.PLAIN, {"reasoning_format": ABSENT}),
    Case(wire.PLAIN, {"reasoning_format": "parsed"}, QWEN),
    Case(wire.THINK, {"reasoning_effort": "high"}),
    Case(wire.think("max"), {"reasoning_effort": "high"}),
    Case(wire.THINK_NOT, {"reasoning_effort": "low"}, warned=frozenset({"reasoning.effort"})),
    Case(wire.THINK, {"reasoning_effort": "high"}, QWEN),
    Case(wire.THINK_NOT, {"reasoning_effort": "none"}, QWEN),
    Case(wire.THINK, {"reasoning_effort": ABSENT}, "llama-unheard-of", frozenset({"reasoning"})),
    Case(wire.SHAPED, {"response_format.json_schema.schema": wire.SCHEMA}),
    Case(wire.LOOK, {"messages.0.content.0.image_url.url": wire.IMAGE}, QWEN),
    Case(wire.CALLED, {"messages.1.reasoning_content": ABSENT}),
    Case(wire.BEGUN, {"messages.1.content": "Well", "reasoning_effort": "none"}, QWEN),
)
def test_each_field_goes_where_groq_takes_it(case: Case) -> None:
    wire.check(PROVIDER, case)


def test_a_model_without_eyes_refuses_an_image() -> None:
    wire.check_refuses_images(PROVIDER, "gpt-oss-120b")


@wire.each_error(
    (498, wire.coded("capacity_exceeded"), ErrorCode.OVERLOADED),
    (400, wire.coded("tool_use_failed"), ErrorCode.INVALID_REQUEST),
    (404, wire.coded("model_not_found"), ErrorCode.MODEL_UNAVAILABLE),
    (413, wire.coded("rate_limit_exceeded", "tokens"), ErrorCode.CONTEXT_LENGTH),
)
def test_an_error_means_what_groq_means_by_it(answer: wire.Answer) -> None:
    wire.check_error(PROVIDER, answer)
