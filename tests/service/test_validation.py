"""What is wrong with a body, as typed errors."""

import orjson
import pytest
from pydantic import ValidationError

from adapters.events import Error, ErrorCode
from adapters.request import ChatRequest
from service.validation import of_validation

SAID = {"role": "user", "content": "x"}


@pytest.mark.parametrize(
    ("document", "param"),
    [
        ({"messages": [SAID], "colour": 1}, "colour"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": 1}]}]},
            "messages[0].content",
        ),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
        ({"messages": [SAID], "stop": [1]}, "stop"),
        ({"messages": [SAID], "tools": [{"type": "function"}]}, "tools[0].function"),
        ({"messages": "hi"}, "messages"),
        ({}, "messages"),
    ],
)
def test_a_validation_error_names_the_field_as_the_caller_wrote_it(
    document: dict[str, object], param: str
) -> None:
    with pytest.raises(ValidationError) as failure:
        ChatRequest.model_validate_json(orjson.dumps(document))
    error = of_validation(failure.value)
    assert error.code is ErrorCode.INVALID_REQUEST
    assert error.param is not None
    assert error.param.startswith(param)
    assert error.message.startswith(error.param)


def refusal(body: bytes) -> Error:
    with pytest.raises(ValidationError) as failure:
        ChatRequest.model_validate_json(body)
    return of_validation(failure.value)


def told(**fields: object) -> str:
    return refusal(orjson.dumps({"messages": [SAID], **fields})).message


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"latency": "fast"},
            "latency: 'fast' is not allowed; must be one of normal, hedge, race, or an object",
        ),
        (
            {"latency": 5},
            "latency: 5 is not allowed; must be one of normal, hedge, race, or an object",
        ),
        ({"stop": 5}, "stop: 5 is not allowed; must be a string or an array of strings"),
        (
            {"after_commit": "retry"},
            "after_commit: 'retry' is not allowed; must be 'restart', 'continue' or 'fail'",
        ),
        (
            {"tool_choice": "maybe"},
            (
                "tool_choice: 'maybe' is not allowed; must be 'none', 'auto' or 'required', or an "
                "object"
            ),
        ),
        (
            {"tool_choice": {"type": "x", "function": {"name": "f"}}},
            "tool_choice.type: 'x' is not allowed; must be 'function'",
        ),
        (
            {"response_format": {"type": "xml"}},
            (
                "response_format.type: 'xml' is not allowed; must be one of 'text', 'json_object', "
                "'json_schema'"
            ),
        ),
        ({"response_format": {}}, "response_format.type: missing"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "n"}}},
            "response_format.json_schema.schema: missing",
        ),
        (
            {"providers": {"only": ["groq"] * 65}},
            "providers.only: that array of 65 items is not allowed; must be at most 64 items",
        ),
        ({"metadata": {"Text": 5}}, "metadata.Text: 5 is not allowed; must be a string"),
        (
            {"user": "u" * 513},
            f"user: '{'u' * 63}…' is not allowed; must be a string of at most 512 characters",
        ),
        ({"Colour": 1}, "Colour: no such field"),
        ({"c" * 900: 1}, f"{'c' * 64}: no such field"),
    ],
)
def test_a_refusal_names_the_field_its_value_and_what_is_allowed(
    fields: dict[str, object], message: str
) -> None:
    assert told(**fields) == message


@pytest.mark.parametrize("written", ["NaN", "Infinity"])
def test_what_is_no_number_is_not_said_to_be_too_large_alone(written: str) -> None:
    body = f'{{"messages": [{{"role": "user", "content": "x"}}], "temperature": {written}}}'
    message = refusal(body.encode()).message
    assert message.endswith("is not allowed; must be a finite number, at most 2")


@pytest.mark.parametrize(
    "messages",
    [
        "my secret",
        ["my secret"],
        [{"role": "my secret"}],
        [{"role": "user", "content": {"my": "my secret"}}],
        [{"role": "user", "content": [{"type": "my secret"}]}],
        [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "my secret"}}]}],
        [{"role": "user", "content": "x", "name": ["my secret"]}],
        [{"role": "assistant", "reasoning": "my secret"}],
    ],
)
def test_nothing_of_a_conversation_is_repeated(messages: object) -> None:
    message = told(messages=messages)
    assert message.startswith("messages")
    assert "is not allowed; must be" in message
    assert "secret" not in message


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'"my secret"', "the body: that string is not allowed; must be an object"),
        (b'{"my secret"', "the body: not JSON: EOF while parsing an object at line 1 column 12"),
    ],
)
def test_a_body_that_is_no_object_is_not_repeated_either(body: bytes, message: str) -> None:
    error = refusal(body)
    assert (error.message, error.param) == (message, None)


@pytest.mark.parametrize(
    ("body", "column"), [(rb'{"model":"a\ud83d"}', 18), (rb'{"model":"\ude00"}', 16)]
)
def test_half_a_character_is_told_as_what_it_is(body: bytes, column: int) -> None:
    assert refusal(body).message == (
        r"the body: not JSON: one of the escapes \ud800 to \udfff stands without its other half"
        f" at line 1 column {column}, as in a text that was cut inside an emoji"
        " (JavaScript: text.toWellFormed())"
    )


def test_further_problems_are_counted_and_named() -> None:
    with pytest.raises(ValidationError) as failure:
        ChatRequest.model_validate_json(b'{"messages":[],"a":1,"b":2}')
    assert "(and 2 more: a, b)" in of_validation(failure.value).message


def test_of_very_many_problems_the_first_ones_are_counted() -> None:
    message = told(**{f"no_{number:03}": 1 for number in range(300)})
    assert message == (
        "no_000: no such field (and 99 or more: no_001, no_002, no_003, no_004, no_005)"
    )
