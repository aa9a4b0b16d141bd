"""Quirks as data: their defaults, and that each of them changes something."""

from dataclasses import FrozenInstanceError, fields
from decimal import Decimal
from typing import Any

import pytest

from adapters.dialects.openai_chat_quirks import ALL_EFFORTS, ChatQuirks
from adapters.request import ReasoningOptions
from tests.adapters.dialects.chat_cases import WEATHER, encode


def test_the_defaults_take_everything_a_caller_can_ask_for() -> None:
    encoded = encode(
        max_tokens=10,
        temperature=0.5,
        top_p=0.5,
        stop=["a", "b"],
        seed=1,
        user="u",
        tools=[WEATHER],
        tool_choice="required",
        parallel_tool_calls=False,
        response_format={"type": "json_object"},
    )
    assert encoded.warnings == ()
    assert set(encoded.body) == {
        "model",
        "messages",
        "stream",
        "stream_options",
        "max_tokens",
        "temperature",
        "top_p",
        "stop",
        "seed",
        "user",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "response_format",
    }


def test_the_efforts_are_all_that_a_caller_can_ask_for() -> None:
    assert [ReasoningOptions(effort=effort).effort for effort in ALL_EFFORTS] == [*ALL_EFFORTS]


@pytest.mark.parametrize("field", fields(ChatQuirks), ids=lambda field: field.name)
def test_quirks_are_frozen_and_by_keyword(field: Any) -> None:  # noqa: ANN401 - dataclasses' own
    with pytest.raises(FrozenInstanceError):
        setattr(ChatQuirks(), field.name, None)
    assert field.kw_only


def test_a_cost_is_in_dollars_unless_said_otherwise() -> None:
    assert ChatQuirks().cost_unit == Decimal(1)
