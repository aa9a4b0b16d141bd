"""A body of the Responses API as what is asked."""

from typing import Any

import pytest

from adapters.errors import RequestError, make
from adapters.events import ErrorCode, ReasoningSignature
from adapters.request import AssistantMessage, SystemMessage, ToolMessage, UserMessage
from service.dialects.responses_request import (
    OF_CALL,
    Turn,
    conversation,
    read,
    response_of,
)
from service.dialects.seal import sealed
from tests.service.dialects.responses_streams import no_turn

ITEM = "msg_01JD0000000000000000000000_0"
CALL = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
RESULT = {"type": "function_call_output", "call_id": "c1", "output": "4"}
ASKED = {"role": "user", "content": "hi"}
SIGNATURE = ReasoningSignature(block="b", provider="claude", format="f", value="v", id="i")


def asked(**body: Any) -> Any:  # noqa: ANN401 - any field, and the request that they make
    return read({"input": "hi", **body}, {}, no_turn).chat


def refusal(**body: Any) -> str:  # noqa: ANN401 - any field
    with pytest.raises(RequestError) as caught:
        asked(**body)
    error = caught.value.error
    assert error.http in (400, 404)
    assert error.param is not None
    return f"{error.param} | {error.message}"


# --- The conversation -----------------------------------------------------------------------


def test_a_string_is_what_the_user_says() -> None:
    assert asked().messages == [UserMessage(role="user", content="hi")]


def test_instructions_come_first_and_are_not_part_of_the_conversation() -> None:
    request = read({"input": "hi", "instructions": "Be brief."}, {}, no_turn)
    first = request.chat.messages[0]
    assert isinstance(first, SystemMessage)
    assert first.content == "Be brief."
    assert conversation(request) == request.chat.messages[1:]
    alone = read({"input": "hi"}, {}, no_turn)
    assert conversation(alone) == alone.chat.messages


def test_what_the_assistant_said_in_several_items_is_one_message() -> None:
    items = [
        ASKED,
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "so"}],
            "content": [{"type": "reasoning_text", "text": "hm"}],
            "encrypted_content": sealed(SIGNATURE),
        },
        {"type": "message", "role": "assistant", "content": "Wait."},
        {
            "type": "message",
            "role": "assistant",
            "content": [
                {"type": "output_text", "text": "More."},
                {"type": "refusal", "refusal": "No."},
            ],
        },
        CALL,
        {
            "type": "reasoning",
            "summary": [],
            "encrypted_content": sealed(SIGNATURE) + OF_CALL + "c1",
        },
        RESULT,
    ]
    _, said, result = asked(input=items).messages
    assert isinstance(said, AssistantMessage)
    assert [part.text for part in said.content or () if not isinstance(part, str)] == [
        "Wait.",
        "More.",
    ]
    assert said.refusal == "No."
    assert [thought.text for thought in said.reasoning or ()] == ["so\n\nhm"]
    (call,) = said.tool_calls or ()
    assert (call.id, call.function.name, call.function.arguments) == ("c1", "f", "{}")
    assert call.signature is not None
    assert call.signature.provider == "claude"
    assert isinstance(result, ToolMessage)
    assert result.content == "4"


def test_a_signature_that_is_not_ours_is_passed_over() -> None:
    thought = {"type": "reasoning", "summary": [], "encrypted_content": "gAAAA"}
    said = asked(input=[ASKED, thought, {"role": "assistant", "content": "x"}]).messages[1]
    assert said.reasoning[0].signature is None


def test_reasoning_alone_is_no_message() -> None:
    thought = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "so"}]}
    assert len(asked(input=[ASKED, thought]).messages) == 1


def test_images_and_texts_stay_parts() -> None:
    content = [
        {"type": "input_text", "text": "what?"},
        {"type": "input_image", "image_url": "https://a.example/b.png", "detail": "low"},
        {"type": "input_image", "image_url": "https://a.example/c.png", "detail": "original"},
    ]
    (said,) = asked(input=[{"role": "user", "content": content}]).messages
    _, first, second = said.content
    assert (first.image_url.url, first.image_url.detail) == ("https://a.example/b.png", "low")
    assert second.image_url.detail is None


def test_a_result_in_parts_is_its_text() -> None:
    result = {**RESULT, "output": [{"type": "input_text", "text": "4"}]}
    assert asked(input=[ASKED, CALL, result]).messages[-1].content[0].text == "4"


def test_a_turn_is_continued_with_its_answer_and_its_calls() -> None:
    before = asked(input=[ASKED, CALL, RESULT]).messages
    output = [{"id": ITEM, "type": "message", "role": "assistant", "content": "four"}]
    body = {"previous_response_id": "resp_1", "input": [RESULT]}
    chat = read(body, {}, lambda _: Turn(before, output)).chat
    assert [one.role for one in chat.messages] == [
        "user",
        "assistant",
        "tool",
        "assistant",
        "tool",
    ]


def test_a_turn_may_be_continued_without_a_word() -> None:
    body = {"previous_response_id": "resp_1"}
    chat = read(body, {}, lambda _: Turn(asked().messages, [])).chat
    assert len(chat.messages) == 1


def test_a_referenced_item_is_taken_from_its_answer() -> None:
    seen = []

    def earlier(response: str) -> Turn:
        seen.append(response)
        return Turn([], [{"id": ITEM, "type": "message", "role": "assistant", "content": "four"}])

    items = [ASKED, {"type": "item_reference", "id": ITEM}, ASKED]
    chat = read({"input": items}, {}, earlier).chat
    assert chat.messages[1].content == "four"
    assert seen == [response_of(ITEM)] == ["resp_01JD0000000000000000000000"]


@pytest.mark.parametrize("name", ["msg_67ccd3", ITEM[:-1] + "7"])
def test_a_reference_to_nothing_is_refused(name: str) -> None:
    items = [ASKED, {"type": "item_reference", "id": name}]
    with pytest.raises(RequestError, match="not found") as caught:
        read({"input": items}, {}, lambda _: Turn([], [{"id": ITEM}]))
    assert caught.value.error.code is ErrorCode.NOT_FOUND


def test_an_earlier_answer_that_is_gone_is_told_as_who_looked_says_it() -> None:
    def gone(_: str) -> Turn:
        raise RequestError(make(ErrorCode.NOT_FOUND, "gone", param="previous_response_id"))

    with pytest.raises(RequestError, match="gone"):
        read({"input": "hi", "previous_response_id": "resp_1"}, {}, gone)


# --- Parameters -----------------------------------------------------------------------------

FUNCTION = {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": True}


def test_functions_are_offered_in_their_native_form() -> None:
    chat = asked(tools=[FUNCTION], tool_choice={"type": "function", "name": "f"})
    (tool,) = chat.tools
    assert (tool.function.name, tool.function.strict) == ("f", True)
    assert chat.tool_choice.function.name == "f"
    assert asked(tools=[FUNCTION], tool_choice="required").tool_choice == "required"


def test_allowed_tools_are_the_only_ones_offered() -> None:
    choice = {"type": "allowed_tools", "mode": "required", "tools": [{"name": "g"}]}
    chat = asked(tools=[FUNCTION, {**FUNCTION, "name": "g"}], tool_choice=choice)
    assert [tool.function.name for tool in chat.tools] == ["g"]
    assert chat.tool_choice == "required"


def test_formats_are_read_from_text() -> None:
    schema = {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True}
    assert asked(text={"format": schema}).response_format.json_schema.name == "n"
    assert asked(text={"format": {"type": "json_object"}}).response_format.type == "json_object"
    assert asked(text={"verbosity": "low"}).response_format is None


def test_plain_parameters_get_their_native_names() -> None:
    chat = asked(
        model="auto:analysis",
        max_output_tokens=64,
        temperature=0.5,
        top_p=0.9,
        parallel_tool_calls=False,
        user="old",
        safety_identifier="new",
        reasoning={"effort": "low", "summary": "auto"},
        metadata={"mine": "1", "tailrace_budget_tier": "premium"},
        truncation="auto",
        unknown=1,
    )
    assert (chat.model, chat.max_tokens, chat.user) == ("auto:analysis", 64, "new")
    assert (chat.temperature, chat.top_p, chat.parallel_tool_calls) == (0.5, 0.9, False)
    assert (chat.reasoning.effort, chat.budget_tier) == ("low", "premium")
    assert chat.metadata == {"mine": "1"}


def test_headers_win_over_metadata() -> None:
    body = {"input": "hi", "metadata": {"tailrace_use_case": "analysis"}}
    assert read(body, {"use_case": "expert"}, no_turn).chat.use_case == "expert"


def test_only_what_runs_in_the_background_goes_on_without_its_reader() -> None:
    assert asked(background=True).on_disconnect == "continue"
    assert asked().on_disconnect is None


def test_an_answer_repeats_what_tunes_it_and_not_what_was_said() -> None:
    request = read({"input": "hi", "store": False, "stream": True, "user": None}, {}, no_turn)
    assert request.body == {"store": False}
    assert request.streams


# --- Refusals -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"input": None}, "input | input: missing"),
        ({"input": []}, "input | input: missing"),
        ({"input": 7}, "input | input: that number is not allowed; must be an array"),
        ({"input": ["hi"]}, "input[0] | input[0]: that string is not allowed; must be an object"),
        ({"input": [{"type": "computer_call"}]}, "input[0].type | input[0].type: 'computer_call'"),
        ({"input": [{}]}, "input[0].type | input[0].type: null is not served here"),
        (
            {"input": [{"role": "critic", "content": "x"}]},
            "input[0].role | input[0].role: 'critic'",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_file"}]}]},
            "input[0].content[0].type | input[0].content[0].type: 'input_file' is not served",
        ),
        (
            {"input": [{"role": "system", "content": [{"type": "input_image"}]}]},
            "input[0].content[0].type | input[0].content[0].type: 'input_image' is not",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]},
            "input[0].content[0].image_url | input[0].content[0].image_url: missing",
        ),
        (
            {
                "input": [
                    {"role": "user", "content": [{"type": "input_image", "image_url": "ftp:"}]}
                ]
            },
            "input[0].content[0].image_url | input[0].content[0].image_url: that string is not",
        ),
        ({"input": [{**CALL, "name": 1}]}, "input[0].name | input[0].name: that number"),
        ({"input": [RESULT]}, "input | input: no tool call found for function call output 'c1'"),
        ({"temperature": 3}, "temperature | temperature: 3 is not allowed; must be at most 2"),
        ({"max_output_tokens": 0}, "max_output_tokens | max_output_tokens: 0 is not allowed"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type | tools[0].type: 'web_search'"),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type | text.format.type: 'xml'"),
        (
            {"input": [{**CALL, "call_id": "c" * 257}]},
            "input[0].call_id | input[0].call_id: that string is not allowed; must be a string of",
        ),
        ({"tools": [{"type": "function", "name": "a b"}]}, "tools[0].name | tools[0].name: 'a b'"),
        (
            {"text": {"format": {"type": "json_schema", "name": "a b", "schema": {}}}},
            "text.format.name | text.format.name: 'a b'",
        ),
        ({"tool_choice": {"type": "function"}}, "tool_choice.name | tool_choice.name: null"),
        ({"safety_identifier": "u" * 513}, "safety_identifier | safety_identifier: 'uuu"),
        ({"user": "u" * 513}, "user | user: 'uuu"),
        ({"instructions": 0}, "instructions | instructions: that number is not allowed"),
        ({"instructions": []}, "instructions | instructions: [] is not allowed"),
        ({"text": "json"}, "text | text: 'json' is not allowed; must be an object"),
        ({"text": {"format": "x"}}, "text.format | text.format: 'x' is not allowed"),
        ({"stream": "yes"}, "stream | stream: 'yes' is not allowed; must be true or false"),
        ({"conversation": "conv_1"}, "conversation | conversation: is not served here"),
        (
            {"instructions": ["be brief"]},
            "instructions | instructions: that array of 1 items is not",
        ),
        ({"frequency_penalty": "much"}, "frequency_penalty | frequency_penalty: 'much' is not"),
        ({"store": 1}, "store | store: 1 is not allowed; must be true or false"),
        ({"truncation": "some"}, "truncation | truncation: 'some' is not allowed; must be"),
        ({"top_logprobs": 2}, "top_logprobs | top_logprobs: no answer tells log probabilities"),
        ({"include": ["message.output_text.logprobs"]}, "include | include: no answer tells log"),
        ({"background": True, "store": False}, "background | background: must be false"),
    ],
)
def test_a_refusal_names_the_field_as_the_caller_wrote_it(
    body: dict[str, object], told: str
) -> None:
    assert refusal(**body).startswith(told)


def test_a_user_s_part_that_is_none_is_told_what_the_user_may_send() -> None:
    said = refusal(input=[{"role": "user", "content": [{"type": "zz"}]}])
    assert "'zz' is not served here; must be one of input_text, " in said
    assert said.endswith(", input_image")
    system = refusal(input=[{"role": "system", "content": [{"type": "zz"}]}])
    assert not system.endswith(", input_image")
