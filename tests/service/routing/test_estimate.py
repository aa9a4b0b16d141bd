"""How many tokens a request is thought to be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.routing.estimate import (
    PER_IMAGE,
    PER_MESSAGE,
    PER_SMALL_IMAGE,
    PER_TOOL,
    byte_length,
    has_images,
    input_tokens,
)
from tests.service.routing.market import request

ADDRESS = "https://x.invalid/y.png"


def said(text: str) -> int:
    return input_tokens(request(messages=[{"role": "user", "content": text}])) - PER_MESSAGE


def shown(**detail: str) -> dict[str, object]:
    return {"type": "image_url", "image_url": {"url": ADDRESS} | detail}


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        # What o200k makes of them, by OpenAI's announcement of gpt-4o.
        (
            "Hello, my name is GPT-4o. I'm a new type of language model, it's nice to meet you!",
            24,
        ),
        ("你好,我的名字是GPT-4o。我是一种新型的语言模型,很高兴见到你!", 24),
    ],
)
def test_it_is_within_a_quarter_of_what_a_tokenizer_counts(text: str, tokens: int) -> None:
    assert abs(said(text) - tokens) <= tokens / 4


def test_latin_text_is_four_letters_to_a_token_and_ideographs_are_denser() -> None:
    assert said("word" * 100) == 100
    assert said("字" * 100) == 75


def test_a_long_text_is_measured_by_samples_that_are_close() -> None:
    mixed = ("Zürich, größte Stadt. " * 40 + "东京是日本的首都。" * 40) * 50
    assert byte_length(mixed) == pytest.approx(len(mixed.encode()), rel=0.15)
    assert byte_length("é" * 1_000_000) == 2_000_000


@given(st.text(max_size=200))
def test_a_short_text_is_measured_exactly(text: str) -> None:
    assert byte_length(text) == len(text.encode("utf-8", "surrogatepass"))


def test_half_a_character_is_measured_all_the_same() -> None:
    assert byte_length("\ud83d") == 3


def test_images_count_by_their_detail_and_are_noticed() -> None:
    parts = [{"type": "text", "text": "what"}, shown(), shown(detail="low")]
    seen = request(messages=[{"role": "user", "content": parts}])
    assert input_tokens(seen) == 1 + PER_MESSAGE + PER_IMAGE + PER_SMALL_IMAGE
    assert has_images(seen)
    assert not has_images(request())
    assert not has_images(request(messages=[{"role": "user", "content": parts[:1]}]))


def test_a_data_url_counts_as_an_image_and_not_by_its_length() -> None:
    url = "data:image/png;base64," + "AAAA" * 10_000
    part = {"type": "image_url", "image_url": {"url": url}}
    seen = request(messages=[{"role": "user", "content": [part]}])
    assert input_tokens(seen) == PER_MESSAGE + PER_IMAGE


def test_tools_count_with_their_words_and_schemas() -> None:
    function = {"name": "look", "description": "Look it up", "parameters": {"type": "object"}}
    bare = {"type": "function", "function": {"name": "look"}}
    asked = request(tools=[{"type": "function", "function": function}, bare])
    schema = len('{"type":"object"}')
    size = len("hi") + len("lookLook it up") + schema + len("look")
    assert input_tokens(asked) == -(-size // 4) + PER_MESSAGE + 2 * PER_TOOL


def test_what_was_called_and_thought_before_counts_too() -> None:
    call = {"id": "c", "function": {"name": "look", "arguments": "{}" * 10}}
    turn = {"role": "assistant", "tool_calls": [call], "reasoning": [{"text": "hm" * 4}]}
    assert input_tokens(request(messages=[turn])) == 8 + PER_MESSAGE
