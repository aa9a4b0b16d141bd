"""Histories on the wire: roles, images, tool calls of other providers, past reasoning."""

from typing import Any

import pytest

from adapters.contract import Encoded, Model
from adapters.dialects.openai_chat_messages import details_format
from adapters.dialects.openai_chat_quirks import ChatQuirks
from adapters.errors import RequestError
from adapters.events import ErrorCode
from tests.adapters.dialects.chat_cases import HELLO, encode, warned

NINE = ChatQuirks(call_id_pattern="[A-Za-z0-9]{9}", call_id_length=9)
DETAILS = ChatQuirks(reasoning_echo="reasoning_details")
CONTENT = ChatQuirks(reasoning_echo="reasoning_content")
PNG = "data:image/png;base64,iVBORw0KGgo="


def _asked(name: str = "get_weather", arguments: str = "{}", call_id: str = "c1") -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def _written(*messages: dict[str, Any], quirks: ChatQuirks | None = None) -> list[dict[str, Any]]:
    return _encoded(*messages, quirks=quirks).body["messages"]  # type: ignore[no-any-return]  # a body is any JSON


def _encoded(*messages: dict[str, Any], quirks: ChatQuirks | None = None) -> Encoded:
    return encode(quirks, messages=list(messages))


# --- Roles and content ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "sent"),
    [("system", ["system", "system"]), ("developer", ["developer", "developer"]), (None, None)],
)
def test_instructions_take_the_role_the_provider_knows(role: Any, sent: list[str] | None) -> None:  # noqa: ANN401 - a literal
    given = [{"role": "developer", "content": "a"}, {"role": "system", "content": "b"}]
    written = _written(*given, *HELLO, quirks=ChatQuirks(instruction_role=role))
    assert [message["role"] for message in written[:2]] == (sent or ["developer", "system"])


def test_text_in_parts_is_sent_as_one_string() -> None:
    parts = [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}]
    written = _written(
        {"role": "system", "content": parts},
        {"role": "user", "content": parts},
        {"role": "assistant", "content": parts, "tool_calls": [_asked()]},
        {"role": "tool", "tool_call_id": "c1", "content": parts},
    )
    assert [message["content"] for message in written] == ["Hello"] * 4


def test_an_image_is_sent_as_a_part_beside_the_text() -> None:
    image = {"type": "image_url", "image_url": {"url": PNG, "detail": "low"}}
    linked = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
    text = {"type": "text", "text": "What is this?"}
    [written] = _written({"role": "user", "content": [text, image, linked]})
    assert written["content"] == [text, image, linked]


def test_an_image_for_a_model_without_eyes_is_refused_by_the_name_of_its_message() -> None:
    image = {"type": "image_url", "image_url": {"url": PNG}}
    messages = [*HELLO, {"role": "user", "content": [image]}]
    with pytest.raises(RequestError) as caught:
        encode(model=Model(id="blind"), messages=messages)
    error = caught.value.error
    assert (error.code, error.param) == (ErrorCode.UNSUPPORTED_PARAMETER, "messages[1].content")


def test_names_are_sent_where_the_provider_takes_them_but_never_with_a_tools_result() -> None:
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": "Hi", "name": "ada"},
        {"role": "assistant", "content": None, "tool_calls": [_asked()], "name": "bot"},
        {"role": "tool", "tool_call_id": "c1", "content": "ok", "name": "get_weather"},
    ]
    names = [message.get("name") for message in _written(*messages)]
    assert names == ["ada", "bot", None]


def test_names_the_provider_refuses_are_left_out_with_one_warning_for_all() -> None:
    messages = [{"role": "user", "content": "Hi", "name": "ada"}] * 3
    encoded = _encoded(*messages, quirks=ChatQuirks(names=False))
    assert all("name" not in message for message in encoded.body["messages"])
    assert warned(encoded) == [("parameter_dropped", "messages[].name")]


def test_a_past_refusal_is_its_text_where_there_is_no_field_for_it() -> None:
    refused = {"role": "assistant", "refusal": "I cannot."}
    [_, plain] = _written(*HELLO, refused)
    [_, after] = _written(*HELLO, {**refused, "content": "Well."})
    [_, own] = _written(*HELLO, refused, quirks=ChatQuirks(refusals=True))
    assert plain == {"role": "assistant", "content": "I cannot."}
    assert after == {"role": "assistant", "content": "Well.\nI cannot."}
    assert own == {"role": "assistant", "content": None, "refusal": "I cannot."}


# --- Tool calls -----------------------------------------------------------------------------


def test_a_call_and_its_result_are_sent_as_they_came() -> None:
    call = _asked(arguments='{"city": "Oslo"}')
    result = {"role": "tool", "tool_call_id": "c1", "content": "Rain"}
    asked = {"role": "assistant", "content": None, "tool_calls": [call]}
    assert _written(*HELLO, asked, result)[1:] == [asked, result]


def test_ids_of_another_form_are_rewritten_alike_in_call_and_result() -> None:
    foreign, own = "toolu_bdrk_01L9pX1Wp4FAEq9TT2Z6UAe7", "D681PevKs"
    messages: list[dict[str, Any]] = [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [_asked(call_id=foreign), _asked(call_id=own)],
        },
        {"role": "tool", "tool_call_id": foreign, "content": "Rain"},
        {"role": "tool", "tool_call_id": own, "content": "Sun"},
    ]
    asked, first, second = _written(*messages, quirks=NINE)
    rewritten, kept = (call["id"] for call in asked["tool_calls"])
    assert rewritten.isalnum()
    assert (len(rewritten), kept) == (9, own)
    assert (first["tool_call_id"], second["tool_call_id"]) == (rewritten, own)


def test_different_ids_stay_different() -> None:
    calls = [_asked(call_id=f"call_{number}") for number in range(200)]
    [written] = _written({"role": "assistant", "content": None, "tool_calls": calls}, quirks=NINE)
    assert len({call["id"] for call in written["tool_calls"]}) == 200


@pytest.mark.parametrize("arguments", ['{"city": "Be', "[1]", "null", '"text"'])
def test_arguments_that_are_no_object_are_sent_empty_with_a_warning(arguments: str) -> None:
    cut = {"role": "assistant", "content": None, "tool_calls": [_asked(arguments=arguments)]}
    encoded = _encoded(*HELLO, cut)
    [call] = encoded.body["messages"][1]["tool_calls"]
    assert call["function"]["arguments"] == "{}"
    field = "messages[1].tool_calls[0].function.arguments"
    assert warned(encoded) == [("parameter_changed", field)]


def test_no_arguments_are_an_empty_object_and_nothing_to_warn_of() -> None:
    encoded = _encoded({"role": "assistant", "content": None, "tool_calls": [_asked(arguments="")]})
    assert encoded.body["messages"][0]["tool_calls"][0]["function"]["arguments"] == "{}"
    assert encoded.warnings == ()


# --- Past reasoning -------------------------------------------------------------------------


def _thought(
    text: str = "", provider: str = "acme", value: str = "[]", form: str = "acme.reasoning_details"
) -> dict[str, Any]:
    return {"text": text, "signature": {"provider": provider, "format": form, "value": value}}


def _answered(reasoning: list[dict[str, Any]], quirks: ChatQuirks, *, call: bool = True) -> Any:  # noqa: ANN401 - a body is any JSON
    answer: dict[str, Any] = {"role": "assistant", "content": "Hm", "reasoning": reasoning}
    if call:
        answer["tool_calls"] = [_asked()]
    return _written(*HELLO, answer, quirks=quirks)[1]


def test_past_reasoning_is_not_sent_unless_the_provider_wants_it() -> None:
    answer = _answered([{"text": "I thought."}], ChatQuirks())
    assert set(answer) == {"role", "content", "tool_calls"}


@pytest.mark.parametrize(
    ("reasoning", "call", "sent"),
    [
        ([{"text": "I "}, {"text": "thought."}], True, "I thought."),
        ([{"text": "I thought."}], False, "I thought."),
        ([], True, " "),
        ([], False, None),
        ([_thought("Not yours.", provider="rival")], True, " "),
    ],
)
def test_reasoning_content_is_sent_and_never_missing_beside_a_call(
    reasoning: list[dict[str, Any]],
    call: bool,  # noqa: FBT001 - a case
    sent: str | None,
) -> None:
    assert _answered(reasoning, CONTENT, call=call).get("reasoning_content") == sent


def test_reasoning_details_go_back_as_they_were_given_out() -> None:
    details = '[{"type":"reasoning.text","text":"Hm","signature":"s","index":0}]'
    more = '[{"type":"reasoning.encrypted","data":"d","index":1}]'
    answer = _answered([_thought("Hm", value=details), _thought(value=more)], DETAILS)
    assert answer["reasoning_details"] == [
        {"type": "reasoning.text", "text": "Hm", "signature": "s", "index": 0},
        {"type": "reasoning.encrypted", "data": "d", "index": 1},
    ]
    assert "reasoning" not in answer


def test_reasoning_without_details_goes_back_as_text() -> None:
    assert _answered([{"text": "Hm"}], DETAILS)["reasoning"] == "Hm"


@pytest.mark.parametrize(
    "thought",
    [
        _thought("Not yours.", provider="rival"),
        _thought(form="acme.signature", value="sig"),
        _thought(value="no JSON"),
        _thought(value='{"type":"reasoning.text"}'),
    ],
)
def test_signatures_that_are_not_this_providers_details_stay_here(thought: dict[str, Any]) -> None:
    assert set(_answered([thought], DETAILS)) == {"role", "content", "tool_calls"}


def test_details_that_cannot_be_read_are_warned_of() -> None:
    answer = {"role": "assistant", "content": "Hm", "reasoning": [_thought(value="no JSON")]}
    assert warned(_encoded(answer, HELLO[0], quirks=DETAILS)) == [
        ("parameter_dropped", "messages[].reasoning")
    ]


def test_the_format_of_a_signature_names_its_provider() -> None:
    assert details_format("openrouter") == "openrouter.reasoning_details"
