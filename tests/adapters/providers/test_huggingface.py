from adapters.events import ErrorCode
from adapters.providers.huggingface import PROVIDER
from tests.adapters.providers import wire
from tests.adapters.providers.wire import ABSENT, Case


def test_a_request_goes_to_chat_completions() -> None:
    encoded = wire.sent(PROVIDER)
    assert encoded.path == "/chat/completions"
    assert encoded.body["model"] == "zai-org/GLM-5.3-Flash"
    assert encoded.body["stream"] is True
    assert encoded.warnings == ()


@wire.each(
    Case(wire.PLAIN, {"stream_options.include_usage": True, "messages.0.role": "system"}),
    Case(wire.LIMIT, {"max_tokens": 100}),
    Case(wire.WARM, {"temperature": 0.5, "top_p": 0.9}),
    Case(wire.STOP, {"stop": ["END"]}),
    Case(wire.FORCED, {"tools.0.function.name": "get_weather", "tool_choice": "required"}),
    Case(wire.THINK, {"reasoning_effort": "high"}),
    Case(wire.SHAPED, {"response_format.json_schema.schema": wire.SCHEMA}),
    Case(wire.LOOK, {"messages.0.content.0.image_url.url": wire.IMAGE}),
    Case(wire.CALLED, {"messages.1.reasoning_content": ABSENT}),
    # The choice of a host is part of the id.
    Case(wire.PLAIN, {"model": "openai/gpt-oss-20b:cheapest"}, "openai/gpt-oss-20b:cheapest"),
)
def test_each_field_is_passed_on(case: Case) -> None:
    wire.check(PROVIDER, case)


@wire.each_error(
    (
        400,
        {"error": {"message": "The model is not supported by any provider you have enabled."}},
        ErrorCode.MODEL_UNAVAILABLE,
    ),
    (
        402,
        {"error": "You have exceeded your monthly included credits for Inference Providers."},
        ErrorCode.QUOTA_PROVIDER,
    ),
)
def test_an_error_means_what_hugging_face_means_by_it(answer: wire.Answer) -> None:
    wire.check_error(PROVIDER, answer)
