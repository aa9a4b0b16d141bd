"""The record of waits: exact curves by hand, decay by invented times, and the trap it avoids."""

from bisect import bisect_right
from itertools import pairwise
from math import exp, isclose, log
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.hedging import delay
from service.hedging.delay import (
    BUCKETS,
    GROWTH,
    SCALES,
    SHORTEST,
    Delays,
    DelaySettings,
    Key,
    Waits,
    bucket_of,
    size_of,
)

KEY = Key("a", "m", 0, reasoning=False)
LONG = Key("a", "m", 3, reasoning=False)
OLD = 20.0
"""When a record that began at 0 is believed, whatever its size."""


def edge(bucket: int) -> float:
    """Upper edge, seconds."""
    return SHORTEST * GROWTH ** (bucket + 1)


def seeded(seed: int) -> Random:
    return Random(seed)  # noqa: S311 - a case's luck, nobody's secret


def waits() -> Waits:
    return Waits(memory=900.0, memory_samples=500)


# --- Buckets and sizes ---


@given(st.floats(0.0201, 60.0))
def test_a_time_lies_in_the_bucket_below_whose_edge_it_is(seconds: float) -> None:
    bucket = bucket_of(seconds)
    assert edge(bucket - 1) * (1 - 1e-9) <= seconds <= edge(bucket) * (1 + 1e-9)


def test_what_lies_outside_counts_as_the_nearest() -> None:
    assert bucket_of(0.0) == bucket_of(SHORTEST) == 0
    assert bucket_of(64.0) == bucket_of(1e9) == BUCKETS - 1
    assert 63 < edge(BUCKETS - 1) < 65


@pytest.mark.parametrize(
    ("tokens", "size"), [(0, 0), (999, 0), (1_000, 1), (4_000, 2), (15_999, 2), (16_000, 3)]
)
def test_prompts_are_of_four_sizes(tokens: int, size: int) -> None:
    assert size_of(tokens) == size
    assert len(SCALES) == 4


# --- One record ---


def test_the_share_still_silent_falls_at_each_answer_by_its_part_of_those_still_waiting() -> None:
    record = waits()
    for seconds in (0.1, 0.2, 0.4):
        record.answered(seconds, 0.0)
    record.given_up(0.3, 0.0)
    curve = record.survival()
    assert curve[bucket_of(0.05)] == 1.0
    assert isclose(curve[bucket_of(0.1)], 3 / 4)
    assert isclose(curve[bucket_of(0.2)], 3 / 4 * 2 / 3)
    # The one given up at 0.3 s waits no more: the last answer takes all that are left.
    assert isclose(curve[bucket_of(0.3)], 1 / 2)
    assert curve[bucket_of(0.4)] == 0.0


def test_a_record_of_nothing_but_the_given_up_says_that_all_are_still_silent() -> None:
    record = waits()
    record.given_up(1.0, 0.0)
    assert set(record.survival()) == {1.0}


def test_a_sample_fades_with_time_where_there_are_many() -> None:
    record = waits()
    for second in range(1_000):
        record.answered(0.1, float(second))
    # The sum of exp(-t / 900) over a second each.
    assert isclose(record.count, (1 - exp(-1_000 / 900)) / (1 - exp(-1 / 900)), rel_tol=1e-9)


def test_a_sample_fades_with_the_next_ones_where_they_are_few() -> None:
    record = waits()
    for sample in range(1_000):
        record.answered(0.1, sample * 3_600.0)
    assert isclose(record.count, (1 - exp(-2)) / (1 - exp(-1 / 500)), rel_tol=1e-9)


def test_weights_stay_finite_however_long_it_runs() -> None:
    record = waits()
    for sample in range(100_000):
        record.answered(0.1 if sample < 99_000 else 0.2, sample * 10.0)
    assert isclose(record.count, 1 / (1 - exp(-1 / 500)), rel_tol=1e-6)
    assert isclose(record.survival()[bucket_of(0.1)], 1 - exp(-2), rel_tol=1e-2)


def test_a_clock_that_stands_still_or_goes_back_does_no_harm() -> None:
    record = waits()
    record.answered(0.1, 100.0)
    record.answered(0.1, 50.0)
    assert record.count == 2.0


@given(
    st.lists(st.tuples(st.booleans(), st.floats(0.0, 100.0), st.floats(0.0, 1e5)), max_size=50),
)
def test_a_curve_only_falls(samples: list[tuple[bool, float, float]]) -> None:
    record = waits()
    for answered, seconds, now in samples:
        (record.answered if answered else record.given_up)(seconds, now)
    curve = record.survival()
    assert len(curve) == BUCKETS
    assert all(1.0 >= high >= low >= 0.0 for high, low in pairwise(curve))


# --- The delay ---


def taught(times: list[float], key: Key = KEY, **settings: float) -> Delays:
    delays = Delays(DelaySettings(**settings))
    for seconds in times:
        delays.answered(key, seconds, 0.0)
    return delays


def test_the_delay_is_when_the_budgets_share_is_still_silent() -> None:
    times = [0.1 * (number + 1) / 10 for number in range(200)]  # 10 ms to 2 s
    estimate = taught(times).estimate(KEY, OLD)
    assert estimate.learned
    assert 1.9 <= estimate.delay <= 1.9 * GROWTH
    assert 1.6 <= estimate.late <= 1.6 * GROWTH
    assert 0.99 <= (estimate.quantile(0.5) or 0.0) <= 1.01 * GROWTH
    assert estimate.silent(1.0) == pytest.approx(0.5, abs=0.02)


def test_with_few_samples_the_delay_is_the_cold_one_times_the_prompts_scale() -> None:
    delays = taught([0.1] * 49)
    assert [delays.estimate(KEY._replace(size=size), OLD).delay for size in range(4)] == [
        2.0,
        3.0,
        5.0,
        8.0,
    ]
    assert not delays.estimate(KEY, OLD).learned


def test_nobody_is_called_late_by_a_guess() -> None:
    assert Delays().estimate(KEY, OLD).late == 8.0


def test_a_guess_agrees_with_itself() -> None:
    estimate = Delays().estimate(LONG, OLD)
    assert estimate.silent(estimate.delay) == pytest.approx(0.05, rel=0.1)
    assert estimate.quantile(0.5) == pytest.approx(8.0 * log(0.5) / log(0.05), rel=0.05)


def test_a_size_without_samples_of_its_own_takes_the_models_scaled() -> None:
    delays = taught([1.0] * 60)
    assert delays.estimate(LONG, OLD).delay == pytest.approx(4.0, rel=0.05)
    assert delays.estimate(LONG, OLD).silent(2.0) == 1.0
    assert delays.estimate(LONG, OLD).silent(4.5) == 0.0


def test_reasoning_and_other_models_are_learned_apart() -> None:
    delays = taught([0.3] * 60)
    for other in (
        KEY._replace(reasoning=True),
        KEY._replace(model="n"),
        KEY._replace(provider="b"),
    ):
        assert not delays.estimate(other, OLD).learned


def test_the_delay_stays_within_its_bounds() -> None:
    assert taught([0.03] * 60).estimate(KEY, OLD).delay == 0.15
    assert taught([20.0] * 60).estimate(KEY, OLD).delay == 8.0
    assert taught([60.0] * 60, LONG).estimate(LONG, OLD).delay == 32.0


def test_a_record_that_never_comes_down_to_the_share_is_clamped() -> None:
    delays = taught([0.3] * 50)
    for _ in range(50):
        delays.given_up(KEY, 0.1, 0.0)
        delays.given_up(KEY, 9.0, 0.0)
    estimate = delays.estimate(KEY, OLD)
    assert estimate.quantile(0.05) is None
    assert estimate.delay == 8.0


def test_a_young_record_is_not_believed_because_the_slow_ones_are_still_out() -> None:
    delays = taught([0.3] * 60)
    assert not delays.estimate(KEY, 3.99).learned
    assert delays.estimate(KEY, 5.0).learned
    late = taught([0.3] * 60, LONG)
    assert not late.estimate(LONG, 15.99).learned
    assert late.estimate(LONG, 17.0).learned


def test_an_estimate_is_used_for_a_second() -> None:
    delays = taught([0.3] * 60)
    first = delays.estimate(KEY, OLD)
    for _ in range(500):
        delays.answered(KEY, 3.0, 0.5)
    assert delays.estimate(KEY, OLD + 0.99) is first
    assert delays.estimate(KEY, OLD + 1.0).delay == pytest.approx(3.0, rel=0.05)


def test_models_that_anybody_may_name_do_not_fill_the_memory() -> None:
    delays = Delays()
    for number in range(delay.MOST_KEYS + 10):
        delays.answered(KEY, 0.3, 0.0)
        key = KEY._replace(model=f"invented-{number}")
        delays.given_up(key, 1.0, 0.0)
        delays.estimate(key, OLD)
    assert len(delays._waits) <= delay.MOST_KEYS
    assert delays.estimate(KEY, OLD).learned  # what is in use is kept


def test_leaving_out_what_was_given_up_makes_the_delay_run_away_and_counting_it_does_not() -> None:
    """Hedged after the delay, the slow are cancelled: what they would have taken is not seen."""

    def settled(*, censoring: bool) -> float:
        random, delays, now = seeded(7), Delays(), 0.0
        silent: list[bool] = []
        for _ in range(30_000):
            now += 0.05
            wait = delays.estimate(KEY, now).delay
            first = random.lognormvariate(-0.8, 0.5)
            first += random.lognormvariate(1.1, 0.9) if random.random() < 0.03 else 0.0
            hedge = wait + random.lognormvariate(-0.5, 0.4)
            silent.append(first > wait)
            if first <= hedge:
                delays.answered(KEY, first, now)
            elif censoring:
                delays.given_up(KEY, hedge, now)
        return sum(silent[10_000:]) / 20_000

    assert 0.043 < settled(censoring=True) < 0.052
    assert settled(censoring=False) > 0.065


def test_sizes_and_scales_match() -> None:
    assert bisect_right(delay.SIZES, 1e9) == len(SCALES) - 1
