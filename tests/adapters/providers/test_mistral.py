from adapters.events import ErrorCode
from adapters.providers.mistral import PROVIDER
from tests.adapters.providers import wire
from tests.adapters.providers.wire import ABSENT, Case


def test_a_request_goes_to_chat_completions() -> None:
    encoded = wire.sent(PROVIDER)
    assert encoded.path == "/chat/completions"
    assert encoded.body["model"] == "mistral-large-4"
    assert encoded.body["stream"] is True


@wire.each(
    # Unknown fields are refused, and these are unknown.
    Case(wire.PLAIN, {"stream_options": ABSENT, "messages.1.name": ABSENT}),
    Case(wire.USER, {"user": ABSENT}, warned=frozenset({"user"})),
    Case(wire.PLAIN, {"messages.0.role": "system"}),
    Case(wire.LIMIT, {"max_tokens": 100}),
    Case(wire.WARM, {"temperature": 0.5, "top_p": 0.9}),
    Case(wire.STOP, {"stop": ["END"]}),
    Case(wire.SEED, {"random_seed": 7, "seed": ABSENT}),
    Case(wire.FORCED, {"tool_choice": "any", "tools.0.function.name": "get_weather"}),
    Case(wire.NAMED, {"tool_choice": wire.CHOICE}),
    # Mistral's own models think or do not; those it hosts have their makers' efforts.
    Case(wire.THINK, {"reasoning_effort": "high"}),
    Case(wire.think("low"), {"reasoning_effort": "high"}, warned=frozenset({"reasoning.effort"})),
    Case(wire.THINK_NOT, {"reasoning_effort": "none"}, "medium"),
    Case(wire.think("max"), {"reasoning_effort": "max"}, "glm-5.3"),
    Case(wire.BEGUN, {"messages.1.prefix": True}),
    # Without it a 400, so the user asks to go on.
    Case(wire.BEGUN, {"messages.1.prefix": ABSENT, "messages.2.role": "user"}, "glm-5.3"),
    Case(wire.SHAPED, {"response_format.json_schema.schema": wire.SCHEMA}),
    Case(wire.LOOK, {"messages.0.content.0.image_url.url": wire.IMAGE}, "small"),
)
def test_each_field_goes_where_mistral_takes_it(case: Case) -> None:
    wire.check(PROVIDER, case)


def test_call_ids_become_nine_letters_or_digits_that_still_pair() -> None:
    messages = wire.sent(PROVIDER, **wire.CALLED).body["messages"]
    call_id = messages[1]["tool_calls"][0]["id"]
    assert len(call_id) == 9
    assert call_id.isalnum()
    assert messages[2]["tool_call_id"] == call_id


def test_a_model_without_eyes_refuses_an_image() -> None:
    wire.check_refuses_images(PROVIDER, "glm-5.3")


@wire.each_error(
    (401, {"detail": "Invalid API Key"}, ErrorCode.AUTH_PROVIDER),
    (429, wire.coded("1300", "rate_limited"), ErrorCode.RATE_LIMIT_PROVIDER),
)
def test_an_error_means_what_mistral_means_by_it(answer: wire.Answer) -> None:
    wire.check_error(PROVIDER, answer)
