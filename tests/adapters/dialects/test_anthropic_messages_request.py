"""Requests in the Messages format: the body, field by field, and what is said of the rest."""

from typing import Any

import pytest
from anthropic.types.message_create_params import MessageCreateParamsStreaming
from pydantic import ConfigDict, TypeAdapter, with_config

from adapters.contract import Encoded, Model
from adapters.dialects.anthropic_messages import AnthropicMessages
from adapters.dialects.anthropic_messages_request import OPENING, AnthropicQuirks
from adapters.dialects.prefill import GO_ON
from adapters.errors import RequestError
from adapters.events import ErrorCode
from tests.adapters.dialects.chat_cases import HELLO, WEATHER, call, warned

PLAIN = Model(id="claude-plain", images=True, max_output=64_000)
THINKER = Model(id="claude-thinker", images=True, reasoning="optional", sampling=False)
ALWAYS = Model(id="claude-always", reasoning="always", sampling=False)
BUDGETED = Model(id="claude-old-1", max_output=64_000, reasoning="optional")
ABLE = Model(id="claude-old-2", max_output=64_000, reasoning="optional", prefill=True)
STERN = Model(id="claude-stern-2", reasoning="always", sampling=False)
QUIRKS = AnthropicQuirks(
    budget_models=("claude-old",),
    off_types={"claude-thinker-5": "between_tools"},
    no_forced_tools=("claude-stern",),
)
PNG = "data:image/png;base64,iVBORw0KGgo="


def encode(model: Model = PLAIN, **request: object) -> Encoded:
    dialect = AnthropicMessages(quirks=QUIRKS)
    return dialect.encode(call(dialect, model=model, provider="claude", request=request))


def body(model: Model = PLAIN, **request: object) -> dict[str, Any]:
    return encode(model, **request).body


def turns(*messages: dict[str, Any]) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = body(messages=list(messages))["messages"]
    return sent


def said(text: str) -> list[dict[str, Any]]:
    return [{"type": "text", "text": text}]


def calls(*ids: str, **more: object) -> dict[str, Any]:
    made = [{"id": one, "function": {"name": "go", "arguments": '{"a":1}'}} for one in ids]
    return {"role": "assistant", "tool_calls": made, **more}


def result(call_id: str, content: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


# --- The whole ------------------------------------------------------------------------------


def test_a_plain_request_says_no_more_than_it_must() -> None:
    encoded = encode()
    assert encoded.path == "/v1/messages"
    assert encoded.body == {
        "model": "claude-plain",
        "max_tokens": 64_000,
        "messages": [{"role": "user", "content": said("Hello")}],
        "stream": True,
    }
    assert encoded.warnings == ()


@pytest.mark.parametrize(
    ("model", "asked", "sent"),
    [(PLAIN, 100, 100), (PLAIN, 100_000, 64_000), (PLAIN, None, 64_000), (THINKER, None, 8_192)],
)
def test_the_output_is_always_bounded(model: Model, asked: int | None, sent: int) -> None:
    assert body(model, **({"max_tokens": asked} if asked else {}))["max_tokens"] == sent


# --- The conversation -----------------------------------------------------------------------


def test_instructions_are_joined_in_order_wherever_they_stood() -> None:
    sent = body(
        messages=[
            {"role": "system", "content": "Be brief."},
            user("Hi"),
            {"role": "developer", "content": [{"type": "text", "text": "Be kind."}]},
            {"role": "system", "content": ""},
        ]
    )
    assert sent["system"] == "Be brief.\n\nBe kind."
    assert sent["messages"] == [{"role": "user", "content": said("Hi")}]


def test_neighbours_of_one_role_become_one_turn() -> None:
    assert turns(user("a"), user("b"), {"role": "assistant", "content": "c"}, user("d")) == [
        {"role": "user", "content": said("a") + said("b")},
        {"role": "assistant", "content": said("c")},
        {"role": "user", "content": said("d")},
    ]


def test_a_conversation_the_assistant_opens_gets_a_user_turn_before_it() -> None:
    encoded = encode(messages=[{"role": "assistant", "content": "Welcome!"}, user("Hi")])
    roles = [turn["role"] for turn in encoded.body["messages"]]
    assert roles == ["user", "assistant", "user"]
    assert encoded.body["messages"][0]["content"] == said(OPENING)
    assert warned(encoded) == [("parameter_changed", "messages")]


@pytest.mark.parametrize("messages", [[{"role": "system", "content": "Hi"}], [user("")]])
def test_a_conversation_in_which_nobody_speaks_is_refused(messages: list[dict[str, Any]]) -> None:
    with pytest.raises(RequestError) as refused:
        encode(messages=messages)
    assert refused.value.error.code is ErrorCode.UNSUPPORTED_PARAMETER
    assert refused.value.error.param == "messages"


def test_results_of_parallel_calls_open_one_turn_right_after_the_calls() -> None:
    assert turns(user("Go"), calls("a", "b"), user("Well?"), result("a", "1"), result("b", "")) == [
        {"role": "user", "content": said("Go")},
        {
            "role": "assistant",
            "content": [
                {"type": "tool_use", "id": "a", "name": "go", "input": {"a": 1}},
                {"type": "tool_use", "id": "b", "name": "go", "input": {"a": 1}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "a", "content": "1"},
                {"type": "tool_result", "tool_use_id": "b"},
                *said("Well?"),
            ],
        },
    ]


def test_another_providers_call_ids_are_written_in_the_letters_this_one_takes() -> None:
    sent = turns(user("Go"), calls("functions.go:0"), result("functions.go:0", "1"))
    assert sent[1]["content"][0]["id"] == "functions_go_0"
    assert sent[2]["content"][0]["tool_use_id"] == "functions_go_0"


def test_arguments_that_a_broken_stream_left_are_sent_as_none() -> None:
    broken = {"id": "a", "function": {"name": "go", "arguments": '{"a'}}
    encoded = encode(messages=[user("Go"), {"role": "assistant", "tool_calls": [broken]}])
    assert encoded.body["messages"][1]["content"][0]["input"] == {}
    assert warned(encoded) == [
        ("parameter_changed", "messages[1].tool_calls[0].function.arguments")
    ]


def test_thinking_goes_back_first_and_only_to_the_provider_that_signed_it() -> None:
    def reasoning(provider: str, form: str, value: str, text: str = "") -> dict[str, Any]:
        signature = {"provider": provider, "format": form, "value": value}
        return {"text": text, "signature": signature}

    past = calls(
        "a",
        content="So.",
        reasoning=[
            reasoning("claude", "anthropic.signature", "s1", "Hm."),
            reasoning("claude", "anthropic.signature", "s2"),
            reasoning("claude", "anthropic.redacted", "r"),
            reasoning("copilot", "anthropic.signature", "s3", "Not ours."),
            reasoning("claude", "openai.encrypted_content", "e"),
            {"text": "Unsigned."},
        ],
    )
    assert turns(user("Go"), past, result("a", "1"))[1]["content"] == [
        {"type": "thinking", "thinking": "Hm.", "signature": "s1"},
        {"type": "thinking", "thinking": "", "signature": "s2"},
        {"type": "redacted_thinking", "data": "r"},
        *said("So."),
        {"type": "tool_use", "id": "a", "name": "go", "input": {"a": 1}},
    ]


def test_a_past_refusal_is_sent_as_its_text() -> None:
    assert turns(user("?"), {"role": "assistant", "refusal": "No."})[1]["content"] == said("No.")


@pytest.mark.parametrize(
    ("text", "sent"),
    [("The answer is (", "The answer is ("), ("The answer is \n", "The answer is")],
)
def test_an_answer_begun_is_passed_on_without_white_space_at_its_end(text: str, sent: str) -> None:
    encoded = encode(ABLE, messages=[user("?"), {"role": "assistant", "content": text}])
    assert encoded.body["messages"][-1] == {"role": "assistant", "content": said(sent)}
    assert encoded.warnings == ()


@pytest.mark.parametrize("begun", [{"content": "The answer is"}, {"refusal": "No."}])
def test_a_model_that_takes_no_beginning_is_asked_by_a_user_turn(begun: dict[str, str]) -> None:
    encoded = encode(messages=[user("?"), {"role": "assistant", **begun}])
    assert encoded.body["messages"][-1] == {"role": "user", "content": said(GO_ON)}
    assert warned(encoded) == [("parameter_changed", "messages")]


def test_going_on_with_a_beginning_outranks_thinking() -> None:
    begun = [user("?"), {"role": "assistant", "content": "Well"}]
    encoded = encode(ABLE, messages=begun, reasoning={"effort": "high"})
    assert "thinking" not in encoded.body
    assert warned(encoded) == [("parameter_dropped", "reasoning")]


def test_an_answer_begun_with_nothing_but_white_space_is_not_begun() -> None:
    assert turns(user("?"), {"role": "assistant", "content": " \n"}) == [
        {"role": "user", "content": said("?")}
    ]


def test_images_go_inline_or_by_address_and_empty_text_does_not_go() -> None:
    parts = [
        {"type": "text", "text": ""},
        {"type": "image_url", "image_url": {"url": PNG, "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "auto"}},
        {"type": "text", "text": "What?"},
    ]
    encoded = encode(messages=[{"role": "user", "content": parts, "name": "ada"}])
    assert encoded.body["messages"][0]["content"] == [
        {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="},
        },
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
        *said("What?"),
    ]
    assert warned(encoded) == [
        ("parameter_dropped", "messages[].name"),
        ("parameter_dropped", "messages[].content[].image_url.detail"),
    ]


def test_an_image_for_a_model_that_sees_none_is_refused() -> None:
    content = [{"type": "image_url", "image_url": {"url": PNG}}]
    with pytest.raises(RequestError) as refused:
        encode(ALWAYS, messages=[{"role": "user", "content": content}])
    assert refused.value.error.param == "messages[0].content[0].image_url.url"


# --- Tools ----------------------------------------------------------------------------------

NAMED = {"type": "function", "function": {"name": "get_weather"}}


def test_a_tool_is_its_name_its_words_and_its_schema() -> None:
    bare = {"type": "function", "function": {"name": "now", "description": "", "strict": True}}
    told = {"type": "function", "function": {"name": "say", "description": "Say it."}}
    schema = {"type": "object", "properties": {}}
    assert body(tools=[WEATHER, bare, told])["tools"] == [
        {"name": "get_weather", "input_schema": schema},
        {"name": "now", "input_schema": schema, "strict": True},
        {"name": "say", "input_schema": schema, "description": "Say it."},
    ]


@pytest.mark.parametrize(
    ("request_", "choice"),
    [
        ({}, None),
        ({"tool_choice": "auto"}, None),
        ({"tool_choice": "required"}, {"type": "any"}),
        ({"tool_choice": "none"}, {"type": "none"}),
        ({"tool_choice": NAMED}, {"type": "tool", "name": "get_weather"}),
        ({"parallel_tool_calls": True}, None),
        ({"parallel_tool_calls": False}, {"type": "auto", "disable_parallel_tool_use": True}),
        (
            {"tool_choice": "required", "parallel_tool_calls": False},
            {"type": "any", "disable_parallel_tool_use": True},
        ),
        ({"tool_choice": "none", "parallel_tool_calls": False}, {"type": "none"}),
    ],
)
def test_how_tools_are_to_be_used(
    request_: dict[str, Any], choice: dict[str, object] | None
) -> None:
    assert body(tools=[WEATHER], **request_).get("tool_choice") == choice


def test_a_tool_is_not_forced_on_a_model_that_cannot_be() -> None:
    encoded = encode(STERN, tools=[WEATHER], tool_choice="required")
    assert "tool_choice" not in encoded.body
    assert warned(encoded) == [("parameter_changed", "tool_choice")]


# --- Thinking -------------------------------------------------------------------------------

ADAPTIVE = {"type": "adaptive", "display": "summarized"}


@pytest.mark.parametrize(
    ("model", "reasoning", "thinking", "effort", "said_of"),
    [
        (PLAIN, {"effort": "high"}, None, None, ["reasoning"]),
        (PLAIN, {"effort": "none"}, None, None, []),
        (THINKER, {}, ADAPTIVE, None, []),
        (THINKER, {"effort": "high"}, ADAPTIVE, "high", []),
        (THINKER, {"effort": "minimal"}, ADAPTIVE, "low", ["reasoning.effort"]),
        (THINKER, {"max_tokens": 900}, ADAPTIVE, None, ["reasoning.max_tokens"]),
        (THINKER, {"effort": "none"}, {"type": "disabled"}, None, []),
        (ALWAYS, {"effort": "max"}, ADAPTIVE, "max", []),
        (ALWAYS, {"effort": "none"}, None, "low", ["reasoning.effort"]),
        (BUDGETED, {}, {"type": "enabled", "budget_tokens": 8_192}, None, []),
        (BUDGETED, {"effort": "low"}, {"type": "enabled", "budget_tokens": 2_048}, None, []),
        (BUDGETED, {"max_tokens": 5_000}, {"type": "enabled", "budget_tokens": 5_000}, None, []),
        (
            BUDGETED,
            {"max_tokens": 10},
            {"type": "enabled", "budget_tokens": 1_024},
            None,
            ["reasoning.max_tokens"],
        ),
        (BUDGETED, {"effort": "none"}, None, None, []),
    ],
)
def test_how_much_to_think(
    model: Model,
    reasoning: dict[str, object],
    thinking: dict[str, object] | None,
    effort: str | None,
    said_of: list[str],
) -> None:
    encoded = encode(model, reasoning=reasoning)
    assert encoded.body.get("thinking") == thinking
    assert encoded.body.get("output_config", {}).get("effort") == effort
    assert [field for _, field in warned(encoded)] == said_of


def test_nothing_is_said_of_thinking_where_nothing_was_asked() -> None:
    assert "thinking" not in body(THINKER)
    assert "thinking" not in body(ALWAYS)


def test_a_model_may_take_efforts_of_its_own() -> None:
    model = Model(id="claude-x", reasoning="optional", efforts=("low", "high"))
    assert body(model, reasoning={"effort": "max"})["output_config"] == {"effort": "high"}


def test_thinking_is_turned_off_in_the_words_of_the_model() -> None:
    model = Model(id="claude-thinker-5-1", reasoning="optional")
    assert body(model, reasoning={"effort": "none"})["thinking"] == {"type": "between_tools"}


@pytest.mark.parametrize(("limit", "budget"), [(1_024, None), (1_025, 1_024), (3_000, 2_999)])
def test_a_budget_stays_below_the_answers_own_limit(limit: int, budget: int | None) -> None:
    encoded = encode(BUDGETED, max_tokens=limit, reasoning={"effort": "high"})
    sent = encoded.body.get("thinking")
    assert sent == (budget and {"type": "enabled", "budget_tokens": budget})
    assert (("parameter_dropped", "reasoning") in warned(encoded)) == (budget is None)


@pytest.mark.parametrize(
    ("model", "thinking"), [(THINKER, {"type": "disabled"}), (BUDGETED, None), (ALWAYS, None)]
)
def test_a_forced_tool_outranks_thinking(model: Model, thinking: dict[str, str] | None) -> None:
    asked = {"tools": [WEATHER], "tool_choice": "required"}
    encoded = encode(model, **asked, reasoning={"effort": "high"})
    assert encoded.body["tool_choice"] == {"type": "any"}
    assert encoded.body.get("thinking") == thinking
    assert ("parameter_dropped", "reasoning") in warned(encoded)
    # A model that thinks by default is told not to, although nobody asked.
    assert body(model, **asked).get("thinking") == thinking


# --- Sampling, formats, the rest ------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "asked", "sent", "said_of"),
    [
        (PLAIN, {"temperature": 0.3}, {"temperature": 0.3}, []),
        (PLAIN, {"temperature": 1.6}, {"temperature": 1.0}, ["temperature"]),
        (PLAIN, {"top_p": 0.5}, {"top_p": 0.5}, []),
        (PLAIN, {"temperature": 0.3, "top_p": 0.5}, {"temperature": 0.3}, ["top_p"]),
        (THINKER, {"temperature": 0.3, "top_p": 0.5}, {}, ["temperature", "top_p"]),
        (BUDGETED, {"temperature": 0.3, "reasoning": {}}, {}, ["temperature"]),
        (BUDGETED, {"temperature": 1.0, "reasoning": {}}, {"temperature": 1.0}, []),
        (BUDGETED, {"top_p": 0.5, "reasoning": {}}, {}, ["top_p"]),
        (BUDGETED, {"top_p": 0.97, "reasoning": {}}, {"top_p": 0.97}, []),
    ],
)
def test_sampling_as_far_as_the_model_takes_it(
    model: Model, asked: dict[str, object], sent: dict[str, float], said_of: list[str]
) -> None:
    encoded = encode(model, **asked)
    kept = {name: encoded.body[name] for name in ("temperature", "top_p") if name in encoded.body}
    assert kept == sent
    assert [field for _, field in warned(encoded)] == said_of


def test_a_schema_goes_along_with_an_effort() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    wanted = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    assert body(THINKER, response_format=wanted, reasoning={"effort": "low"})["output_config"] == {
        "effort": "low",
        "format": {"type": "json_schema", "schema": schema},
    }


def test_json_without_a_schema_has_no_words_here() -> None:
    encoded = encode(response_format={"type": "json_object"})
    assert "output_config" not in encoded.body
    assert warned(encoded) == [("parameter_dropped", "response_format")]
    assert encode(response_format={"type": "text"}).warnings == ()


def test_stop_sequences_of_white_space_alone_are_left_out() -> None:
    encoded = encode(stop=["END", "\n"])
    assert encoded.body["stop_sequences"] == ["END"]
    assert warned(encoded) == [("parameter_dropped", "stop")]


def test_a_model_without_stop_sequences_gets_none() -> None:
    encoded = encode(Model(id="m", stop=False), stop="END")
    assert "stop_sequences" not in encoded.body
    assert warned(encoded) == [("parameter_dropped", "stop")]


def test_the_user_is_metadata_and_there_is_no_seed() -> None:
    encoded = encode(user="u-1", seed=7, metadata={"ticket": "9"})
    assert encoded.body["metadata"] == {"user_id": "u-1"}
    assert "seed" not in encoded.body
    assert warned(encoded) == [("parameter_dropped", "seed")]


def test_nothing_of_the_request_is_changed_by_writing_it() -> None:
    asking = call(
        AnthropicMessages(),
        request={"messages": [*HELLO, {"role": "assistant", "content": "Well \n"}]},
    )
    before = asking.request.model_dump()
    AnthropicMessages().encode(asking)
    assert asking.request.model_dump() == before


@with_config(ConfigDict(extra="forbid"))
class Closed(MessageCreateParamsStreaming):
    """A request without any field the SDK does not know at the top."""


def test_anthropics_own_types_take_what_is_written() -> None:
    signature = {"provider": "claude", "format": "anthropic.signature", "value": "s"}
    redacted = {"provider": "claude", "format": "anthropic.redacted", "value": "r"}
    past = calls(
        "a",
        content="So.",
        reasoning=[{"text": "Hm.", "signature": signature}, {"signature": redacted}],
    )
    parts = [
        {"type": "image_url", "image_url": {"url": PNG}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
    ]
    schema = {"type": "json_schema", "json_schema": {"name": "answer", "schema": {}}}
    sent = body(
        THINKER,
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": parts},
            past,
            result("a", "1"),
        ],
        tools=[WEATHER],
        parallel_tool_calls=False,
        reasoning={"effort": "max"},
        response_format=schema,
        stop="END",
        user="u-1",
    )
    closed = TypeAdapter(Closed)
    assert closed.validate_python(sent)["max_tokens"] == 8_192
    forced = body(tools=[WEATHER], tool_choice=NAMED)
    assert closed.validate_python(forced)["tool_choice"] == forced["tool_choice"]
