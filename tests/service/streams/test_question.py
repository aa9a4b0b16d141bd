"""What a stream was asked survives being packed, but for what must not lie elsewhere."""

import msgspec
import orjson
import pytest
from pydantic import ValidationError

from adapters.request import ChatRequest
from service.streams.question import LARGEST, Question

MESSAGES = [
    {"role": "system", "content": "Be brief."},
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "And this?"},
            {"type": "image_url", "image_url": {"url": "https://a.test/b.png", "detail": "low"}},
        ],
    },
    {
        "role": "assistant",
        "content": None,
        "reasoning": [{"text": "Hm.", "signature": {"provider": "a", "format": "b", "value": "c"}}],
        "tool_calls": [{"id": "c1", "function": {"name": "add", "arguments": "{}"}}],
    },
    {"role": "tool", "tool_call_id": "c1", "content": "2"},
]


def question(text: str = "hi", *, private: bool = False) -> Question:
    messages = [*MESSAGES, {"role": "user", "content": text}]
    return Question(
        dialect="openai-responses",
        model="auto",
        body={"instructions": "Be brief.", "metadata": {"a": "ü"}, "temperature": 0.5},
        messages=ChatRequest.model_validate({"messages": messages}).messages,
        private=private,
    )


def test_it_is_the_same_when_it_was_packed() -> None:
    assert Question.unpacked(question().packed()) == question()


def test_of_what_is_private_nothing_is_packed_but_that_it_is() -> None:
    packed = question("a secret", private=True).packed()
    assert b"secret" not in packed
    assert b"brief" not in packed
    read = Question.unpacked(packed)
    assert (read.private, read.whole, read.model) == (True, False, "auto")


def test_what_is_too_long_is_known_to_be_missing() -> None:
    room = LARGEST - len(question("").packed())
    assert Question.unpacked(question("x" * room).packed()).whole
    packed = question("x" * (room + 1)).packed()
    assert len(packed) < 200
    read = Question.unpacked(packed)
    assert (read.whole, read.body, read.messages) == (False, {}, [])


@pytest.mark.parametrize("strange", [b"", b"[]", b"{}", b'{"dialect":1}'])
def test_what_is_none_cannot_be_unpacked(strange: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        Question.unpacked(strange)


def test_messages_of_a_kind_to_come_cannot_be_unpacked() -> None:
    packed = orjson.loads(question().packed())
    packed["messages"] = [{"role": "oracle", "content": "42"}]
    with pytest.raises(ValidationError):
        Question.unpacked(orjson.dumps(packed))
