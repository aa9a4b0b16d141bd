"""Halves of characters in JSON."""

import orjson
import pytest

from adapters.surrogates import mended


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (rb'"a\ud83d"', "a\ufffd"),
        (rb'"\uDE00b"', "\ufffdb"),
        (rb'"\ud83d\ud83d\ude00"', "\ufffd\U0001f600"),
        (rb'"\ude00\ud83d"', "\ufffd\ufffd"),
        (rb'"\ud83d\n\\ud83d"', "\ufffd\n\\ud83d"),
    ],
    ids=["first", "second", "before a pair", "in the wrong order", "beside an escaped backslash"],
)
def test_a_half_becomes_the_replacement_character(payload: bytes, text: str) -> None:
    written = mended(payload)
    assert written is not None
    assert orjson.loads(written) == text


@pytest.mark.parametrize("payload", [rb'"\ud83d\ude00"', rb'"\\ud83d"', rb'"\u00e4"', b"{", b"\\"])
def test_what_has_no_half_is_left_as_it_is(payload: bytes) -> None:
    assert mended(payload) is None
