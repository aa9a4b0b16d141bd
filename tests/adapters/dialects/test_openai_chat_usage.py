"""Usage objects of the providers, in inclusive counts."""

from decimal import Decimal
from typing import Any

import pytest

from adapters.dialects.openai_chat_quirks import ChatQuirks
from adapters.dialects.openai_chat_usage import read
from adapters.events import Usage

BASE: dict[str, Any] = {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14}


def _read(quirks: ChatQuirks | None = None, **raw: object) -> Usage:
    usage = read(dict(raw), quirks or ChatQuirks())
    assert usage is not None
    return usage


@pytest.mark.parametrize(
    ("more", "field", "count"),
    [
        ({"prompt_tokens_details": {"cached_tokens": 6}}, "input_cached", 6),
        ({"prompt_cache_hit_tokens": 6}, "input_cached", 6),
        ({"cached_tokens": 6}, "input_cached", 6),
        ({"prompt_tokens_details": {"cache_write_tokens": 3}}, "input_cache_write", 3),
        ({"prompt_tokens_details": {"cache_creation_input_tokens": 3}}, "input_cache_write", 3),
        ({"prompt_tokens_details": {"audio_tokens": 2}}, "input_audio", 2),
        ({"completion_tokens_details": {"reasoning_tokens": 3}}, "output_reasoning", 3),
        ({"reasoning_tokens": 3}, "output_reasoning", 3),
        ({"completion_tokens_details": {"audio_tokens": 1}}, "output_audio", 1),
    ],
)
def test_a_count_is_found_where_the_provider_puts_it(
    more: dict[str, Any], field: str, count: int
) -> None:
    assert getattr(_read(**BASE, **more), field) == count


def test_what_is_not_said_is_unknown_and_not_zero() -> None:
    usage = _read(**BASE, prompt_tokens_details=None)
    assert (usage.input_cached, usage.input_cache_write, usage.output_reasoning) == (
        None,
        None,
        None,
    )


def test_reasoning_outside_the_completion_is_known_by_the_total() -> None:
    details = {"reasoning_tokens": 196}
    usage = _read(
        prompt_tokens=291, completion_tokens=26, total_tokens=513, completion_tokens_details=details
    )
    assert (usage.output, usage.output_reasoning) == (222, 196)


@pytest.mark.parametrize(("outside", "output"), [(True, 7), (False, 4)])
def test_without_a_total_the_provider_is_known_for_it_or_not(outside: bool, output: int) -> None:  # noqa: FBT001 - a case
    quirks = ChatQuirks(reasoning_outside_completion=outside)
    usage = _read(quirks, prompt_tokens=10, completion_tokens=4, reasoning_tokens=3)
    assert (usage.output, usage.total) == (output, 10 + output)


def test_a_part_is_never_more_than_its_whole() -> None:
    usage = _read(**BASE, cached_tokens=161, reasoning_tokens=5)
    assert (usage.input_cached, usage.output_reasoning) == (10, 4)
    assert usage.raw is not None
    assert usage.raw["cached_tokens"] == 161


@pytest.mark.parametrize(
    ("stated", "usd"),
    [
        (0.0076509169000000005, "0.0076509169000000005"),
        (1.2e-05, "0.000012"),
        (0, "0"),
        (100, "100"),
        (None, None),
        (True, None),
        ("0.1", None),
        (-1, None),
        ({"total_cost": 0.1}, None),
    ],
)
def test_a_stated_cost_is_a_plain_decimal(stated: object, usd: str | None) -> None:
    assert _read(ChatQuirks(cost_path=("cost",)), **BASE, cost=stated).cost_usd == usd


def test_a_cost_may_be_stated_inside_another_object() -> None:
    """Sonar's form: the parts, and what they come to."""
    quirks = ChatQuirks(cost_path=("cost", "total_cost"))
    assert _read(quirks, **BASE, cost={"request_cost": 0.005, "total_cost": 0.00501}).cost_usd == (
        "0.00501"
    )
    assert _read(quirks, **BASE, cost=0.1).cost_usd is None


def test_a_cost_in_ticks_is_exact() -> None:
    quirks = ChatQuirks(cost_path=("cost_in_usd_ticks",), cost_unit=Decimal("1e-10"))
    assert _read(quirks, **BASE, cost_in_usd_ticks=37756000).cost_usd == "0.0037756"


@pytest.mark.parametrize(
    "raw", [{}, {"prompt_tokens": None}, {"prompt_tokens": "10"}, {"total_tokens": -1}]
)
def test_a_report_without_a_count_is_none(raw: dict[str, Any]) -> None:
    assert read(raw, ChatQuirks()) is None


def test_counts_that_are_no_counts_are_unknown() -> None:
    usage = _read(prompt_tokens=10, completion_tokens=True, total_tokens=2.5)
    assert (usage.input, usage.output, usage.total) == (10, None, None)
