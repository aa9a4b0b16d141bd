"""Usage is read as it was written, and what was not written is unknown."""

from decimal import Decimal

import pytest

from adapters.dialects.openai_responses_quirks import ResponsesQuirks
from adapters.dialects.openai_responses_usage import read
from adapters.events import UsageSource

PLAIN = ResponsesQuirks()


def test_every_count_has_its_place() -> None:
    raw = {
        "input_tokens": 100,
        "input_tokens_details": {"cached_tokens": 40, "cache_write_tokens": 10},
        "output_tokens": 30,
        "output_tokens_details": {"reasoning_tokens": 20},
        "total_tokens": 130,
    }
    usage = read(raw, PLAIN)
    assert (usage.input, usage.input_cached, usage.input_cache_write) == (100, 40, 10)
    assert (usage.output, usage.output_reasoning, usage.total) == (30, 20, 130)
    assert (usage.requests, usage.source, usage.raw) == (1, UsageSource.PROVIDER, raw)
    assert usage.cost_usd is None


def test_what_is_written_to_the_cache_has_two_names() -> None:
    details = {"cache_creation_input_tokens": 7}
    assert read({"input_tokens_details": details}, PLAIN).input_cache_write == 7


@pytest.mark.parametrize("raw", [{}, {"input_tokens": None}, {"input_tokens": -1}])
def test_what_was_not_counted_is_unknown(raw: dict[str, object]) -> None:
    usage = read(raw, PLAIN)
    assert (usage.input, usage.output, usage.total, usage.input_cached) == (None,) * 4


@pytest.mark.parametrize("odd", ["5", 5.0, True, [5], {"n": 5}])
def test_what_is_no_count_is_unknown(odd: object) -> None:
    raw = {"output_tokens": odd, "output_tokens_details": odd}
    assert (read(raw, PLAIN).output, read(raw, PLAIN).output_reasoning) == (None, None)


@pytest.mark.parametrize(
    ("stated", "unit", "cost"),
    [
        (5143500, "1e-10", "0.00051435"),
        (0.00105, "1", "0.00105"),
        (1e-07, "1", "0.0000001"),
        (0, "1", "0"),
        (12, "1", "12"),
        (-1, "1", None),
        ("0.5", "1", None),
        (True, "1", None),
        (None, "1", None),
        (float("inf"), "1", None),
    ],
)
def test_a_stated_cost_is_an_exact_decimal(stated: object, unit: str, cost: str | None) -> None:
    quirks = ResponsesQuirks(cost_path=("cost", "total"), cost_unit=Decimal(unit))
    assert read({"cost": {"total": stated}}, quirks).cost_usd == cost
    assert read({"cost": stated}, quirks).cost_usd is None
