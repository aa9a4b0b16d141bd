from adapters.events import ErrorCode
from adapters.providers.glm import PROVIDER
from tests.adapters.providers import wire
from tests.adapters.providers.wire import ABSENT, Case


def test_a_request_goes_to_chat_completions() -> None:
    encoded = wire.sent(PROVIDER)
    assert encoded.path == "/chat/completions"
    assert encoded.body["model"] == "glm-5.3"
    assert encoded.body["stream"] is True


@wire.each(
    Case(wire.PLAIN, {"stream_options": ABSENT, "messages.0.role": "system"}),
    Case(wire.PLAIN, {"tool_stream": ABSENT}),
    Case(wire.LIMIT, {"max_tokens": 100, "max_completion_tokens": ABSENT}),
    Case(wire.WARM, {"temperature": 0.5, "top_p": 0.9}),
    # Calls come in pieces only on request, and none can be forced.
    Case(
        wire.FORCED,
        {"tools.0.function.name": "get_weather", "tool_choice": ABSENT, "tool_stream": True},
        warned=frozenset({"tool_choice"}),
    ),
    Case(wire.TOOLS | {"tool_choice": "none"}, {"tools": ABSENT}),
    Case(wire.THINK, {"reasoning_effort": "high", "thinking": ABSENT}),
    Case(wire.think("xhigh"), {"reasoning_effort": "max"}),
    # 5.3 always thinks; the switch is for the models before it.
    Case(
        wire.THINK_NOT,
        {"reasoning_effort": "low", "thinking": ABSENT},
        warned=frozenset({"reasoning.effort"}),
    ),
    Case(wire.THINK_NOT, {"thinking.type": "disabled"}, "glm-5.2"),
    Case(
        wire.SHAPED,
        {"response_format": {"type": "json_object"}},
        warned=frozenset({"response_format"}),
    ),
    Case(wire.LOOK, {"messages.0.content.0.image_url.url": wire.IMAGE}, "flash"),
    Case(wire.CALLED, {"messages.1.reasoning_content": ABSENT}),
)
def test_each_field_goes_where_glm_takes_it(case: Case) -> None:
    wire.check(PROVIDER, case)


def test_a_model_without_eyes_refuses_an_image() -> None:
    wire.check_refuses_images(PROVIDER, "glm-5.3")


def number(code: str) -> wire.Fields:
    return {"error": {"code": code, "message": "in words"}}


@wire.each_error(
    (401, number("1000"), ErrorCode.AUTH_PROVIDER),
    (401, number("1003"), ErrorCode.AUTH_PROVIDER),
    (429, number("1112"), ErrorCode.AUTH_PROVIDER),
    (429, number("1121"), ErrorCode.AUTH_PROVIDER),
    (429, number("1113"), ErrorCode.QUOTA_PROVIDER),
    (429, number("1304"), ErrorCode.QUOTA_PROVIDER),
    (429, number("1308"), ErrorCode.QUOTA_PROVIDER),
    (429, number("1310"), ErrorCode.QUOTA_PROVIDER),
    (400, number("1210"), ErrorCode.INVALID_REQUEST),
    (400, number("1214"), ErrorCode.INVALID_REQUEST),
    (400, number("1211"), ErrorCode.MODEL_UNAVAILABLE),
    (400, number("1261"), ErrorCode.CONTEXT_LENGTH),
    (400, number("1301"), ErrorCode.CONTENT_BLOCKED_INPUT),
    (429, number("1302"), ErrorCode.RATE_LIMIT_PROVIDER),
    (429, number("1303"), ErrorCode.RATE_LIMIT_PROVIDER),
    (429, number("1305"), ErrorCode.OVERLOADED),
    (429, number("1312"), ErrorCode.OVERLOADED),
)
def test_a_number_means_what_zai_means_by_it(answer: wire.Answer) -> None:
    wire.check_error(PROVIDER, answer)
