"""What clients of Anthropic's API send, as a request of ours."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.errors import RequestError
from adapters.events import ErrorCode, ReasoningSignature
from adapters.request import (
    AssistantMessage,
    ChatRequest,
    Latency,
    NamedToolChoice,
    Reasoning,
    ReasoningOptions,
    Signature,
    Strategy,
    SystemMessage,
    TextPart,
    Tier,
    ToolMessage,
    UseCase,
    UserMessage,
)
from service.dialects.messages_request import read, read_counted
from service.dialects.messages_words import UNSIGNED, signature_data
from service.dialects.seal import sealed

PNG = "iVBORw0KGgo="
KEYS = st.sampled_from(
    [
        "messages",
        "role",
        "content",
        "type",
        "text",
        "source",
        "data",
        "url",
        "tool_use_id",
        "id",
        "name",
        "input",
        "thinking",
        "signature",
        "max_tokens",
        "system",
        "tools",
        "tool_choice",
        "metadata",
        "output_config",
        "format",
        "schema",
        "tailrace_latency",
        "stop_sequences",
        "is_error",
        "budget_tokens",
        "input_schema",
        "model",
        "user",
    ]
)
SIGNED = ReasoningSignature(
    block="b", provider="gemini", format="gemini.thought_signature", value="abc"
)
SIGNATURE = Signature(provider="gemini", format="gemini.thought_signature", value="abc")


def body(*turns: object, **fields: object) -> dict[str, Any]:
    """A request with these turns of the user's and the assistant's, in alternation."""
    roles = ("user", "assistant")
    messages = [{"role": roles[n % 2], "content": content} for n, content in enumerate(turns)]
    return {"model": "auto", "max_tokens": 100, "messages": messages, **fields}


def chat(*turns: object, **fields: object) -> ChatRequest:
    return read(body(*(turns or ("Hi",)), **fields), {})[0]


def text(words: str, **fields: object) -> dict[str, object]:
    return {"type": "text", "text": words, **fields}


def refusal(given: dict[str, Any], routing: dict[str, str] | None = None) -> str:
    """What a body is refused with."""
    with pytest.raises(RequestError) as caught:
        read(given, routing or {})
    assert caught.value.error.code is ErrorCode.INVALID_REQUEST
    assert caught.value.error.http == 400
    assert caught.value.error.param is not None
    assert str(caught.value).startswith(f"{caught.value.error.param}: ")
    return str(caught.value)


# --- The conversation -----------------------------------------------------------------------


def test_a_plain_question_is_a_user_message() -> None:
    asked, streams = read(body("Hi"), {})
    assert asked.messages == [UserMessage(role="user", content="Hi")]
    assert (asked.model, asked.max_tokens, streams) == ("auto", 100, False)


def test_instructions_are_one_message_however_many_blocks_they_come_in() -> None:
    cached = text("Be kind.", cache_control={"type": "ephemeral"})
    asked = chat("Hi", system=[text("Be brief."), cached])
    assert asked.messages[0] == SystemMessage(role="system", content="Be brief.\n\nBe kind.")
    assert chat("Hi", system="Be brief.").messages[0].content == "Be brief."
    assert len(chat("Hi", system="").messages) == 1


def test_instructions_may_stand_among_the_messages() -> None:
    turns = [
        {"role": "user", "content": "Hi"},
        {"role": "system", "content": [text("From now on"), text("in French.")]},
        {"role": "system", "content": "Go."},
    ]
    asked, _ = read(body() | {"messages": turns}, {})
    said = [message.content for message in asked.messages]
    assert said == ["Hi", "From now on\n\nin French.", "Go."]


def test_images_come_as_data_and_as_addresses() -> None:
    inline = {"type": "base64", "media_type": "image/png", "data": PNG}
    asked = chat(
        [
            text("Look:"),
            {"type": "image", "source": inline},
            {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
        ]
    )
    assert isinstance(asked.messages[0], UserMessage)
    urls = [part.image_url.url for part in asked.messages[0].content[1:]]
    assert urls == [f"data:image/png;base64,{PNG}", "https://example.com/a.png"]


def test_documents_and_search_results_become_text() -> None:
    asked = chat(
        [
            {
                "type": "document",
                "title": "Rules",
                "context": "of chess",
                "source": {"type": "text", "media_type": "text/plain", "data": "White moves."},
            },
            {"type": "document", "source": {"type": "content", "content": "Black moves."}},
            {"type": "document", "source": {"type": "content", "content": [text("A"), text("B")]}},
            {
                "type": "search_result",
                "source": "https://example.com",
                "title": "Found",
                "content": [text("a page")],
            },
        ]
    )
    assert asked.messages[0].content == [
        TextPart(type="text", text=words)
        for words in (
            "Rules\nof chess\nWhite moves.",
            "Black moves.",
            "A\nB",
            "Found (https://example.com)\na page",
        )
    ]


def test_a_turn_of_nothing_says_nothing() -> None:
    asked = chat([], [], "Well?", "Hm.", "Well?")
    assert [message.content for message in asked.messages] == ["", [], "Well?", "Hm.", "Well?"]


# --- Tools ----------------------------------------------------------------------------------


def test_calls_and_their_results_keep_ids_and_arguments() -> None:
    call = {"type": "tool_use", "id": "toolu_1", "name": "add", "input": {"a": 2**70, "b": "ü"}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "3"}
    asked = chat("2+1?", [text("Let me see."), call], [text("Go on."), result])
    answered = asked.messages[1]
    assert isinstance(answered, AssistantMessage)
    assert answered.tool_calls is not None
    assert answered.tool_calls[0].id == "toolu_1"
    assert answered.tool_calls[0].function.arguments == '{"a":1180591620717411303424,"b":"ü"}'
    assert asked.messages[2:] == [
        ToolMessage(role="tool", tool_call_id="toolu_1", content="3"),
        UserMessage(role="user", content=[TextPart(type="text", text="Go on.")]),
    ]


def test_results_stand_before_what_they_show_and_what_is_said() -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
    asked = chat(
        "Look",
        [
            {"type": "tool_use", "id": "one", "name": "see", "input": {}},
            {"type": "tool_use", "id": "two", "name": "see", "input": {}},
        ],
        [
            text("Well?"),
            {"type": "tool_result", "tool_use_id": "one", "content": [text("a cat"), image]},
            {"type": "tool_result", "tool_use_id": "two"},
        ],
    )
    one, two, said = asked.messages[2:]
    assert one.content == "a cat\n(The pictures of this result follow.)"
    assert two.content == ""
    assert isinstance(said, UserMessage)
    assert [part.type for part in said.content] == ["text", "image_url", "text"]
    assert said.content[0].text == "The pictures that the tool call one returned:"


def test_a_tool_that_failed_says_so() -> None:
    call = {"type": "tool_use", "id": "one", "name": "see", "input": {}}
    results = [
        {"type": "tool_result", "tool_use_id": "one", "content": "no eyes", "is_error": True},
        {"type": "tool_result", "tool_use_id": "one", "content": [text("blind")], "is_error": True},
    ]
    asked = chat("Look", [call], results)
    assert [m.content for m in asked.messages[2:]] == ["Error: no eyes", "Error: blind"]


def test_a_tool_that_was_searched_for_is_named() -> None:
    call = {"type": "tool_use", "id": "one", "name": "search", "input": {}}
    found = [{"type": "tool_reference", "tool_name": "see"}]
    result = {"type": "tool_result", "tool_use_id": "one", "content": found}
    deferred = {"name": "see", "defer_loading": True}
    asked = chat("Look", [call], [result], tools=[deferred])
    assert asked.messages[2].content == "The tool see can be called."
    assert asked.tools is not None


def test_tools_are_functions_with_their_schema() -> None:
    schema = {"type": "object", "properties": {}}
    tool = {"name": "see", "description": "Look.", "input_schema": schema, "cache_control": {}}
    asked = chat(tools=[tool, {"name": "hear", "type": "custom"}])
    assert asked.tools is not None
    first, second = (tool.function for tool in asked.tools)
    assert (first.name, first.description, first.parameters) == ("see", "Look.", schema)
    assert (second.name, second.parameters) == ("hear", None)


@pytest.mark.parametrize(
    ("choice", "wanted"),
    [
        ({"type": "auto"}, ("auto", None)),
        ({"type": "any"}, ("required", None)),
        ({"type": "none"}, ("none", None)),
        ({"type": "auto", "disable_parallel_tool_use": True}, ("auto", False)),
        ({"type": "any", "disable_parallel_tool_use": False}, ("required", None)),
    ],
)
def test_a_tool_choice_is_the_native_one(choice: object, wanted: object) -> None:
    asked = chat(tools=[{"name": "see"}], tool_choice=choice)
    assert (asked.tool_choice, asked.parallel_tool_calls) == wanted


def test_one_tool_can_be_forced() -> None:
    asked = chat(tools=[{"name": "see"}], tool_choice={"type": "tool", "name": "see"})
    assert isinstance(asked.tool_choice, NamedToolChoice)
    assert asked.tool_choice.function.name == "see"


# --- Thinking -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({}, None),
        ({"thinking": {"type": "disabled"}}, ReasoningOptions(effort="none")),
        ({"thinking": {"type": "between_tools"}}, ReasoningOptions(effort="none")),
        ({"thinking": {"type": "adaptive"}}, ReasoningOptions()),
        (
            {"thinking": {"type": "enabled", "budget_tokens": 2048}},
            ReasoningOptions(max_tokens=2048),
        ),
        (
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}},
            ReasoningOptions(effort="high"),
        ),
        ({"output_config": {"effort": "low"}}, ReasoningOptions(effort="low")),
    ],
)
def test_thinking_and_effort_are_reasoning(
    fields: dict[str, object], wanted: ReasoningOptions | None
) -> None:
    assert chat(**fields).reasoning == wanted


def test_thinking_comes_back_with_whose_it_is() -> None:
    asked = chat(
        "Hi",
        [
            {"type": "thinking", "thinking": "Hm.", "signature": sealed(SIGNED)},
            {"type": "redacted_thinking", "data": sealed(SIGNED)},
            text("Hello."),
        ],
    )
    answered = asked.messages[1]
    assert isinstance(answered, AssistantMessage)
    assert answered.reasoning == [
        Reasoning(text="Hm.", signature=SIGNATURE),
        Reasoning(signature=SIGNATURE),
    ]


@pytest.mark.parametrize("signature", [None, "", UNSIGNED])
def test_thinking_that_nobody_signed_is_kept_as_it_is(signature: str | None) -> None:
    asked = chat("Hi", [{"type": "thinking", "thinking": "Hm.", "signature": signature}, text("A")])
    assert isinstance(asked.messages[1], AssistantMessage)
    assert asked.messages[1].reasoning == [Reasoning(text="Hm.")]


def test_thinking_that_somebody_else_signed_stays_behind() -> None:
    asked = chat(
        "Hi",
        [
            {"type": "thinking", "thinking": "Hm.", "signature": "EqQBCgIYAhIkDm"},
            {"type": "redacted_thinking", "data": "EqQBCgIYAhIkDm"},
            {"type": "thinking", "thinking": "", "signature": ""},
            text("Hello."),
        ],
    )
    assert isinstance(asked.messages[1], AssistantMessage)
    assert asked.messages[1].reasoning is None


def test_the_signature_of_a_call_comes_back_to_it() -> None:
    asked = chat(
        "Hi",
        [
            {"type": "redacted_thinking", "data": signature_data(SIGNED, "functions.see:0")},
            {"type": "redacted_thinking", "data": "tailrace.call:other:damaged"},
            {"type": "tool_use", "id": "functions.see:0", "name": "see", "input": {}},
            {"type": "tool_use", "id": "other", "name": "see", "input": {}},
        ],
    )
    answered = asked.messages[1]
    assert isinstance(answered, AssistantMessage)
    assert answered.tool_calls is not None
    assert [call.signature for call in answered.tool_calls] == [SIGNATURE, None]
    assert answered.reasoning is None


def test_what_anthropic_ran_itself_stays_behind() -> None:
    asked = chat(
        "Hi",
        [
            {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
            {"type": "web_search_tool_result", "tool_use_id": "s", "content": []},
            text("Found."),
        ],
    )
    assert asked.messages[1] == AssistantMessage(
        role="assistant", content=[TextPart(type="text", text="Found.")]
    )


# --- The rest -------------------------------------------------------------------------------


def test_what_is_said_of_the_answer_is_passed_on() -> None:
    asked, streams = read(
        body(
            "Hi",
            stream=True,
            stop_sequences=["END"],
            temperature=0.5,
            top_p=1,
            metadata={"user_id": "u1", "other": "x"},
        ),
        {},
    )
    assert streams
    assert (asked.stop, asked.temperature, asked.top_p, asked.user) == (["END"], 0.5, 1, "u1")
    assert asked.metadata == {}


@pytest.mark.parametrize("place", ["output_format", "output_config"])
def test_an_answer_can_be_held_to_a_schema(place: str) -> None:
    wanted = {"type": "json_schema", "schema": {"type": "object"}}
    asked = chat(**{place: wanted if place == "output_format" else {"format": wanted}})
    assert asked.response_format is not None
    assert asked.response_format.type == "json_schema"
    assert asked.response_format.json_schema.body == {"type": "object"}


def test_fields_that_only_anthropic_knows_are_passed_over() -> None:
    asked = chat(
        top_k=5,
        service_tier="auto",
        container=None,
        context_management={"edits": []},
        betas=["x"],
        mcp_servers=[],
    )
    assert asked == chat()


def test_routing_rides_in_metadata_and_headers_win() -> None:
    metadata = {
        "tailrace_use_case": "analysis",
        "tailrace_budget_tier": "premium",
        "tailrace_latency": '{"strategy": "race", "max_attempts": 2}',
    }
    asked, _ = read(body("Hi", metadata=metadata), {"use_case": "translation"})
    assert (asked.use_case, asked.budget_tier) == (UseCase.TRANSLATION, Tier.PREMIUM)
    assert asked.latency == Latency(strategy=Strategy.RACE, max_attempts=2)


def test_tokens_can_be_counted_without_a_limit_to_them() -> None:
    asked = read_counted({"messages": [{"role": "user", "content": "Hi"}], "system": "Be brief."})
    assert [message.role for message in asked.messages] == ["system", "user"]
    with pytest.raises(RequestError, match="messages: missing"):
        read_counted({})


# --- What is refused ------------------------------------------------------------------------


PICTURE = {"type": "image", "source": {"type": "url", "url": "ftp://a.test"}}
SPOILT = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "!"}}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "messages: missing"),
        (body("Hi", max_tokens=0), "max_tokens: 0 is not allowed; must be at least 1"),
        (body("Hi", temperature=1.5), "temperature: 1.5 is not allowed; must be at most 1"),
        (body("Hi", stream="yes"), "stream: 'yes' is not allowed; must be true or false"),
        (body(5), "messages[0].content: that number is not allowed"),
        (body([5]), "messages[0].content[0]: that number is not allowed"),
        (body([{}]), "messages[0].content[0].type: missing"),
        (body([{"type": ["text"]}]), "messages[0].content[0].type: that array of 1 items"),
        (body([{"type": "text"}]), "messages[0].content[0].text: missing"),
        (
            body("Hi", [{"type": "tool_use", "id": "", "name": "n", "input": {}}]),
            "messages[1].content[0].id: that string is not allowed",
        ),
        (
            body([{"type": "tool_use", "id": "1", "name": "n", "input": {}}]),
            "messages[0].content[0].type: must be text, image, document, search_result, tool_resul",
        ),
        (
            body([{"type": "tool_result", "tool_use_id": "1", "content": [{"type": "hologram"}]}]),
            "messages[0].content[0].content[0].type: must be text, image, document, search_result",
        ),
        (
            body(
                [{"type": "tool_result", "tool_use_id": "1", "content": [{"type": "tool_result"}]}]
            ),
            "messages[0].content[0].content[0].type: must be text, image, document, search_result",
        ),
        (
            body([{"type": "image", "source": {"type": "file", "file_id": "f"}}]),
            "messages[0].content[0].source: must be base64 with media_type and data, or url",
        ),
        (
            body([{"type": "document", "source": {"type": "base64", "data": "JVBER"}}]),
            "messages[0].content[0].source: must be text with data, or content with text blocks",
        ),
        (
            body() | {"messages": [{"role": "system", "content": [{"type": "image"}]}]},
            "messages[0].content[0].source: missing",
        ),
        (
            body() | {"messages": [{"role": "system", "content": [{"type": "hologram"}]}]},
            "messages[0].content[0].type: must be text",
        ),
        (
            body("Hi", tools=[{"type": "web_search_20250305", "name": "web_search"}]),
            "tools[0].type: 'web_search_20250305' is not allowed; must be 'custom'",
        ),
        (body("Hi", tool_choice={"type": "tool"}), "tool_choice.name: missing"),
        (body("Hi", thread={"type": "create"}), "thread: no conversation is kept here"),
        (
            body("Hi", metadata={"tailrace_use_case": "poetry"}),
            "metadata.tailrace_use_case: 'poetry' is not allowed; must be 'classification'",
        ),
        (body("Hi", metadata={"tailrace_latency": "{"}), "metadata.tailrace_latency: "),
        (body([PICTURE]), "messages[0].content[0].source.url: that string is not allowed; must be"),
        (
            body([{"type": "tool_result", "tool_use_id": "t", "content": [SPOILT]}]),
            "messages[0].content[0].content[0].source.data: that string is not allowed; must be",
        ),
    ],
)
def test_what_is_wrong_is_named_as_the_client_wrote_it(given: dict[str, Any], message: str) -> None:
    assert refusal(given).startswith(message)


KINDS = st.sampled_from(
    ["text", "image", "tool_use", "tool_result", "thinking", "user", "assistant", "system", "url"]
)
WILD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | KINDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(KEYS, WILD, max_size=8), st.booleans())
def test_any_body_is_read_or_refused(wild: dict[str, Any], whole: bool) -> None:  # noqa: FBT001 - drawn
    with suppress(RequestError):
        read(body("Hi") | wild if whole else wild, {})
    with suppress(RequestError):
        read_counted(wild)
