"""The forms of the `model` field."""

import pytest

from adapters.errors import RequestError
from adapters.events import ErrorCode
from adapters.request import Tier, UseCase
from service.routing.target import Auto, Bare, Pinned, Preset, Wanted, parse

KNOWN = {"groq", "openai", "qwen"}


@pytest.mark.parametrize(
    ("model", "wanted"),
    [
        ("auto", Auto()),
        ("auto:analysis", Auto(UseCase.ANALYSIS)),
        ("auto:analysis@premium", Auto(UseCase.ANALYSIS, Tier.PREMIUM)),
        ("preset:tester", Preset("tester")),
        ("preset:product-manager", Preset("product_manager")),
        ("groq/auto", Pinned("groq", None)),
        ("groq/fast", Pinned("groq", "fast")),
        ("groq/qwen/qwen3.8-27b", Pinned("groq", "qwen/qwen3.8-27b")),
        ("meta-llama/llama-9", Bare("meta-llama/llama-9")),
        ("gpt-6-luna", Bare("gpt-6-luna")),
    ],
)
def test_each_form_is_told_apart_by_its_first_segment(model: str, wanted: Wanted) -> None:
    assert parse(model, KNOWN) == wanted


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("auto:poetry", "'poetry' is not one of classification"),
        ("auto:analysis@cheap", "'cheap' is not one of ultra_economy"),
        ("auto:", "''"),
        ("groq/", "'groq/' names no model: <provider>/<model> or <provider>/auto"),
        ("groq/auto:analysis", "'groq/auto:analysis' is none of the forms: <provider>/<model> or"),
        ("groq/auto@premium", "auto:<use_case>@<tier> and preset:<name> without a provider"),
        ("groq/preset:tester", "is none of the forms"),
        ("groq/auto:" + "x" * 200, "x' is none of the forms"),
    ],
)
def test_a_form_that_names_nothing_is_refused_with_what_is_allowed(model: str, said: str) -> None:
    with pytest.raises(RequestError) as refusal:
        parse(model, KNOWN)
    assert refusal.value.error.code is ErrorCode.INVALID_REQUEST
    assert refusal.value.error.param == "model"
    assert said in refusal.value.error.message
