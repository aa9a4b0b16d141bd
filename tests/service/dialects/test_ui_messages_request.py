"""What `useChat` sends, as the conversation that a provider is told."""

from typing import Any

import pytest

from adapters.errors import RequestError
from adapters.request import ChatRequest, Strategy, Tier, UseCase
from service.dialects.ui_messages_request import chat_request

PNG = "data:image/png;base64,AAAA"


def words(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def user(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"id": "u", "role": "user", "parts": list(parts) or [words("Hi")]}


def assistant(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"id": "a", "role": "assistant", "parts": list(parts)}


def tool(state: str, **fields: object) -> dict[str, Any]:
    return {"type": "tool-see", "toolCallId": "t1", "state": state, "input": {"a": 1}, **fields}


def read(*messages: dict[str, Any], **fields: object) -> ChatRequest:
    return chat_request({"id": "c", "messages": list(messages), **fields}, {})


def turns(*messages: dict[str, Any], **fields: object) -> list[dict[str, Any]]:
    """The native messages, without what is not set."""
    return [
        message.model_dump(exclude_none=True, exclude_defaults=True)
        for message in read(*messages, **fields).messages
    ]


def refusal(*messages: dict[str, Any], **fields: object) -> str:
    with pytest.raises(RequestError) as refused:
        read(*messages, **fields)
    assert refused.value.error.http == 400
    return str(refused.value)


# --- The conversation -----------------------------------------------------------------------


def test_words_and_images_of_the_user_are_told_in_their_order() -> None:
    shown = {"type": "file", "mediaType": "image/png", "url": PNG, "filename": "a.png"}
    far = {"type": "file", "mediaType": "image", "url": "https://a.example/b"}
    (told,) = turns(user(words("See"), shown, far))
    assert told["content"] == [
        words("See"),
        {"type": "image_url", "image_url": {"url": PNG}},
        {"type": "image_url", "image_url": {"url": "https://a.example/b"}},
    ]


def test_what_only_the_page_knows_is_passed_over() -> None:
    told = turns(
        user(words("Hi"), {"type": "data-x", "data": 1}),
        assistant(
            {"type": "source-url", "sourceId": "s", "url": "u"},
            {"type": "file", "mediaType": "text/plain", "url": "data:,x"},
            words("Hello"),
            {"type": "of-kinds-to-come", "text": 5},
        ),
        user({"type": "data-x", "data": 1}),
        user(words("Again")),
    )
    assert [message["role"] for message in told] == ["user", "assistant", "user"]
    assert told[1]["content"] == "Hello"


def test_a_system_prompt_comes_first_wherever_it_is_said() -> None:
    said = {"id": "s", "role": "system", "parts": [words("Be "), words("brief.")]}
    empty = {"id": "s", "role": "system", "parts": []}
    told = turns(said, empty, user(), system="Be kind.")
    assert [message["content"] for message in told[:2]] == ["Be kind.", "Be brief."]
    assert told[2]["role"] == "user"


def test_each_step_is_a_turn_with_the_results_of_its_tools() -> None:
    told = turns(
        user(),
        assistant(
            {"type": "step-start"},
            {"type": "reasoning", "text": "hm"},
            words("Let me see."),
            tool("output-available", output={"b": 2}),
            {"type": "step-start"},
            words("Done."),
        ),
    )
    assert told[1:] == [
        {
            "role": "assistant",
            "content": "Let me see.",
            "reasoning": [{"text": "hm"}],
            "tool_calls": [{"id": "t1", "function": {"name": "see", "arguments": '{"a":1}'}}],
        },
        {"role": "tool", "tool_call_id": "t1", "name": "see", "content": '{"b":2}'},
        {"role": "assistant", "content": "Done."},
    ]


def test_what_the_user_said_meanwhile_stands_where_it_was_heard() -> None:
    heard = {"type": "steering-message", "id": "x", "parts": [words("Shorter.")]}
    told = turns(user(), assistant(words("Long"), heard, {"type": "step-start"}, words("Short")))
    assert [message["role"] for message in told] == ["user", "assistant", "user", "assistant"]


@pytest.mark.parametrize(
    ("part", "answer"),
    [
        (tool("output-available", output="plain"), "plain"),
        (tool("output-available", output={"n": 2**70}), '{"n":1180591620717411303424}'),
        (tool("output-error", errorText="no luck"), "no luck"),
        (tool("output-denied"), "The user did not allow this tool call."),
        (tool("output-denied", approval={"id": "p", "reason": "Not now."}), "Not now."),
        (tool("approval-responded", approval={"id": "p", "approved": False, "reason": "No"}), "No"),
        ({**tool("output-available", output=1), "type": "dynamic-tool", "toolName": "see"}, "1"),
    ],
)
def test_a_tools_answer_is_told_whatever_it_is(part: dict[str, Any], answer: str) -> None:
    told = turns(user(), assistant(part))
    assert told[1]["tool_calls"][0]["function"]["name"] == "see"
    assert told[2]["content"] == answer


@pytest.mark.parametrize(
    "part",
    [
        tool("input-streaming"),
        tool("input-available"),
        tool("approval-requested"),
        tool("approval-responded", approval={"id": "p", "approved": True}),
        tool("output-available", output=1, providerExecuted=True),
    ],
)
def test_a_call_that_nobody_answered_is_left_out(part: dict[str, Any]) -> None:
    told = turns(user(), assistant(words("Wait"), part), user())
    assert told[1] == {"role": "assistant", "content": "Wait"}


def test_thoughts_alone_are_no_turn() -> None:
    assert len(turns(user(), assistant({"type": "reasoning", "text": "hm"}))) == 1


@pytest.mark.parametrize(
    ("fields", "arguments"),
    [
        ({"input": None, "rawInput": '{"a"'}, '{"a"'),
        ({"input": "not json"}, "not json"),
        ({"input": None}, "{}"),
        ({"input": {}}, "{}"),
        ({"input": {"n": 2**70}}, '{"n":1180591620717411303424}'),
    ],
)
def test_arguments_go_back_as_they_came(fields: dict[str, Any], arguments: str) -> None:
    told = turns(user(), assistant(tool("output-error", errorText="x", **fields)))
    assert told[1]["tool_calls"][0]["function"]["arguments"] == arguments


@pytest.mark.parametrize("metadata", [{}, {"tailrace": 5}, {"tailrace": {"signature": "stray"}}])
def test_a_signature_that_is_not_ours_is_dropped(metadata: dict[str, Any]) -> None:
    thought = {"type": "reasoning", "text": "hm", "providerMetadata": metadata}
    assert turns(user(), assistant(thought, words("x")))[1]["reasoning"] == [{"text": "hm"}]


# --- Fields beside it -----------------------------------------------------------------------


def test_the_fields_of_the_native_request_are_taken_by_their_names() -> None:
    chat = read(
        user(),
        trigger="submit-message",
        sessionId="an application's own",
        model="claude/auto",
        use_case="analysis",
        budget_tier="premium",
        latency={"strategy": "hedge"},
        temperature=0.5,
        user={"an": "application's"},
    )
    assert (chat.model, chat.use_case, chat.budget_tier) == (
        "claude/auto",
        UseCase.ANALYSIS,
        Tier.PREMIUM,
    )
    assert (chat.latency.strategy, chat.temperature, chat.user) == (Strategy.HEDGE, 0.5, None)


def test_headers_win_over_metadata_which_may_hold_anything_else() -> None:
    metadata = {"tailrace_use_case": "analysis", "tailrace_budget_tier": "premium", "own": [1]}
    body = {"messages": [user()], "metadata": metadata}
    chat = chat_request(body, {"use_case": "translation"})
    assert (chat.use_case, chat.budget_tier) == (UseCase.TRANSLATION, Tier.PREMIUM)
    assert chat.metadata == {}


def test_tools_are_a_list_or_a_map_of_names() -> None:
    schema = {"type": "object"}
    as_map = {"see": {"description": "Look.", "inputSchema": schema}, "go": {"parameters": schema}}
    native = [{"type": "function", "function": {"name": "see", "parameters": schema}}]
    told = read(user(), tools=as_map).tools
    assert told is not None
    assert [(t.function.name, t.function.description, t.function.parameters) for t in told] == [
        ("see", "Look.", schema),
        ("go", None, schema),
    ]
    (listed,) = read(user(), tools=native).tools or ()
    assert listed.function.name == "see"


# --- Refusals -------------------------------------------------------------------------------


def test_what_is_wrong_is_named_as_the_page_wrote_it() -> None:
    assert refusal(user({"type": "text", "text": 5})).startswith("messages[0].parts[0].text: ")
    assert refusal(user(), {"role": "tool", "parts": []}).startswith("messages[1].role: ")
    assert refusal(user({"text": "x"})).startswith("messages[0].parts[0].type: missing")
    assert refusal(user({"type": 5})).startswith("messages[0].parts[0].type: ")
    assert refusal({"id": "u", "role": "user", "parts": ["x"]}).startswith("messages[0].parts[0]: ")
    assert refusal(user(), temperature="hot").startswith("temperature: 'hot'")
    assert refusal().startswith("messages: ")
    assert refusal(user(), tools={"see": 5}) == "tools.see: must be an object"
    assert refusal(user(), tools={"a b": {}}).startswith("tools.a b: 'a b' is not allowed")
    bad = {"see": {}, "hear": {"inputSchema": 5}, "feel": {}}
    assert refusal(user(), tools=bad).startswith("tools.hear.inputSchema: 5 is not allowed")
    bad = {"see": {"parameters": 5}}
    assert refusal(user(), tools=bad).startswith("tools.see.parameters: 5 is not allowed")


def test_a_conversation_without_a_word_for_a_model_is_refused() -> None:
    assert refusal(user({"type": "data-x", "data": 1})).startswith("messages: no message says")


def test_a_file_that_is_no_image_is_refused_by_its_kind_and_an_address_by_its_form() -> None:
    paper = {"type": "file", "mediaType": "application/pdf", "url": "https://a.example"}
    assert refusal(user(words("x"), paper)).startswith("messages[0].parts[1].mediaType: ")
    bad = {"type": "file", "mediaType": "image/png", "url": "ftp://a.example"}
    said = "messages[0].parts[0].url: that string is not allowed; must be an http(s) address"
    assert refusal(user(bad)).startswith(said)
    steered = {"type": "steering-message", "id": "x", "parts": [bad]}
    assert refusal(user(), assistant(steered)).startswith("messages[1].parts[0].parts[0].url: ")
