"""A request is validated once: what is wrong is named, what is right is taken as it is."""

from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from adapters.request import (
    MAX_MESSAGES,
    MAX_STOP,
    MAX_TOOLS,
    AfterCommit,
    AssistantMessage,
    ChatRequest,
    ImagePart,
    ImageUrl,
    NamedToolChoice,
    Strategy,
    Tier,
    ToolMessage,
    UseCase,
    UserMessage,
    text_of,
)

HELLO = {"role": "user", "content": "hello"}
PNG = "data:image/png;base64,iVBORw0KGgo="


def read(**fields: object) -> ChatRequest:
    return ChatRequest.model_validate({"messages": [HELLO], **fields})


def faults(**fields: object) -> list[tuple[str, str]]:
    """(path, kind) of everything that is wrong with a request."""
    body = {"messages": [HELLO], **fields}
    with pytest.raises(ValidationError) as caught:
        ChatRequest.model_validate(body)
    return [
        (".".join(str(step) for step in fault["loc"]), fault["type"])
        for fault in caught.value.errors()
    ]


# --- Defaults -------------------------------------------------------------------------------


def test_messages_are_all_a_request_needs() -> None:
    request = read()
    assert request.messages == [UserMessage(role="user", content="hello")]
    assert (request.model, request.use_case, request.budget_tier) == (
        "auto",
        UseCase.CONVERSATION,
        Tier.STANDARD,
    )
    assert request.latency.strategy is Strategy.NORMAL
    assert request.fallback
    assert request.after_commit is None
    assert request.open_early_ms == 5_000
    assert (request.deadlines.connect_ms, request.deadlines.stall_ms) == (5_000, 30_000)
    assert request.deadlines.total_ms == 600_000
    assert request.deadlines.min_tokens_per_s is None


def test_a_request_is_read_from_json_as_from_python() -> None:
    written = b'{"messages":[{"role":"user","content":"hello"}],"use_case":"expert","stop":"x"}'
    assert ChatRequest.model_validate_json(written) == read(use_case="expert", stop="x")


def test_a_request_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        read().model = "other"  # type: ignore[misc]  # what the test is about


# --- What is refused, and by which name -----------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "path", "kind"),
    [
        ({"tempature": 1}, "tempature", "extra_forbidden"),
        ({"messages": []}, "messages", "too_short"),
        ({"messages": [HELLO] * (MAX_MESSAGES + 1)}, "messages", "too_long"),
        ({"messages": "hello"}, "messages", "list_type"),
        ({"messages": [{"role": "robot", "content": ""}]}, "messages.0", "union_tag_invalid"),
        ({"messages": [{"content": ""}]}, "messages.0", "union_tag_not_found"),
        ({"messages": [{"role": "user"}]}, "messages.0.user.content", "missing"),
        ({"messages": [{**HELLO, "x": 1}]}, "messages.0.user.x", "extra_forbidden"),
        ({"max_tokens": "5"}, "max_tokens", "int_type"),
        ({"max_tokens": 0}, "max_tokens", "greater_than_equal"),
        ({"temperature": 2.1}, "temperature", "less_than_equal"),
        ({"top_p": -0.1}, "top_p", "greater_than_equal"),
        ({"fallback": 1}, "fallback", "bool_type"),
        ({"use_case": "poetry"}, "use_case", "enum"),
        ({"budget_tier": "free"}, "budget_tier", "enum"),
        ({"complexity": "hard"}, "complexity", "enum"),
        ({"after_commit": "retry"}, "after_commit", "enum"),
        ({"latency": "fast"}, "latency", "value_error"),
        ({"latency": {"strategy": "fast"}}, "latency.strategy", "enum"),
        ({"latency": {"providers": []}}, "latency.providers", "too_short"),
        ({"latency": {"delay_ms": -1}}, "latency.delay_ms", "greater_than_equal"),
        ({"deadlines": {"total": 5}}, "deadlines.total", "extra_forbidden"),
        ({"deadlines": {"stall_ms": 0}}, "deadlines.stall_ms", "greater_than_equal"),
        ({"on_disconnect": "cancel"}, "on_disconnect", "value_error"),
        ({"on_disconnect": "cancel_after:-1"}, "on_disconnect", "value_error"),
        ({"stop": ["x"] * (MAX_STOP + 1)}, "stop", "too_long"),
        ({"stop": [""]}, "stop.0", "string_too_short"),
        ({"seed": 2**63}, "seed", "less_than"),
        ({"response_format": {"type": "xml"}}, "response_format", "union_tag_invalid"),
        ({"reasoning": {"effort": "maximal"}}, "reasoning.effort", "literal_error"),
        ({"metadata": {"k": 5}}, "metadata.k", "string_type"),
        ({"metadata": {str(n): "" for n in range(33)}}, "metadata", "too_long"),
        ({"model": ""}, "model", "string_too_short"),
        ({"providers": {"only": "groq"}}, "providers.only", "tuple_type"),
    ],
)
def test_what_is_wrong_is_named(fields: dict[str, Any], path: str, kind: str) -> None:
    assert (path, kind) in faults(**fields)


def test_everything_that_is_wrong_is_named_at_once() -> None:
    assert {path for path, _ in faults(nope=1, max_tokens=0, stop=[""])} == {
        "nope",
        "max_tokens",
        "stop.0",
    }


def test_a_complaint_does_not_repeat_the_value() -> None:
    with pytest.raises(ValidationError) as caught:
        read(max_tokens="my secret")
    assert "my secret" not in str(caught.value)


def test_the_most_messages_are_taken() -> None:
    assert len(read(messages=[HELLO] * MAX_MESSAGES).messages) == MAX_MESSAGES


# --- Messages -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "ftp://host/a.png",
        "data:text/plain;base64,aGk=",
        "data:image/png,aGk=",
        "data:image/png;base64,not base64!",
        "image.png",
    ],
)
def test_an_image_is_an_address_or_base64_of_a_known_kind(url: str) -> None:
    image = {"type": "image_url", "image_url": {"url": url}}
    messages = [{"role": "user", "content": [image]}]
    assert faults(messages=messages)[-1][0].endswith("image_url.url")


def test_a_data_url_gives_its_kind_and_payload() -> None:
    assert ImageUrl(url=PNG).data() == ("image/png", "iVBORw0KGgo=")
    assert ImageUrl(url="https://host/a.png").data() is None


def test_a_user_says_a_string_or_parts() -> None:
    parts = [{"type": "text", "text": "what is"}, {"type": "image_url", "image_url": {"url": PNG}}]
    (message,) = read(messages=[{"role": "user", "content": parts}]).messages
    assert isinstance(message, UserMessage)
    assert isinstance(message.content[1], ImagePart)
    assert text_of(message.content) == "what is"


def test_the_text_of_a_message_is_its_text_parts_joined() -> None:
    assert text_of(None) == ""
    assert text_of("hello") == "hello"
    (message,) = read(
        messages=[
            {
                "role": "system",
                "content": [{"type": "text", "text": "be "}, {"type": "text", "text": "kind"}],
            }
        ]
    ).messages
    assert text_of(message.content) == "be kind"


@pytest.mark.parametrize(
    "says",
    [
        {"content": ""},
        {"content": None, "refusal": "no"},
        {"tool_calls": [{"id": "c", "function": {"name": "f", "arguments": ""}}]},
    ],
)
def test_an_assistant_says_something(says: dict[str, Any]) -> None:
    (message,) = read(messages=[{"role": "assistant", **says}]).messages
    assert isinstance(message, AssistantMessage)


def test_an_assistant_that_says_nothing_is_refused() -> None:
    silent: dict[str, Any] = {"role": "assistant", "content": None, "tool_calls": []}
    assert faults(messages=[silent]) == [("messages.0.assistant", "value_error")]


def test_a_tool_result_names_its_call() -> None:
    assert faults(messages=[{"role": "tool", "content": "5"}]) == [
        ("messages.0.tool.tool_call_id", "missing")
    ]
    (message,) = read(messages=[{"role": "tool", "tool_call_id": "c", "content": "5"}]).messages
    assert isinstance(message, ToolMessage)


def test_reasoning_and_signatures_come_back_as_they_were_given() -> None:
    signature = {"provider": "acme", "format": "acme.sig", "value": "x"}
    (message,) = read(
        messages=[
            {
                "role": "assistant",
                "content": "hm",
                "reasoning": [{"text": "thinking", "signature": signature}],
                "tool_calls": [
                    {
                        "id": "c",
                        "type": "function",
                        "function": {"name": "f", "arguments": "{}"},
                        "signature": signature,
                    }
                ],
            }
        ]
    ).messages
    assert isinstance(message, AssistantMessage)
    assert message.reasoning is not None
    assert message.tool_calls is not None
    assert message.reasoning[0].signature == message.tool_calls[0].signature


# --- Tools and formats ----------------------------------------------------------------------


def test_a_tool_is_a_function_with_a_name_that_everybody_can_spell() -> None:
    tool = {"type": "function", "function": {"name": "get_weather", "parameters": {"a": 1}}}
    assert read(tools=[tool]).tools is not None
    named = {"type": "function", "function": {"name": "get weather"}}
    assert ("tools.0.function.name", "string_pattern_mismatch") in faults(tools=[named])
    assert ("tools", "too_long") in faults(tools=[tool] * (MAX_TOOLS + 1))
    assert ("tools.0.type", "literal_error") in faults(tools=[{**tool, "type": "web_search"}])


def test_a_tool_can_be_forced_by_name() -> None:
    assert all(path.startswith("tool_choice") for path, _ in faults(tool_choice="maybe"))
    choice = read(tool_choice={"type": "function", "function": {"name": "f"}}).tool_choice
    assert isinstance(choice, NamedToolChoice)
    assert choice.function.name == "f"


def test_a_schema_keeps_its_name_on_the_wire() -> None:
    given = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}
    written = read(response_format=given).response_format
    assert written is not None
    assert written.model_dump(exclude_none=True) == given


# --- Routing and delivery -------------------------------------------------------------------


def test_a_strategy_can_be_given_alone_or_with_its_options() -> None:
    assert read(latency="race").latency.strategy is Strategy.RACE
    latency = read(latency={"strategy": "hedge", "delay_ms": 5, "max_attempts": 2}).latency
    assert (latency.strategy, latency.delay_ms, latency.max_attempts) == (Strategy.HEDGE, 5, 2)


def test_a_stop_sequence_can_be_given_alone() -> None:
    assert read(stop="END").stop == ["END"]
    assert read(stop=["a", "b"]).stop == ["a", "b"]


def test_what_follows_a_commit_can_be_chosen() -> None:
    assert read(after_commit="continue").after_commit is AfterCommit.CONTINUE


@pytest.mark.parametrize(
    ("policy", "seconds"),
    [
        (None, None),
        ("continue", None),
        ("cancel_after:0", 0.0),
        ("cancel_after:1.5", 1.5),
        ("cancel_after:600", 600.0),
    ],
)
def test_a_disconnect_cancels_after_so_many_seconds_or_never(
    policy: str | None, seconds: float | None
) -> None:
    assert read(on_disconnect=policy).cancel_after == seconds


@pytest.mark.parametrize(
    ("fields", "milliseconds"),
    [
        ({}, 60_000),
        ({"reasoning": {}}, 180_000),
        ({"reasoning": {"effort": "high"}}, 180_000),
        ({"reasoning": {"effort": "none"}}, 60_000),
        ({"reasoning": {}, "deadlines": {"first_content_ms": 5}}, 5),
    ],
)
def test_a_model_that_may_think_has_longer_until_its_first_content(
    fields: dict[str, Any], milliseconds: int
) -> None:
    assert read(**fields).first_content_ms == milliseconds


# --- The schema -----------------------------------------------------------------------------

SCHEMA = Draft202012Validator(ChatRequest.model_json_schema())


@pytest.mark.parametrize(
    "fields",
    [
        {"latency": "hedge"},
        {"latency": {"strategy": "race", "providers": ["openai"]}},
        {"latency": "fast"},
        {"latency": None},
        {"stop": "."},
        {"stop": [".", "!"]},
        {"stop": None},
        {"stop": ""},
        {"stop": 1},
        {"stop": ["."] * (MAX_STOP + 1)},
        {"on_disconnect": "cancel_after:1.5"},
        {"on_disconnect": None},
        {"on_disconnect": "leave"},
        {"messages": [{"role": "assistant", "content": "hello"}]},
        {"messages": [{"role": "assistant", "refusal": "no"}]},
        {"messages": [{"role": "assistant", "content": None, "tool_calls": []}]},
        {"messages": [{"role": "assistant"}]},
        *(
            {"messages": [{"role": "user", "content": [image]}]}
            for image in (
                {"type": "image_url", "image_url": {"url": PNG}},
                {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
                {"type": "image_url", "image_url": {"url": PNG[:-1]}},
                {"type": "image_url", "image_url": {"url": "data:text/plain;base64,aGk="}},
                {"type": "image_url", "image_url": {"url": "ftp://example.com/a.png"}},
            )
        ),
    ],
)
def test_the_schema_lets_through_what_the_validation_does(fields: dict[str, Any]) -> None:
    body = {"messages": [HELLO], **fields}
    try:
        ChatRequest.model_validate(body)
    except ValidationError:
        assert not SCHEMA.is_valid(body)
    else:
        SCHEMA.validate(body)
