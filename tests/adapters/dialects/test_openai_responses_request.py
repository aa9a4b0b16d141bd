"""Requests are written as the Responses API takes them, and what it cannot take is told."""

from typing import Any

import pytest
from openai.types.responses.response_input_param import ResponseInputItemParam
from pydantic import TypeAdapter

from adapters.contract import Encoded, Model
from adapters.dialects.openai_responses import OpenAIResponses
from adapters.dialects.openai_responses_quirks import ResponsesQuirks
from adapters.errors import RequestError
from adapters.events import ErrorCode
from tests.adapters.dialects.chat_cases import WEATHER, call

THINKS = Model(id="acme-thinker", images=True, reasoning="optional")
ALWAYS = Model(id="acme-always", reasoning="always")


def encode(
    request: dict[str, object] | None = None,
    *,
    model: Model | None = None,
    **quirks: Any,  # noqa: ANN401 - they are ResponsesQuirks' own
) -> Encoded:
    dialect = OpenAIResponses(quirks=ResponsesQuirks(**quirks))
    return dialect.encode(call(dialect, model=model, request=request))


def body(request: dict[str, object] | None = None, **more: Any) -> dict[str, Any]:  # noqa: ANN401
    return encode(request, **more).body


def items(*messages: dict[str, Any], **quirks: Any) -> list[dict[str, Any]]:  # noqa: ANN401
    """The input items of a conversation, all of them as OpenAI's own types describe them."""
    written: list[dict[str, Any]] = body({"messages": list(messages)}, **quirks)["input"]
    for item in written:
        INPUT_ITEM.validate_python(item)
    return written


def told(encoded: Encoded) -> list[tuple[str, str | None]]:
    return [(warning.code, warning.field) for warning in encoded.warnings]


INPUT_ITEM: TypeAdapter[Any] = TypeAdapter(ResponseInputItemParam)


# --- The whole body -------------------------------------------------------------------------


def test_a_beginning_of_the_answer_is_sent_and_warned_of() -> None:
    begun = [{"role": "user", "content": "?"}, {"role": "assistant", "content": "Well"}]
    encoded = encode({"messages": begun})
    assert encoded.body["input"][-1]["content"] == "Well"
    assert told(encoded) == [("parameter_ignored", "messages")]


def test_a_plain_request_is_a_stream_that_is_not_stored() -> None:
    encoded = encode()
    assert encoded.path == "/responses"
    assert encoded.body == {
        "model": "acme-large",
        "input": [{"type": "message", "role": "user", "content": "Hello"}],
        "stream": True,
        "store": False,
    }
    assert encoded.warnings == ()


def test_what_the_provider_wants_with_every_request_is_sent() -> None:
    written = body(obfuscation_off=True, store=None, extra={"service_tier": "auto"})
    assert written["stream_options"] == {"include_obfuscation": False}
    assert written["service_tier"] == "auto"
    assert "store" not in written


def test_a_preset_goes_under_its_own_name() -> None:
    written = body(model=Model(id="fast"), presets=frozenset({"fast"}))
    assert written["preset"] == "fast"
    assert "model" not in written


def test_the_path_is_the_provider_s() -> None:
    assert encode(path="/agent").path == "/agent"


def test_the_caller_s_metadata_stays_here() -> None:
    assert "metadata" not in body({"metadata": {"tailrace_use_case": "expert"}})


# --- Messages -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "sent"),
    [
        ("developer", "developer"),
        ("system", "system"),
        (None, "system"),
    ],
)
def test_instructions_have_the_provider_s_role(role: str | None, sent: str) -> None:
    written = items(
        {"role": "system", "content": [{"type": "text", "text": "Be brief."}]},
        {"role": "user", "content": "Hello"},
        instruction_role=role,
    )
    assert written[0] == {"type": "message", "role": sent, "content": "Be brief."}


def test_instructions_that_open_the_conversation_may_have_a_field_of_their_own() -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "developer", "content": "Be kind."},
        {"role": "user", "content": "Hello"},
        {"role": "system", "content": "Now at length."},
    ]
    written = body({"messages": messages}, instruction_role="instructions")
    assert written["instructions"] == "Be brief.\n\nBe kind."
    assert [item["role"] for item in written["input"]] == ["user", "system"]


def test_a_request_is_never_left_without_input() -> None:
    only = [{"role": "system", "content": "Say hello."}]
    written = body({"messages": only}, instruction_role="instructions")
    assert "instructions" not in written
    assert len(written["input"]) == 1


def test_an_image_is_an_input_image() -> None:
    picture = {"type": "image_url", "image_url": {"url": "https://a.example/a.png"}}
    close = {"type": "image_url", "image_url": {"url": "https://a.example/b.png", "detail": "high"}}
    (message,) = items(
        {"role": "user", "content": [{"type": "text", "text": "What is it?"}, picture, close]}
    )
    assert message["content"] == [
        {"type": "input_text", "text": "What is it?"},
        {"type": "input_image", "image_url": "https://a.example/a.png", "detail": "auto"},
        {"type": "input_image", "image_url": "https://a.example/b.png", "detail": "high"},
    ]


def test_text_parts_alone_are_one_string() -> None:
    parts = [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}]
    assert items({"role": "user", "content": parts})[0]["content"] == "Hello"


def test_an_image_for_a_model_that_sees_nothing_is_refused() -> None:
    picture = {"type": "image_url", "image_url": {"url": "https://a.example/a.png"}}
    messages = [{"role": "user", "content": [picture]}]
    with pytest.raises(RequestError) as caught:
        encode({"messages": messages}, model=Model(id="blind"))
    assert caught.value.error.code is ErrorCode.UNSUPPORTED_PARAMETER
    assert caught.value.error.param == "messages[0].content"


def test_a_name_is_not_sent_and_that_is_told() -> None:
    encoded = encode({"messages": [{"role": "user", "content": "Hi", "name": "ann"}]})
    assert "name" not in encoded.body["input"][0]
    assert told(encoded) == [("parameter_dropped", "messages[].name")]


def test_an_assistant_s_turn_is_its_text_and_its_calls_each_an_item() -> None:
    written = items(
        {
            "role": "assistant",
            "content": "Looking.",
            "tool_calls": [{"id": "c1", "function": {"name": "now", "arguments": '{"a":1}'}}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "noon"},
    )
    assert written == [
        {"type": "message", "role": "assistant", "content": "Looking."},
        {"type": "function_call", "call_id": "c1", "name": "now", "arguments": '{"a":1}'},
        {"type": "function_call_output", "call_id": "c1", "output": "noon"},
    ]


def test_a_past_refusal_is_sent_as_what_it_said() -> None:
    (message,) = items({"role": "assistant", "refusal": "I will not."})
    assert message["content"] == "I will not."


def test_a_turn_of_calls_alone_has_no_message() -> None:
    made = [{"id": "c1", "function": {"name": "now", "arguments": "{}"}}]
    (item,) = items({"role": "assistant", "tool_calls": made})
    assert item["type"] == "function_call"


def test_a_tool_s_name_goes_with_its_result_where_it_is_wanted() -> None:
    messages = [
        {
            "role": "assistant",
            "tool_calls": [{"id": "c1", "function": {"name": "now", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "noon"},
        {"role": "tool", "tool_call_id": "c2", "content": "12", "name": "count"},
        {"role": "tool", "tool_call_id": "c3", "content": "?"},
    ]
    written = body({"messages": messages}, named_outputs=True)["input"]
    assert [item.get("name") for item in written[1:]] == ["now", "count", None]
    assert all("name" not in item for item in body({"messages": messages})["input"][1:])


@pytest.mark.parametrize(
    ("arguments", "is_told"), [('{"a":', True), ("[1]", True), ("", False), ("  ", False)]
)
def test_a_call_that_a_broken_stream_left_is_sent_without_arguments(
    arguments: str, *, is_told: bool
) -> None:
    made = [{"id": "c1", "function": {"name": "now", "arguments": arguments}}]
    encoded = encode({"messages": [{"role": "assistant", "tool_calls": made}]})
    assert encoded.body["input"][0]["arguments"] == "{}"
    field = "messages[0].tool_calls[0].function.arguments"
    assert told(encoded) == ([("parameter_changed", field)] if is_told else [])


def test_a_long_call_id_is_shortened_alike_for_a_call_and_its_result() -> None:
    long, short = "c" * 65, "c" * 64
    call_item, result, kept = items(
        {
            "role": "assistant",
            "tool_calls": [{"id": long, "function": {"name": "now", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": long, "content": "noon"},
        {"role": "tool", "tool_call_id": short, "content": "noon"},
    )
    assert call_item["call_id"] == result["call_id"]
    assert len(call_item["call_id"]) <= 64
    assert kept["call_id"] == short


# --- Past reasoning -------------------------------------------------------------------------


def thought(provider: str = "acme", **signature: str) -> dict[str, Any]:
    given = {"provider": provider, "format": "openai.encrypted_content", "value": "gAAA"}
    reasoning = [{"text": "Hm.", "signature": {**given, **signature}}]
    return {"role": "assistant", "content": "Yes.", "reasoning": reasoning}


def test_reasoning_this_provider_encrypted_is_sent_back_under_its_id() -> None:
    item, _ = items(thought(id="rs_1"))
    assert item == {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [{"type": "summary_text", "text": "Hm."}],
        "encrypted_content": "gAAA",
    }


def test_reasoning_without_a_text_has_an_empty_summary_and_without_an_id_none() -> None:
    message = thought()
    message["reasoning"][0]["text"] = ""
    (item, _) = body({"messages": [message]})["input"]
    assert item == {"type": "reasoning", "summary": [], "encrypted_content": "gAAA"}


@pytest.mark.parametrize(
    "message",
    [
        thought("other"),
        thought(format="anthropic.signature"),
        {"role": "assistant", "content": "Yes.", "reasoning": [{"text": "Hm."}]},
    ],
)
def test_reasoning_of_another_provider_or_unsigned_is_left_out(message: dict[str, Any]) -> None:
    assert [item["type"] for item in items(message)] == ["message"]


def test_a_provider_that_keeps_no_reasoning_gets_none_back() -> None:
    assert [item["type"] for item in items(thought(), encrypted_reasoning=False)] == ["message"]


@pytest.mark.parametrize(("provider", "is_sent"), [("acme", True), ("other", False)])
def test_a_call_s_thought_signature_goes_back_to_who_gave_it(
    provider: str, *, is_sent: bool
) -> None:
    signature = {"provider": provider, "format": "responses.thought_signature", "value": "c2ln"}
    made = [{"id": "c1", "function": {"name": "now", "arguments": "{}"}, "signature": signature}]
    item = body({"messages": [{"role": "assistant", "tool_calls": made}]})["input"][0]
    assert item.get("thought_signature") == ("c2ln" if is_sent else None)


# --- Plain parameters -----------------------------------------------------------------------


def test_plain_parameters_have_their_names_here() -> None:
    written = body({"max_tokens": 50, "temperature": 0.5, "top_p": 0.9, "user": "u1"})
    assert written["max_output_tokens"] == 50
    assert (written["temperature"], written["top_p"], written["user"]) == (0.5, 0.9, "u1")
    assert body({"user": "u1"}, user_field="safety_identifier")["safety_identifier"] == "u1"


@pytest.mark.parametrize(
    ("request_", "model", "quirks", "field"),
    [
        ({"stop": ["x"]}, None, {}, "stop"),
        ({"seed": 0}, None, {}, "seed"),
        ({"temperature": 1}, Model(id="m", sampling=False), {}, "temperature"),
        ({"top_p": 1}, Model(id="m", sampling=False), {}, "top_p"),
        ({"temperature": 0.5}, Model(id="m", temperature=1.0), {}, "temperature"),
        ({"temperature": 0.5}, None, {"unsupported": frozenset({"temperature"})}, "temperature"),
        ({"user": "u"}, None, {"unsupported": frozenset({"user"})}, "user"),
        ({"max_tokens": 5}, None, {"unsupported": frozenset({"max_tokens"})}, "max_tokens"),
        ({"tool_choice": "auto"}, None, {}, "tool_choice"),
        ({"parallel_tool_calls": True}, None, {}, "parallel_tool_calls"),
        ({"reasoning": {"effort": "low"}}, None, {}, "reasoning"),
        ({"reasoning": {"max_tokens": 5}}, THINKS, {}, "reasoning.max_tokens"),
        (
            {"response_format": {"type": "json_object"}},
            None,
            {"response_formats": frozenset({"text", "json_schema"})},
            "response_format",
        ),
        (
            {"response_format": {"type": "json_object"}},
            None,
            {"unsupported": frozenset({"response_format"})},
            "response_format",
        ),
    ],
)
def test_what_cannot_be_taken_is_dropped_with_a_warning(
    request_: dict[str, object], model: Model | None, quirks: dict[str, Any], field: str
) -> None:
    encoded = encode(request_, model=model, **quirks)
    assert told(encoded) == [("parameter_dropped", field)]
    plain = body(model=model, **quirks)
    assert {**encoded.body, "reasoning": None} == {**plain, "reasoning": None}


def test_an_empty_list_of_stop_sequences_is_nothing_to_tell() -> None:
    assert encode({"stop": []}).warnings == ()


def test_a_model_s_only_temperature_is_sent() -> None:
    assert body({"temperature": 1.0}, model=Model(id="m", temperature=1.0))["temperature"] == 1.0


def test_a_model_samples_while_it_does_not_reason_where_the_provider_says_so() -> None:
    model = Model(id="m", reasoning="optional", sampling=False)
    request: dict[str, object] = {"temperature": 0.5, "reasoning": {"effort": "none"}}
    assert body(request, model=model, sampling_unless_reasoning=True)["temperature"] == 0.5
    assert "temperature" not in body(request, model=model)


@pytest.mark.parametrize(
    ("asked", "sent", "warned"), [(5, 16, True), (16, 16, False), (500, 100, True)]
)
def test_output_tokens_keep_to_what_is_taken(asked: int, sent: int, *, warned: bool) -> None:
    model = Model(id="m", max_output=100)
    encoded = encode({"max_tokens": asked}, model=model, min_output_tokens=16)
    assert encoded.body["max_output_tokens"] == sent
    assert told(encoded) == ([("parameter_changed", "max_tokens")] if warned else [])


# --- Tools and formats ----------------------------------------------------------------------


def test_a_tool_is_flat_and_not_strict_unless_it_says_so() -> None:
    strict = {"name": "now", "description": "The time.", "strict": True}
    written = body({"tools": [WEATHER, {"type": "function", "function": strict}]})
    assert written["tools"] == [
        {
            "type": "function",
            "name": "get_weather",
            "parameters": {"type": "object", "properties": {}},
            "strict": False,
        },
        {
            "type": "function",
            "name": "now",
            "description": "The time.",
            "parameters": {"type": "object", "properties": {}},
            "strict": True,
        },
    ]


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ("none", "none"),
        ("required", "required"),
        (
            {"type": "function", "function": {"name": "get_weather"}},
            {"type": "function", "name": "get_weather"},
        ),
    ],
)
def test_a_tool_choice_is_flat(choice: object, sent: object) -> None:
    request: dict[str, object] = {
        "tools": [WEATHER],
        "tool_choice": choice,
        "parallel_tool_calls": False,
    }
    written = body(request)
    assert (written["tool_choice"], written["parallel_tool_calls"]) == (sent, False)


def test_a_tool_choice_that_is_not_taken_is_dropped() -> None:
    encoded = encode(
        {"tools": [WEATHER], "tool_choice": "required"}, unsupported=frozenset({"tool_choice"})
    )
    assert "tool_choice" not in encoded.body
    assert told(encoded) == [("parameter_dropped", "tool_choice")]


def test_the_provider_s_own_tools_come_first() -> None:
    own = ({"type": "web_search"},)
    assert body(tools=own)["tools"] == [{"type": "web_search"}]
    both = body({"tools": [WEATHER]}, tools=own)["tools"]
    assert [tool["type"] for tool in both] == ["web_search", "function"]


def test_tools_for_a_model_that_takes_none_are_refused_unless_they_are_not_to_be_used() -> None:
    toolless = Model(id="m", tools=False)
    with pytest.raises(RequestError) as caught:
        encode({"tools": [WEATHER]}, model=toolless)
    assert caught.value.error.param == "tools"
    assert "tools" not in body({"tools": [WEATHER], "tool_choice": "none"}, model=toolless)


_SCHEMA = {"name": "n", "schema": {"type": "object"}, "strict": True}


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ({"type": "text"}, None),
        ({"type": "json_object"}, {"format": {"type": "json_object"}}),
        (
            {"type": "json_schema", "json_schema": _SCHEMA},
            {"format": {"type": "json_schema", **_SCHEMA}},
        ),
    ],
)
def test_a_format_is_said_under_text(asked: dict[str, Any], sent: dict[str, Any] | None) -> None:
    assert body({"response_format": asked}).get("text") == sent


def test_a_format_may_go_where_chat_completions_has_it() -> None:
    asked = {"type": "json_schema", "json_schema": _SCHEMA}
    written = body({"response_format": asked}, format_field="response_format")
    assert written["response_format"] == asked
    assert "text" not in written


# --- Reasoning ------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [THINKS, ALWAYS])
def test_a_model_that_reasons_is_asked_for_its_encrypted_reasoning(model: Model) -> None:
    assert body(model=model)["include"] == ["reasoning.encrypted_content"]
    assert "include" not in body(model=model, encrypted_reasoning=False)


def test_a_model_that_does_not_reason_is_not() -> None:
    assert "include" not in body({"reasoning": {"effort": "none"}})


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ({"effort": "high"}, {"effort": "high", "summary": "auto"}),
        ({"effort": "none"}, {"effort": "none"}),
        ({}, {"summary": "auto"}),
        (None, None),
    ],
)
def test_an_effort_is_asked_for_with_a_summary_of_what_comes_of_it(
    asked: dict[str, str] | None, sent: dict[str, str] | None
) -> None:
    assert body({"reasoning": asked}, model=THINKS).get("reasoning") == sent


def test_a_summary_is_not_asked_for_where_there_is_none() -> None:
    written = body({"reasoning": {"effort": "low"}}, model=THINKS, summary=None)
    assert written["reasoning"] == {"effort": "low"}
    assert "reasoning" not in body({"reasoning": {}}, model=THINKS, summary=None)


@pytest.mark.parametrize(
    ("model", "asked", "sent", "code"),
    [
        (THINKS, "max", "high", "parameter_changed"),
        (THINKS, "none", None, "parameter_dropped"),
        (ALWAYS, "none", "low", "parameter_changed"),
        (Model(id="m", reasoning="always", efforts=()), "low", None, "parameter_dropped"),
        (Model(id="m", reasoning="always", efforts=("max",)), "max", "max", None),
    ],
)
def test_an_effort_that_is_not_taken_becomes_the_nearest(
    model: Model, asked: str, sent: str | None, code: str | None
) -> None:
    encoded = encode(
        {"reasoning": {"effort": asked}},
        model=model,
        efforts=("low", "medium", "high"),
        summary=None,
    )
    assert encoded.body.get("reasoning", {}).get("effort") == sent
    assert told(encoded) == ([(code, "reasoning.effort")] if code else [])
