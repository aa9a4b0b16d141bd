"""Quirks as data: their defaults, and that each of them changes something."""

from dataclasses import fields
from decimal import Decimal
from typing import Any

import pytest

from adapters.contract import Model
from adapters.dialects.openai_responses import OpenAIResponses
from adapters.dialects.openai_responses_quirks import ALL_EFFORTS, ResponsesQuirks
from adapters.request import ReasoningOptions
from tests.adapters.dialects.chat_cases import WEATHER, call

REQUEST: dict[str, object] = {
    "messages": [
        {"role": "system", "content": "Be brief."},
        {
            "role": "assistant",
            "tool_calls": [{"id": "c", "function": {"name": "now", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "c", "content": "noon"},
    ],
    "max_tokens": 10,
    "temperature": 0.5,
    "user": "u",
    "tools": [WEATHER],
    "response_format": {"type": "json_object"},
    "reasoning": {"effort": "none"},
}
OF_THE_REQUEST: dict[str, object] = {
    "path": "/agent",
    "store": None,
    "obfuscation_off": True,
    "encrypted_reasoning": False,
    "summary": None,
    "instruction_role": "system",
    "efforts": ("low",),
    "sampling_unless_reasoning": True,
    "min_output_tokens": 16,
    "user_field": "safety_identifier",
    "unsupported": frozenset({"user"}),
    "format_field": "response_format",
    "response_formats": frozenset({"text"}),
    "named_outputs": True,
    "presets": frozenset({"thinker"}),
    "tools": ({"type": "web_search"},),
    "extra": {"service_tier": "auto"},
}
OF_THE_ANSWER = {"runs_own_tools", "cost_path", "cost_unit"}


def test_every_quirk_is_of_the_request_or_of_the_answer() -> None:
    assert {field.name for field in fields(ResponsesQuirks)} == {*OF_THE_REQUEST, *OF_THE_ANSWER}


@pytest.mark.parametrize(("name", "value"), OF_THE_REQUEST.items(), ids=OF_THE_REQUEST)
def test_a_quirk_of_the_request_changes_it(name: str, value: object) -> None:
    model = Model(id="thinker", reasoning="optional", sampling=False)
    effort = "low" if name == "summary" else "none"
    made = call(model=model, request={**REQUEST, "reasoning": {"effort": effort}})
    changed: dict[str, Any] = {name: value}
    plain = OpenAIResponses().encode(made)
    quirky = OpenAIResponses(quirks=ResponsesQuirks(**changed)).encode(made)
    assert (quirky.path, quirky.body) != (plain.path, plain.body)


def test_the_efforts_are_all_that_a_caller_can_ask_for() -> None:
    assert [ReasoningOptions(effort=effort).effort for effort in ALL_EFFORTS] == [*ALL_EFFORTS]


def test_a_cost_is_in_dollars_unless_said_otherwise() -> None:
    assert ResponsesQuirks().cost_unit == Decimal(1)
