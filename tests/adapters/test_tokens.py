"""Usage is merged within an attempt, added across attempts, and never guessed."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from adapters import tokens
from adapters.events import Usage, UsageSource

_COUNTS = ("input", "input_cached", "input_cache_write", "input_audio")
_OUTPUTS = ("output", "output_reasoning", "output_audio", "total")


def usage(**fields: object) -> Usage:
    known = msgspec.structs.replace(tokens.UNKNOWN, source=UsageSource.PROVIDER)
    return msgspec.structs.replace(known, **fields)


_USAGES = st.builds(
    usage,
    **dict.fromkeys((*_COUNTS, *_OUTPUTS), st.none() | st.integers(0, 10**6)),
    source=st.sampled_from(list(UsageSource)),
)


def test_an_unknown_count_is_null_and_not_zero() -> None:
    assert msgspec.to_builtins(tokens.UNKNOWN) == {
        "input": None,
        "input_cached": None,
        "input_cache_write": None,
        "output": None,
        "output_reasoning": None,
        "total": None,
        "requests": 1,
        "source": "none",
    }


# --- Two reports of one attempt -------------------------------------------------------------


def test_a_first_report_stands_as_it_is() -> None:
    report = usage(input=5)
    assert tokens.merge(None, report) is report


def test_a_later_report_replaces_what_it_knows_and_keeps_the_rest() -> None:
    start = usage(input=10, input_cached=4, output=1, cost_usd="0.5")
    merged = tokens.merge(start, usage(input=12, output=30, total=42))
    assert merged == usage(input=12, input_cached=4, output=30, total=42, cost_usd="0.5")


def test_the_same_report_twice_counts_once() -> None:
    report = usage(input=10, output=5, total=15)
    assert tokens.merge(report, report) == report


def test_a_zero_is_a_count_and_replaces() -> None:
    assert tokens.merge(usage(input_cached=4), usage(input_cached=0)).input_cached == 0


def test_the_later_report_s_source_and_raw_form_are_kept() -> None:
    later = usage(output=1, source=UsageSource.COUNTED, raw={"o": 1})
    merged = tokens.merge(usage(input=1, raw={"i": 1}), later)
    assert (merged.source, merged.raw) == (UsageSource.COUNTED, {"o": 1})


@given(reports=st.lists(_USAGES, min_size=1, max_size=5))
def test_merged_reports_never_hold_more_than_one_of_them_said(reports: list[Usage]) -> None:
    merged: Usage | None = None
    for report in reports:
        merged = tokens.merge(merged, report)
    assert merged is not None
    assert merged.requests == 1
    for name in (*_COUNTS, *_OUTPUTS):
        said = [count for report in reports if (count := getattr(report, name)) is not None]
        assert getattr(merged, name) == (said[-1] if said else None)


# --- Different attempts ---------------------------------------------------------------------


def test_attempts_are_added() -> None:
    total = tokens.total([usage(input=10, output=5, total=15), usage(input=10, output=1, total=11)])
    assert total == usage(input=20, output=6, total=26, requests=2)


def test_what_only_some_attempts_know_is_the_sum_of_those() -> None:
    total = tokens.total([usage(input=10), tokens.UNKNOWN, usage(output=3)])
    assert (total.input, total.output, total.total, total.requests) == (10, 3, None, 3)


def test_a_total_is_as_trustworthy_as_its_weakest_part() -> None:
    total = tokens.total([usage(), usage(source=UsageSource.ESTIMATED), usage()])
    assert total.source is UsageSource.ESTIMATED


def test_money_is_not_added_where_only_tokens_are() -> None:
    assert tokens.total([usage(cost_usd="1"), usage(cost_usd="2")]).cost_usd is None


def test_no_attempts_are_no_requests_of_which_nothing_is_known() -> None:
    assert tokens.total([]) == msgspec.structs.replace(tokens.UNKNOWN, requests=0)


@given(attempts=st.lists(_USAGES, max_size=6), cut=st.integers(0, 6))
def test_a_total_of_totals_is_the_total(attempts: list[Usage], cut: int) -> None:
    whole = tokens.total(attempts)
    parts = tokens.total([tokens.total(attempts[:cut]), tokens.total(attempts[cut:])])
    for name in (*_COUNTS, *_OUTPUTS, "requests"):
        assert getattr(parts, name) == getattr(whole, name)
