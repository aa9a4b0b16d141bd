"""Requests for generateContent: the body, field by field, and what is said of the rest."""

from typing import Any

import pytest
from google.genai import types

from adapters.contract import Encoded, Model
from adapters.dialects.gemini import Gemini
from adapters.dialects.gemini_request import GeminiQuirks
from adapters.dialects.prefill import GO_ON
from adapters.errors import RequestError
from adapters.events import ErrorCode
from tests.adapters.dialects.chat_cases import HELLO, WEATHER, call, warned

PLAIN = Model(id="gemini-plain", images=True, max_output=8_192)
LEVELS = Model(id="gemini-3-flash", images=True, reasoning="always", sampling=False)
OPTIONAL = Model(id="gemini-3-lite", reasoning="optional")
BUDGETED = Model(id="gemini-2.5-flash", reasoning="optional")
BUDGETED_ALWAYS = Model(id="gemini-2.5-pro", reasoning="always")
OLD = Model(id="gemini-2.0-flash", images=True)
ABLE = Model(id="gemini-2.5-able", images=True, prefill=True)
QUIRKS = GeminiQuirks(
    budget_models=("gemini-2.5",),
    signature_models=("gemini-3",),
    no_image_urls=("gemini-2.0",),
    json_excludes_tools=("gemini-2",),
)
PNG = "data:image/png;base64,iVBORw0KGgo="
NAMED = {"type": "function", "function": {"name": "get_weather"}}


def encode(model: Model = PLAIN, **request: object) -> Encoded:
    dialect = Gemini(quirks=QUIRKS)
    return dialect.encode(call(dialect, model=model, provider="gemini", request=request))


def body(model: Model = PLAIN, **request: object) -> dict[str, Any]:
    return encode(model, **request).body


def config(model: Model = PLAIN, **request: object) -> dict[str, Any]:
    found: dict[str, Any] = body(model, **request).get("generationConfig", {})
    return found


def contents(*messages: dict[str, Any], model: Model = PLAIN) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = body(model, messages=list(messages))["contents"]
    return sent


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def past_call(call_id: str, name: str = "go", **more: object) -> dict[str, Any]:
    return {"id": call_id, "function": {"name": name, "arguments": '{"a":1}'}, **more}


def assistant(*calls: dict[str, Any], **more: object) -> dict[str, Any]:
    return {"role": "assistant", "tool_calls": list(calls), **more}


def result(call_id: str, content: str, **more: object) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": content, **more}


def signature(value: str, provider: str = "gemini", form: str = "gemini.thought_signature") -> Any:  # noqa: ANN401 - JSON
    return {"provider": provider, "format": form, "value": value}


# --- The whole ------------------------------------------------------------------------------


def test_a_conversation_may_end_with_the_model_where_the_model_goes_on_with_it() -> None:
    begun = [user("?"), {"role": "assistant", "content": "Well"}]
    able, plain = encode(ABLE, messages=begun), encode(messages=begun)
    assert able.body["contents"][-1] == {"role": "model", "parts": [{"text": "Well"}]}
    assert able.warnings == ()
    assert plain.body["contents"][-1] == {"role": "user", "parts": [{"text": GO_ON}]}
    assert [warning.field for warning in plain.warnings] == ["messages"]


def test_a_plain_request_says_no_more_than_it_must() -> None:
    encoded = encode()
    assert encoded.path == "/models/gemini-plain:streamGenerateContent?alt=sse"
    assert encoded.body == {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}
    assert encoded.warnings == ()


def test_a_model_id_cannot_leave_its_place_in_the_path() -> None:
    path = encode(Model(id="a/b?c=d:e")).path
    assert path == "/models/a%2Fb%3Fc%3Dd%3Ae:streamGenerateContent?alt=sse"


# --- The conversation -----------------------------------------------------------------------


def test_instructions_are_their_own_field_in_order() -> None:
    sent = body(
        messages=[
            {"role": "system", "content": "Be brief."},
            user("Hi"),
            {"role": "developer", "content": [{"type": "text", "text": "Be kind."}]},
            {"role": "system", "content": ""},
        ]
    )
    assert sent["systemInstruction"] == {"parts": [{"text": "Be brief."}, {"text": "Be kind."}]}
    assert [content["role"] for content in sent["contents"]] == ["user"]


def test_neighbours_of_one_role_become_one_content() -> None:
    assert contents(user("a"), user("b"), {"role": "assistant", "content": "c"}, user("d")) == [
        {"role": "user", "parts": [{"text": "a"}, {"text": "b"}]},
        {"role": "model", "parts": [{"text": "c"}]},
        {"role": "user", "parts": [{"text": "d"}]},
    ]


@pytest.mark.parametrize("messages", [[{"role": "system", "content": "Hi"}], [user("")]])
def test_a_conversation_in_which_nobody_speaks_is_refused(messages: list[dict[str, Any]]) -> None:
    with pytest.raises(RequestError) as refused:
        encode(messages=messages)
    assert refused.value.error.code is ErrorCode.UNSUPPORTED_PARAMETER
    assert refused.value.error.param == "messages"


def test_results_stand_in_one_content_after_the_calls_and_name_their_function() -> None:
    sent = contents(
        user("Go"),
        assistant(past_call("a"), past_call("b", "look")),
        user("Well?"),
        result("b", "sunny"),
        result("a", '{"n": 1}'),
    )
    assert sent[1] == {
        "role": "model",
        "parts": [
            {"functionCall": {"id": "a", "name": "go", "args": {"a": 1}}},
            {"functionCall": {"id": "b", "name": "look", "args": {"a": 1}}},
        ],
    }
    assert sent[2] == {
        "role": "user",
        "parts": [
            {"functionResponse": {"id": "b", "name": "look", "response": {"output": "sunny"}}},
            {"functionResponse": {"id": "a", "name": "go", "response": {"n": 1}}},
            {"text": "Well?"},
        ],
    }


def test_an_id_we_made_up_is_not_sent_back() -> None:
    sent = contents(user("Go"), assistant(past_call("trcall_r1_0")), result("trcall_r1_0", "1"))
    assert sent[1]["parts"] == [{"functionCall": {"name": "go", "args": {"a": 1}}}]
    assert sent[2]["parts"] == [{"functionResponse": {"name": "go", "response": {"output": "1"}}}]


def test_an_id_used_again_means_the_later_call() -> None:
    sent = contents(
        user("Go"),
        assistant(past_call("x", "first")),
        result("x", "1"),
        assistant(past_call("x", "second")),
        result("x", "2"),
    )
    assert sent[4]["parts"][0]["functionResponse"]["name"] == "second"


def test_a_result_may_name_its_function_itself() -> None:
    encoded = encode(messages=[user("Go"), result("lost", "1", name="go")])
    part = encoded.body["contents"][0]["parts"][0]
    assert part["functionResponse"]["name"] == "go"
    assert encoded.warnings == ()


def test_a_result_of_no_call_is_refused() -> None:
    with pytest.raises(RequestError) as refused:
        encode(messages=[user("Go"), result("lost", "1")])
    assert refused.value.error.code is ErrorCode.INVALID_REQUEST
    assert refused.value.error.param == "messages[1].tool_call_id"


def test_arguments_that_a_broken_stream_left_are_sent_as_none() -> None:
    broken = {"id": "a", "function": {"name": "go", "arguments": '{"a'}}
    encoded = encode(messages=[user("Go"), assistant(broken)])
    assert encoded.body["contents"][1]["parts"][0]["functionCall"]["args"] == {}
    assert warned(encoded) == [
        ("parameter_changed", "messages[1].tool_calls[0].function.arguments")
    ]


def test_signatures_go_back_on_the_parts_they_came_with() -> None:
    past = assistant(
        past_call("a", signature=signature("s3")),
        past_call("b"),
        content="So.",
        reasoning=[
            {"text": "Hm.", "signature": signature("s1")},
            {"text": "", "signature": signature("s2")},
            {"text": "Not ours.", "signature": signature("x", "copilot")},
            {"text": "Not this.", "signature": signature("x", form="anthropic.signature")},
            {"text": "Unsigned."},
        ],
    )
    assert contents(user("Go"), past, model=LEVELS)[1]["parts"] == [
        {"text": "Hm.", "thought": True, "thoughtSignature": "s1"},
        {"text": "So."},
        {"text": "", "thoughtSignature": "s2"},
        {
            "functionCall": {"id": "a", "name": "go", "args": {"a": 1}},
            "thoughtSignature": "s3",
        },
        {"functionCall": {"id": "b", "name": "go", "args": {"a": 1}}},
    ]


@pytest.mark.parametrize(
    ("model", "stands_in"), [(LEVELS, "skip_thought_signature_validator"), (BUDGETED, None)]
)
def test_another_models_call_is_signed_by_a_stand_in_where_a_signature_is_demanded(
    model: Model, stands_in: str | None
) -> None:
    theirs = past_call("a", signature=signature("x", "openai", "openai.encrypted_content"))
    first, second = contents(user("Go"), assistant(theirs, past_call("b")), model=model)[1]["parts"]
    assert first.get("thoughtSignature") == stands_in
    assert "thoughtSignature" not in second


def test_a_past_refusal_is_sent_as_its_text() -> None:
    sent = contents(user("?"), {"role": "assistant", "refusal": "No."})
    assert sent[1] == {"role": "model", "parts": [{"text": "No."}]}


# --- Images ---------------------------------------------------------------------------------


def image(url: str, **more: object) -> dict[str, Any]:
    content = [{"type": "image_url", "image_url": {"url": url, **more}}]
    return {"role": "user", "content": content}


@pytest.mark.parametrize(
    ("url", "media_type"),
    [
        ("https://example.com/a.png", "image/png"),
        ("https://example.com/A.WEBP?size=2", "image/webp"),
        ("https://example.com/a", "image/jpeg"),
    ],
)
def test_an_address_is_fetched_by_google_under_the_type_its_ending_tells(
    url: str, media_type: str
) -> None:
    [content] = contents(image(url))
    assert content["parts"] == [{"fileData": {"mimeType": media_type, "fileUri": url}}]


def test_a_data_url_goes_inline_and_empty_text_does_not_go() -> None:
    message = image(PNG, detail="high")
    message["content"] += [{"type": "text", "text": ""}, {"type": "text", "text": "What?"}]
    encoded = encode(messages=[message | {"name": "ada"}])
    assert encoded.body["contents"][0]["parts"] == [
        {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}},
        {"text": "What?"},
    ]
    assert warned(encoded) == [
        ("parameter_dropped", "messages[].name"),
        ("parameter_dropped", "messages[].content[].image_url.detail"),
    ]


@pytest.mark.parametrize(
    ("model", "url"),
    [
        (PLAIN, "http://example.com/a.png"),
        (OLD, "https://example.com/a.png"),
        (Model(id="blind"), PNG),
    ],
)
def test_an_image_that_cannot_get_there_is_refused_by_name(model: Model, url: str) -> None:
    with pytest.raises(RequestError) as refused:
        encode(model, messages=[image(url)])
    assert refused.value.error.code is ErrorCode.UNSUPPORTED_PARAMETER
    assert refused.value.error.param == "messages[0].content[0].image_url.url"


# --- Tools ----------------------------------------------------------------------------------


def test_a_tool_is_its_name_its_words_and_its_schema() -> None:
    bare = {"type": "function", "function": {"name": "now", "description": "Now.", "strict": True}}
    encoded = encode(tools=[WEATHER, bare])
    assert encoded.body["tools"] == [
        {
            "functionDeclarations": [
                {
                    "name": "get_weather",
                    "parametersJsonSchema": {"type": "object", "properties": {}},
                },
                {"name": "now", "description": "Now."},
            ]
        }
    ]
    assert warned(encoded) == [("parameter_dropped", "tools[].function.strict")]


@pytest.mark.parametrize(
    ("choice", "mode"),
    [
        (None, None),
        ("auto", {"mode": "AUTO"}),
        ("required", {"mode": "ANY"}),
        ("none", {"mode": "NONE"}),
        (NAMED, {"mode": "ANY", "allowedFunctionNames": ["get_weather"]}),
    ],
)
def test_how_tools_are_to_be_used(choice: object, mode: dict[str, object] | None) -> None:
    sent = body(tools=[WEATHER], tool_choice=choice).get("toolConfig")
    assert sent == (mode and {"functionCallingConfig": mode})


def test_calls_in_parallel_cannot_be_forbidden() -> None:
    encoded = encode(tools=[WEATHER], parallel_tool_calls=False)
    assert warned(encoded) == [("parameter_dropped", "parallel_tool_calls")]


# --- generationConfig -----------------------------------------------------------------------


def test_plain_parameters_have_their_names_here() -> None:
    asked: dict[str, Any] = {
        "max_tokens": 100,
        "temperature": 1.7,
        "top_p": 0.5,
        "seed": 7,
        "stop": ["a", "b"],
    }
    encoded = encode(**asked)
    assert encoded.body["generationConfig"] == {
        "maxOutputTokens": 100,
        "temperature": 1.7,
        "topP": 0.5,
        "seed": 7,
        "stopSequences": ["a", "b"],
    }
    assert encoded.warnings == ()


def test_what_the_model_or_the_format_does_not_take_is_left_out_by_name() -> None:
    model = Model(id="gemini-x", sampling=False, stop=False)
    encoded = encode(model, temperature=1.0, top_p=0.5, seed=2**31, stop="a", user="u-1")
    assert "generationConfig" not in encoded.body
    assert {field for _, field in warned(encoded)} == {
        "temperature",
        "top_p",
        "seed",
        "stop",
        "user",
    }


@pytest.mark.parametrize("seed", [-(2**31), 0, 2**31 - 1])
def test_a_seed_of_32_bits_is_sent(seed: int) -> None:
    assert config(seed=seed) == {"seed": seed}


def test_stop_sequences_beyond_the_fifth_are_left_out() -> None:
    encoded = encode(stop=list("abcdef"))
    assert encoded.body["generationConfig"]["stopSequences"] == list("abcde")
    assert warned(encoded) == [("parameter_changed", "stop")]


SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}}
JSON_SCHEMA = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}


@pytest.mark.parametrize(
    ("wanted", "sent"),
    [
        ({"type": "text"}, {}),
        ({"type": "json_object"}, {"responseMimeType": "application/json"}),
        (
            JSON_SCHEMA,
            {"responseMimeType": "application/json", "responseJsonSchema": SCHEMA},
        ),
    ],
)
def test_a_response_format_is_a_media_type_and_a_schema(
    wanted: dict[str, object], sent: dict[str, object]
) -> None:
    assert config(response_format=wanted) == sent


def test_a_format_is_dropped_where_the_model_takes_it_or_tools() -> None:
    encoded = encode(BUDGETED, response_format=JSON_SCHEMA, tools=[WEATHER])
    assert "generationConfig" not in encoded.body
    assert warned(encoded) == [("parameter_dropped", "response_format")]
    assert "responseMimeType" in config(LEVELS, response_format=JSON_SCHEMA, tools=[WEATHER])


@pytest.mark.parametrize(
    ("model", "reasoning", "thinking", "said_of"),
    [
        (PLAIN, None, None, []),
        (PLAIN, {"effort": "high"}, None, ["reasoning"]),
        (PLAIN, {"effort": "none"}, None, []),
        (LEVELS, None, {"includeThoughts": True}, []),
        (LEVELS, {}, {"includeThoughts": True}, []),
        (LEVELS, {"effort": "low"}, {"includeThoughts": True, "thinkingLevel": "LOW"}, []),
        (
            LEVELS,
            {"effort": "max"},
            {"includeThoughts": True, "thinkingLevel": "HIGH"},
            ["reasoning.effort"],
        ),
        (LEVELS, {"effort": "none"}, {"thinkingLevel": "LOW"}, ["reasoning.effort"]),
        (LEVELS, {"max_tokens": 99}, {"includeThoughts": True}, ["reasoning.max_tokens"]),
        (OPTIONAL, None, None, []),
        (BUDGETED, None, None, []),
        (BUDGETED, {}, {"includeThoughts": True}, []),
        (BUDGETED, {"effort": "low"}, {"includeThoughts": True, "thinkingBudget": 1_024}, []),
        (BUDGETED, {"effort": "none"}, {"thinkingBudget": 0}, []),
        (BUDGETED, {"max_tokens": 99}, {"includeThoughts": True, "thinkingBudget": 99}, []),
        (
            BUDGETED_ALWAYS,
            {"effort": "none"},
            {"includeThoughts": True, "thinkingBudget": 1_024},
            ["reasoning.effort"],
        ),
    ],
)
def test_how_much_to_think(
    model: Model,
    reasoning: dict[str, object] | None,
    thinking: dict[str, object] | None,
    said_of: list[str],
) -> None:
    encoded = encode(model, reasoning=reasoning)
    assert encoded.body.get("generationConfig", {}).get("thinkingConfig") == thinking
    assert [field for _, field in warned(encoded)] == said_of


def test_a_model_may_take_levels_of_its_own() -> None:
    model = Model(id="gemini-3-lite", reasoning="always", efforts=("minimal", "high"))
    sent = config(model, reasoning={"effort": "none"})
    assert sent == {"thinkingConfig": {"thinkingLevel": "MINIMAL"}}


def test_nothing_of_the_request_is_changed_by_writing_it() -> None:
    asking = call(Gemini(), request={"messages": [*HELLO, user("And?")], "tools": [WEATHER]})
    before = asking.request.model_dump()
    Gemini().encode(asking)
    assert asking.request.model_dump() == before


def test_googles_own_types_know_every_field() -> None:
    """They refuse unknown fields, so a misspelt one does not pass."""
    past = assistant(
        past_call("a", signature=signature("c2ln")),
        content="So.",
        reasoning=[{"text": "Hm.", "signature": signature("c2ln")}],
    )
    sent = body(
        Model(id="gemini-2.5-x", images=True, reasoning="optional"),
        messages=[
            {"role": "system", "content": "Be brief."},
            image(PNG),
            image("https://example.com/a.png"),
            past,
            result("a", "1"),
        ],
        tools=[WEATHER],
        tool_choice=NAMED,
        max_tokens=10,
        temperature=0.5,
        top_p=0.5,
        stop="END",
        seed=7,
        reasoning={"effort": "low"},
    )
    formatted = config(LEVELS, response_format=JSON_SCHEMA, reasoning={"effort": "low"})
    for content in sent.pop("contents"):
        types.Content.model_validate(content)
    types.Content.model_validate(sent.pop("systemInstruction"))
    types.Tool.model_validate(sent.pop("tools")[0])
    types.ToolConfig.model_validate(sent.pop("toolConfig"))
    types.GenerationConfig.model_validate(sent.pop("generationConfig"))
    types.GenerationConfig.model_validate(formatted)
    assert sent == {}
