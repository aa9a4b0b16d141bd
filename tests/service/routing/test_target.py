"""The forms of the `model` field."""

import pytest

from adapters.errors import RequestError
from adapters.events import ErrorCode
from adapters.request import Tier, UseCase
from service.routing.target import Auto, Bare, Pinned, Target, parse

KNOWN = {"groq", "openai", "qwen"}


@pytest.mark.parametrize(
    ("model", "target"),
    [
        ("auto", Auto()),
        ("auto:analysis", Auto(UseCase.ANALYSIS)),
        ("auto:analysis@premium", Auto(UseCase.ANALYSIS, Tier.PREMIUM)),
        ("groq/auto", Pinned("groq", None)),
        ("groq/fast", Pinned("groq", "fast")),
        ("groq/qwen/qwen3.8-27b", Pinned("groq", "qwen/qwen3.8-27b")),
        ("meta-llama/llama-9", Bare("meta-llama/llama-9")),
        ("gpt-6-luna", Bare("gpt-6-luna")),
    ],
)
def test_each_form_is_told_apart_by_its_first_segment(model: str, target: Target) -> None:
    assert parse(model, KNOWN) == target


@pytest.mark.parametrize(
    ("model", "code", "said"),
    [
        ("auto:poetry", ErrorCode.INVALID_REQUEST, "'poetry' is not one of classification"),
        ("auto:analysis@cheap", ErrorCode.INVALID_REQUEST, "'cheap' is not one of ultra_economy"),
        ("auto:", ErrorCode.INVALID_REQUEST, "''"),
        ("preset:none", ErrorCode.NOT_FOUND, "'none'"),
        ("groq/", ErrorCode.INVALID_REQUEST, "names no model"),
    ],
)
def test_a_form_that_names_nothing_is_refused_with_what_is_allowed(
    model: str, code: ErrorCode, said: str
) -> None:
    with pytest.raises(RequestError) as refusal:
        parse(model, KNOWN)
    assert refusal.value.error.code is code
    assert refusal.value.error.param == "model"
    assert said in refusal.value.error.message
