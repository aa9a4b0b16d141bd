"""Bodies of chat-completions requests: what each quirk and each model's limits make of them."""

from typing import Any, Literal

import pytest

from adapters.contract import Model
from adapters.dialects.openai_chat_quirks import ChatQuirks
from adapters.dialects.prefill import GO_ON
from adapters.errors import RequestError
from adapters.events import ErrorCode
from tests.adapters.dialects.chat_cases import HELLO, WEATHER, body, encode, warned

FORCED = {"type": "function", "function": {"name": "get_weather"}}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
FORMAT = {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA, "strict": True}}
OPTIONAL = Model(id="m", reasoning="optional")
ALWAYS = Model(id="m", reasoning="always")


def test_the_least_request_streams_with_usage_and_says_nothing_else() -> None:
    encoded = encode()
    assert encoded.path == "/chat/completions"
    assert encoded.body == {
        "model": "acme-large",
        "messages": HELLO,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


# --- A conversation that ends with the assistant --------------------------------------------

BEGUN: list[dict[str, Any]] = [*HELLO, {"role": "assistant", "content": "Well"}]
ABLE = Model(id="m", prefill=True, reasoning="optional")


@pytest.mark.parametrize("mark", ["prefix", "partial"])
def test_a_beginning_is_marked_as_the_provider_wants_it(
    mark: Literal["prefix", "partial"],
) -> None:
    quirks = ChatQuirks(prefill=mark, prefill_path="/beta")
    encoded = encode(quirks, model=ABLE, messages=BEGUN)
    assert encoded.body["messages"][-1] == {"role": "assistant", "content": "Well", mark: True}
    assert encoded.path == "/beta/chat/completions"
    assert encoded.warnings == ()
    assert encode(quirks, model=ABLE).path == "/chat/completions"


def test_by_default_its_place_is_all_that_marks_a_beginning() -> None:
    encoded = encode(model=ABLE, messages=BEGUN)
    assert (encoded.body["messages"], encoded.path) == (BEGUN, "/chat/completions")
    assert encoded.warnings == ()


def test_a_model_that_may_answer_a_beginning_gets_it_with_a_warning() -> None:
    encoded = encode(ChatQuirks(prefill="prefix"), messages=BEGUN)
    assert encoded.body["messages"] == BEGUN
    assert warned(encoded) == [("parameter_ignored", "messages")]


def test_where_it_would_be_refused_the_user_asks_to_go_on() -> None:
    encoded = encode(ChatQuirks(assistant_last=False), messages=BEGUN)
    assert encoded.body["messages"] == [*BEGUN, {"role": "user", "content": GO_ON}]
    assert warned(encoded) == [("parameter_changed", "messages")]


@pytest.mark.parametrize(
    ("asked", "warnings"),
    [
        (None, []),
        ({"effort": "none"}, []),
        ({"effort": "high"}, [("parameter_dropped", "reasoning")]),
        ({"max_tokens": 99}, [("parameter_dropped", "reasoning")]),
    ],
)
def test_thinking_is_off_where_it_excludes_going_on(
    asked: dict[str, object] | None, warnings: list[tuple[str, str]]
) -> None:
    quirks = ChatQuirks(prefill_while_reasoning=False, thinking_switch="enable_thinking")
    encoded = encode(quirks, model=ABLE, messages=BEGUN, reasoning=asked)
    assert encoded.body["enable_thinking"] is False
    assert "reasoning_effort" not in encoded.body
    assert warned(encoded) == warnings
    unasked = body(quirks, model=ABLE, reasoning=asked)
    assert unasked.get("enable_thinking") == (asked and asked.get("effort") != "none")


# --- Plain parameters -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quirks", "options"),
    [
        (ChatQuirks(stream_usage=False), None),
        (ChatQuirks(obfuscation_off=True), {"include_usage": True, "include_obfuscation": False}),
        (ChatQuirks(stream_usage=False, obfuscation_off=True), {"include_obfuscation": False}),
    ],
)
def test_stream_options(quirks: ChatQuirks, options: dict[str, bool] | None) -> None:
    assert body(quirks).get("stream_options") == options


def test_limits_and_seed_go_where_the_provider_looks_for_them() -> None:
    quirks = ChatQuirks(max_tokens_field="max_completion_tokens", seed_field="random_seed")
    written = body(quirks, max_tokens=10, seed=7)
    assert (written["max_completion_tokens"], written["random_seed"]) == (10, 7)
    assert not {"max_tokens", "seed"} & set(written)


def test_more_output_than_the_model_gives_is_asked_for_up_to_its_limit() -> None:
    encoded = encode(model=Model(id="m", max_output=100), max_tokens=1_000)
    assert encoded.body["max_tokens"] == 100
    assert warned(encoded) == [("parameter_changed", "max_tokens")]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", 0.5),
        ("top_p", 0.5),
        ("stop", ["a"]),
        ("seed", 1),
        ("user", "u"),
        ("parallel_tool_calls", False),
    ],
)
def test_a_field_the_provider_does_not_take_is_dropped_with_a_warning(
    field: str, value: object
) -> None:
    quirks = ChatQuirks(unsupported=frozenset({field}))
    encoded = encode(quirks, tools=[WEATHER], more={field: value})
    assert field not in encoded.body
    assert warned(encoded) == [("parameter_dropped", field)]


@pytest.mark.parametrize(
    ("asked", "sent"), [(0, 0.01), (0.01, 0.01), (0.7, 0.7), (1, 1), (1.5, 1.0)]
)
def test_a_temperature_outside_the_providers_range_is_moved_to_its_edge(
    asked: float, sent: float
) -> None:
    encoded = encode(ChatQuirks(temperature_range=(0.01, 1.0)), temperature=asked)
    assert encoded.body["temperature"] == sent
    expected = [] if asked == sent else [("parameter_changed", "temperature")]
    assert warned(encoded) == expected


def test_the_only_temperature_a_model_takes_is_sent_and_no_other() -> None:
    model = Model(id="m", temperature=1.0)
    assert body(model=model, temperature=1)["temperature"] == 1
    refused = encode(model=model, temperature=0.2)
    assert "temperature" not in refused.body
    assert warned(refused) == [("parameter_dropped", "temperature")]


def test_a_model_without_sampling_gets_neither_temperature_nor_top_p() -> None:
    encoded = encode(model=Model(id="m", sampling=False), temperature=0.5, top_p=0.5)
    assert not {"temperature", "top_p"} & set(encoded.body)
    assert warned(encoded) == [
        ("parameter_dropped", "temperature"),
        ("parameter_dropped", "top_p"),
    ]


@pytest.mark.parametrize(
    ("reasoning", "effort", "sent"),
    [
        ("optional", "none", 0.5),
        ("optional", "low", None),
        ("always", "none", None),
        ("none", "none", None),
    ],
)
def test_sampling_comes_back_with_effort_none_where_it_is_obeyed(
    reasoning: Literal["none", "optional", "always"], effort: str, sent: float | None
) -> None:
    written = body(
        ChatQuirks(sampling_unless_reasoning=True),
        model=Model(id="m", sampling=False, reasoning=reasoning),
        temperature=0.5,
        reasoning={"effort": effort},
    )
    assert written.get("temperature") == sent


def test_stop_sequences_beyond_the_providers_limit_are_left_out() -> None:
    encoded = encode(ChatQuirks(stop_limit=2), stop=["a", "b", "c"])
    assert encoded.body["stop"] == ["a", "b"]
    assert warned(encoded) == [("parameter_changed", "stop")]


def test_a_model_that_takes_no_stop_sequences_gets_none() -> None:
    encoded = encode(model=Model(id="m", stop=False), stop="a")
    assert "stop" not in encoded.body
    assert warned(encoded) == [("parameter_dropped", "stop")]


def test_metadata_stays_here() -> None:
    encoded = encode(metadata={"ticket": "42"})
    assert "metadata" not in encoded.body
    assert encoded.warnings == ()


# --- Tools ----------------------------------------------------------------------------------


def test_a_tool_without_parameters_is_sent_with_none() -> None:
    bare = {"type": "function", "function": {"name": "now", "description": "The time."}}
    [tool] = body(tools=[bare])["tools"]
    assert tool["function"] == {
        "name": "now",
        "description": "The time.",
        "parameters": {"type": "object", "properties": {}},
    }


def test_strict_is_left_out_where_it_is_not_taken() -> None:
    tool = {"type": "function", "function": {**WEATHER["function"], "strict": True}}
    assert body(tools=[tool])["tools"][0]["function"]["strict"] is True
    encoded = encode(ChatQuirks(tool_strict=False), tools=[tool])
    assert "strict" not in encoded.body["tools"][0]["function"]
    assert warned(encoded) == [("parameter_dropped", "tools[].function.strict")]


@pytest.mark.parametrize(
    ("quirks", "choice", "sent", "changed"),
    [
        (ChatQuirks(), "auto", "auto", False),
        (ChatQuirks(), "none", "none", False),
        (ChatQuirks(), "required", "required", False),
        (ChatQuirks(), FORCED, FORCED, False),
        (ChatQuirks(required_word="any"), "required", "any", False),
        (ChatQuirks(tool_choices=frozenset({"auto"})), "auto", "auto", False),
        (ChatQuirks(tool_choices=frozenset({"auto"})), "required", None, True),
        (ChatQuirks(tool_choices=frozenset({"auto"})), FORCED, None, True),
        (ChatQuirks(tool_choices=frozenset({"required"})), "auto", None, False),
    ],
)
def test_tool_choice(quirks: ChatQuirks, choice: object, sent: object, changed: bool) -> None:  # noqa: FBT001 - a case
    encoded = encode(quirks, tools=[WEATHER], tool_choice=choice)
    assert encoded.body.get("tool_choice") == sent
    assert warned(encoded) == ([("parameter_changed", "tool_choice")] if changed else [])


def test_no_tools_are_sent_where_none_may_be_called_and_the_provider_has_no_word_for_it() -> None:
    quirks = ChatQuirks(tool_choices=frozenset({"auto"}))
    encoded = encode(quirks, tools=[WEATHER], tool_choice="none")
    assert not {"tools", "tool_choice"} & set(encoded.body)
    assert encoded.warnings == ()


@pytest.mark.parametrize(
    ("model", "effort", "sent"),
    [
        (Model(id="m"), None, "required"),
        (ALWAYS, None, None),
        (OPTIONAL, None, None),
        (OPTIONAL, "high", None),
        (OPTIONAL, "none", "required"),
    ],
)
def test_a_forced_tool_gives_way_to_reasoning_where_the_two_exclude_each_other(
    model: Model, effort: str | None, sent: str | None
) -> None:
    written = body(
        ChatQuirks(forced_tools_while_reasoning=False),
        model=model,
        tools=[WEATHER],
        tool_choice="required",
        reasoning={"effort": effort},
    )
    assert written.get("tool_choice") == sent


@pytest.mark.parametrize("field", ["tool_choice", "parallel_tool_calls"])
def test_words_about_tools_without_tools_are_dropped(field: str) -> None:
    value: object = "auto" if field == "tool_choice" else True
    encoded = encode(more={field: value})
    assert field not in encoded.body
    assert warned(encoded) == [("parameter_dropped", field)]


def test_tools_for_a_model_without_hands_are_refused() -> None:
    with pytest.raises(RequestError) as caught:
        encode(model=Model(id="m", tools=False), tools=[WEATHER])
    error = caught.value.error
    assert (error.code, error.param) == (ErrorCode.UNSUPPORTED_PARAMETER, "tools")


# --- Formats --------------------------------------------------------------------------------


def test_formats_are_sent_as_openai_writes_them_and_text_is_not_said() -> None:
    assert body(response_format=FORMAT)["response_format"] == FORMAT
    json_object = {"type": "json_object"}
    assert body(response_format=json_object)["response_format"] == json_object
    assert "response_format" not in body(response_format={"type": "text"})


@pytest.mark.parametrize(
    ("takes", "sent"), [({"text", "json_object"}, {"type": "json_object"}), ({"text"}, None)]
)
def test_a_schema_that_cannot_be_enforced_is_said_in_words(
    takes: set[Any], sent: dict[str, str] | None
) -> None:
    opening: list[dict[str, Any]] = [{"role": "system", "content": "Be brief."}]
    encoded = encode(
        ChatQuirks(response_formats=frozenset(takes)),
        response_format=FORMAT,
        messages=opening + HELLO,
    )
    first, told, last = encoded.body["messages"]
    assert (first, last) == (opening[0], HELLO[0])
    assert told["role"] == "system"
    assert '{"type":"object","properties":{"city":{"type":"string"}}}' in told["content"]
    assert encoded.body.get("response_format") == sent
    assert warned(encoded) == [("parameter_changed", "response_format")]


def test_a_format_the_provider_does_not_know_is_dropped() -> None:
    quirks = ChatQuirks(response_formats=frozenset({"text"}))
    encoded = encode(quirks, response_format={"type": "json_object"})
    assert "response_format" not in encoded.body
    assert warned(encoded) == [("parameter_dropped", "response_format")]


# --- Reasoning ------------------------------------------------------------------------------

SWITCH = ChatQuirks(thinking_switch="thinking", efforts=("low", "high", "max"))
FLAG = ChatQuirks(
    thinking_switch="enable_thinking", effort_field=None, budget_field="thinking_budget"
)
OBJECT = ChatQuirks(effort_field="reasoning", budget_field="reasoning")
NOTHING = ChatQuirks(effort_field=None)
CHANGED = [("parameter_changed", "reasoning.effort")]
DROPPED = [("parameter_dropped", "reasoning.effort")]


@pytest.mark.parametrize(
    ("quirks", "model", "asked", "sent", "warnings"),
    [
        (ChatQuirks(), OPTIONAL, {"effort": "low"}, {"reasoning_effort": "low"}, []),
        (ChatQuirks(), OPTIONAL, {"effort": "none"}, {"reasoning_effort": "none"}, []),
        (ChatQuirks(), OPTIONAL, {}, {}, []),
        # The nearest the model takes, the higher of two.
        (SWITCH, ALWAYS, {"effort": "medium"}, {"reasoning_effort": "high"}, CHANGED),
        (SWITCH, ALWAYS, {"effort": "minimal"}, {"reasoning_effort": "low"}, CHANGED),
        (SWITCH, ALWAYS, {"effort": "xhigh"}, {"reasoning_effort": "max"}, CHANGED),
        # A model that always reasons is never told not to.
        (SWITCH, ALWAYS, {"effort": "none"}, {"reasoning_effort": "low"}, CHANGED),
        (NOTHING, ALWAYS, {"effort": "none"}, {}, DROPPED),
        (ChatQuirks(efforts=("low",)), OPTIONAL, {"effort": "none"}, {}, DROPPED),
        # Switches.
        (SWITCH, OPTIONAL, {"effort": "none"}, {"thinking": {"type": "disabled"}}, []),
        (
            SWITCH,
            OPTIONAL,
            {"effort": "high"},
            {"thinking": {"type": "enabled"}, "reasoning_effort": "high"},
            [],
        ),
        (FLAG, OPTIONAL, {"effort": "none"}, {"enable_thinking": False}, []),
        (FLAG, OPTIONAL, {"effort": "high"}, {"enable_thinking": True}, CHANGED),
        (
            FLAG,
            OPTIONAL,
            {"max_tokens": 500},
            {"enable_thinking": True, "thinking_budget": 500},
            [],
        ),
        # One object for both.
        (OBJECT, OPTIONAL, {"effort": "high"}, {"reasoning": {"effort": "high"}}, []),
        (OBJECT, OPTIONAL, {"max_tokens": 500}, {"reasoning": {"max_tokens": 500}}, []),
        (
            OBJECT,
            OPTIONAL,
            {"effort": "high", "max_tokens": 500},
            {"reasoning": {"max_tokens": 500}},
            DROPPED,
        ),
        # What cannot be said.
        (NOTHING, OPTIONAL, {"effort": "high"}, {}, DROPPED),
        (
            ChatQuirks(),
            OPTIONAL,
            {"max_tokens": 500},
            {},
            [("parameter_dropped", "reasoning.max_tokens")],
        ),
        (ChatQuirks(), Model(id="m"), {"effort": "none"}, {}, []),
        (
            ChatQuirks(),
            Model(id="m"),
            {"effort": "high"},
            {},
            [("parameter_dropped", "reasoning")],
        ),
        # A model's own efforts, as far as the format can say them.
        (
            SWITCH,
            Model(id="m", reasoning="always", efforts=("minimal", "low")),
            {"effort": "max"},
            {"reasoning_effort": "low"},
            CHANGED,
        ),
        (SWITCH, Model(id="m", reasoning="always", efforts=()), {"effort": "high"}, {}, DROPPED),
        (
            SWITCH,
            Model(id="m", reasoning="optional", efforts=()),
            {"effort": "high"},
            {"thinking": {"type": "enabled"}},
            CHANGED,
        ),
        (
            ChatQuirks(),
            Model(id="m", reasoning="optional", efforts=("none", "high")),
            {"effort": "low"},
            {"reasoning_effort": "high"},
            CHANGED,
        ),
    ],
)
def test_reasoning(
    quirks: ChatQuirks,
    model: Model,
    asked: dict[str, Any],
    sent: dict[str, Any],
    warnings: list[tuple[str, str | None]],
) -> None:
    encoded = encode(quirks, model=model, reasoning=asked)
    beside = {"model", "messages", "stream", "stream_options"}
    assert {key: value for key, value in encoded.body.items() if key not in beside} == sent
    assert warned(encoded) == warnings


# --- What else is sent ----------------------------------------------------------------------


def test_extras_of_the_provider_and_of_one_model_are_in_the_body() -> None:
    quirks = ChatQuirks(extra={"store": False}, extra_of_model={"m": {"format": "parsed"}})
    assert body(quirks, model=Model(id="m"))["format"] == "parsed"
    other = body(quirks, model=Model(id="other"))
    assert other["store"] is False
    assert "format" not in other


def test_extras_for_tools_come_with_tools_or_a_format_only() -> None:
    quirks = ChatQuirks(extra_with_tools={"provider": {"require_parameters": True}})
    assert "provider" not in body(quirks)
    assert body(quirks, tools=[WEATHER])["provider"] == {"require_parameters": True}
    assert body(quirks, response_format=FORMAT)["provider"] == {"require_parameters": True}


def test_an_extra_object_is_merged_with_what_the_request_says_and_stays_as_it_was() -> None:
    quirks = ChatQuirks(thinking_switch="thinking", extra={"thinking": {"clear_thinking": False}})
    written = body(quirks, model=OPTIONAL, reasoning={"effort": "none"})
    assert written["thinking"] == {"clear_thinking": False, "type": "disabled"}
    assert quirks.extra == {"thinking": {"clear_thinking": False}}


def test_an_extra_effort_gives_way_to_a_budget_and_stays_as_it_was() -> None:
    quirks = ChatQuirks(budget_field="reasoning", extra={"reasoning": {"effort": "low"}})
    written = body(quirks, model=OPTIONAL, reasoning={"max_tokens": 9})
    assert written["reasoning"] == {"max_tokens": 9}
    assert quirks.extra == {"reasoning": {"effort": "low"}}
