"""What speaks against a target, and how much of the traffic leaves it: dialogues with exact times.

Only the deciding: who tells the facts is the hedger's test, what it does to the tail the bench's.
"""

from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.errors import RULES, Action, make
from adapters.events import Error, ErrorCode
from adapters.ratelimits import RateLimits, Window
from service.routing.health import (
    MOST_TARGETS,
    Expectation,
    Health,
    HealthSettings,
    Standing,
    State,
    Target,
)

A, B, C = (Target(name, "m") for name in "abc")
BROKEN = make(ErrorCode.UPSTREAM_5XX, "broken")
LIMITED = make(ErrorCode.RATE_LIMIT_PROVIDER, "slow down")
REFUSED = make(ErrorCode.AUTH_PROVIDER, "bad key")
SPENT = make(ErrorCode.QUOTA_PROVIDER, "no credit")

IN_TIME, LATE, VERY_LATE, NEVER = 0.5, 1.5, 4.0, None
"""Seconds to the first token, of which more than one is late and more than three very late."""


def failures(health: Health, target: Target, count: int, now: float = 0.0) -> None:
    for _ in range(count):
        health.failed(target, BROKEN, now)


def answers(health: Health, target: Target, count: int, now: float = 0.0) -> None:
    for _ in range(count):
        health.succeeded(target, now)


def asked(
    health: Health, target: Target, took: float | None, count: int, *, start: float = 0.0
) -> float:
    """So many attempts, one a second, each told to its end; when the last one is over."""
    now = start
    for number in range(count):
        now = start + number
        expectation = health.expect(target, now, 1.0)
        if took is None:
            now += 3.0
            health.lateness(target, now)
        else:
            now += took
            health.lateness(target, now)
            expectation.heard = now
            health.succeeded(target, now)
    now += 3.0
    health.lateness(target, now)
    return now


def state(health: Health, target: Target, now: float) -> State:
    return health.standing(target, now).state


def slow(*targets: Target) -> Health:
    """Targets whose tokens have been late for so long that all agree, at 33.0."""
    health = Health()
    for target in targets:
        asked(health, target, LATE, 30)
        assert state(health, target, 33.0) is State.SLOW
    return health


def firsts(
    health: Health, preference: list[Target], *, start: float, seconds: float, rate: float = 20.0
) -> Counter[Target]:
    """Who is asked first, of the requests of so many seconds."""
    count = round(seconds * rate)
    times = [start + (number + 1) / rate for number in range(count)]
    return Counter(preference[health.order(preference, now)[0]] for now in times)


# --- The breaker ---


def test_all_are_well_as_long_as_nothing_is_known() -> None:
    health = Health()
    assert health.standing(A, 0.0) == Standing(State.CLOSED)
    assert (health.lateness(A, 0.0), health.drag(A, 0.0)) == (0.0, 0.0)
    assert health.order([A, B, C], 0.0) == [0, 1, 2]
    assert health.order([], 0.0) == []


def test_half_of_ten_attempts_open_the_breaker() -> None:
    health = Health()
    answers(health, A, 5)
    failures(health, A, 4)
    assert state(health, A, 0.0) is State.CLOSED
    failures(health, A, 1)
    assert state(health, A, 0.0) is State.OPEN


def test_nine_failures_open_nothing() -> None:
    health = Health()
    failures(health, A, 9)
    assert state(health, A, 0.0) is State.CLOSED
    failures(health, A, 1)
    assert state(health, A, 0.0) is State.OPEN


def test_fewer_than_half_open_nothing() -> None:
    health = Health()
    for _ in range(50):
        answers(health, A, 3)
        failures(health, A, 2)
    assert state(health, A, 0.0) is State.CLOSED


def test_only_the_attempts_of_the_last_thirty_seconds_count() -> None:
    health = Health()
    failures(health, A, 9, now=0.0)
    failures(health, A, 1, now=30.0)
    assert state(health, A, 30.0) is State.CLOSED
    failures(health, B, 9, now=0.0)
    failures(health, B, 1, now=29.9)
    assert state(health, B, 29.9) is State.OPEN


def test_old_failures_are_not_held_against_new_answers() -> None:
    health = Health()
    failures(health, A, 9, now=0.0)
    answers(health, A, 9, now=31.0)
    failures(health, A, 1, now=31.0)
    assert state(health, A, 31.0) is State.CLOSED


def test_old_answers_do_not_outweigh_new_failures() -> None:
    health = Health()
    answers(health, A, 100, now=0.0)
    failures(health, A, 10, now=31.0)
    assert state(health, A, 31.0) is State.OPEN


def test_three_answers_in_a_row_close_the_breaker() -> None:
    health = Health()
    failures(health, A, 10)
    answers(health, A, 2, now=6.0)
    failures(health, A, 1, now=7.0)
    answers(health, A, 2, now=8.0)
    assert state(health, A, 8.0) is State.OPEN
    answers(health, A, 1, now=9.0)
    assert state(health, A, 9.0) is State.CLOSED


def test_a_breaker_that_closed_takes_ten_new_attempts_to_open() -> None:
    health = Health()
    failures(health, A, 10)
    answers(health, A, 3)
    failures(health, A, 9)
    assert state(health, A, 0.0) is State.CLOSED
    failures(health, A, 1)
    assert state(health, A, 0.0) is State.OPEN


def test_an_open_target_may_be_tried_five_seconds_after_the_last_bad_news() -> None:
    health = Health()
    failures(health, A, 10, now=0.0)
    failures(health, A, 1, now=2.0)
    standing = health.standing(A, 2.0)
    assert standing == Standing(State.OPEN, 7.0)
    assert not standing.usable(6.9)
    assert standing.usable(7.0)


def test_a_provider_s_models_do_not_answer_for_each_other() -> None:
    health = Health()
    failures(health, A, 10)
    assert state(health, Target(A.provider, "other"), 0.0) is State.CLOSED


# --- Silence ---


def test_ten_late_in_a_row_and_none_answered_are_an_outage() -> None:
    health = Health()
    for number in range(10):
        health.expect(A, number / 20, 1.0)
    assert state(health, A, 1.44) is State.CLOSED
    # At 20 requests a second: half a second after the first was late.
    standing = health.standing(A, 1.45)
    assert standing == Standing(State.OPEN, 6.45, ErrorCode.TIMEOUT_FIRST_TOKEN)


def test_an_answer_that_comes_late_is_no_silence() -> None:
    health = Health()
    expectations = [health.expect(A, number / 20, 1.0) for number in range(11)]
    health.lateness(A, 1.2)
    health.succeeded(A, 1.3)
    expectations[0].heard = 1.3
    assert state(health, A, 1.45) is not State.OPEN


def test_what_has_come_by_the_time_somebody_looks_is_no_silence() -> None:
    health = Health()
    for number in range(20):
        health.expect(A, number / 20, 1.0).heard = 2.0
    assert state(health, A, 10.0) is State.SLOW


def test_the_first_answer_ends_a_silence() -> None:
    health = Health()
    asked(health, A, NEVER, 9)
    assert state(health, A, 12.0) is not State.OPEN
    now = asked(health, A, NEVER, 1, start=12.0)
    assert state(health, A, now) is State.OPEN
    health.succeeded(A, now)
    assert state(health, A, now) is not State.OPEN


def test_a_late_token_is_told_by_nobody_and_counted_all_the_same() -> None:
    health = Health()
    health.expect(A, 0.0, 1.0)
    assert health.lateness(A, 0.99) == 0.0
    assert health.lateness(A, 1.0) == pytest.approx(0.07)


def test_what_is_no_longer_waited_for_says_nothing() -> None:
    health = Health()
    for _ in range(20):
        health.expect(A, 0.0, 1.0).dropped = 0.9
    assert health.lateness(A, 10.0) == 0.0
    assert state(health, A, 10.0) is State.CLOSED


def test_what_was_dropped_once_it_was_late_was_late() -> None:
    health = Health()
    for _ in range(10):
        health.expect(A, 0.0, 1.0).dropped = 1.1
    assert state(health, A, 1.1) is State.OPEN


def test_a_process_that_was_late_itself_forgets_whom_it_expected() -> None:
    health = Health()
    for target in (A, B):
        for _ in range(10):
            health.expect(target, 0.0, 1.0)
    health.unsure()
    for target in (A, B):
        assert health.lateness(target, 2.0) == 0.0
        assert state(health, target, 2.0) is State.CLOSED


def test_the_expectations_of_a_target_nobody_asks_about_do_not_pile_up() -> None:
    health = Health()
    for number in range(1_000):
        health.expect(A, number * 10.0, 1.0).heard = number * 10.0
    assert len(health._records[A].expected) == 1


# --- Slowness ---


def test_a_target_is_slow_when_more_than_sixty_percent_are_late() -> None:
    health, now, trace = Health(), 0.0, list[tuple[float, State]]()
    for _ in range(30):
        now = asked(health, A, LATE, 1, start=now)
        trace.append((health.lateness(A, now), state(health, A, now)))
    assert {said for late, said in trace if late <= 0.60} == {State.CLOSED}
    assert {said for late, said in trace if late > 0.60} == {State.SLOW}


def test_a_slow_target_is_well_again_below_forty_percent() -> None:
    health = slow(A)
    now, trace = 33.0, list[tuple[float, State]]()
    for _ in range(10):
        now = asked(health, A, IN_TIME, 1, start=now)
        trace.append((health.lateness(A, now), state(health, A, now)))
    assert {said for late, said in trace if late >= 0.40} == {State.SLOW}
    assert {said for late, said in trace if late < 0.40} == {State.CLOSED}


def test_a_fifth_late_is_a_good_day() -> None:
    health, now = Health(), 0.0
    for _ in range(100):
        now = asked(health, A, LATE, 1, start=now)
        now = asked(health, A, IN_TIME, 4, start=now)
        assert state(health, A, now) is State.CLOSED


def test_nobody_is_called_slow_on_fewer_than_ten() -> None:
    health = Health(HealthSettings(late_step=0.5))
    now = asked(health, A, LATE, 9)
    assert state(health, A, now) is State.CLOSED
    now = asked(health, A, LATE, 1, start=now)
    assert state(health, A, now) is State.SLOW


def test_a_slow_target_is_usable() -> None:
    assert slow(A).standing(A, 33.0).usable(33.0)


def test_three_times_late_is_very_late() -> None:
    late, very = Health(), Health()
    asked(late, A, LATE, 20)
    asked(very, A, VERY_LATE, 20)
    assert late.drag(A, 24.0) == 0.0
    assert very.drag(A, 24.0) > 0.5
    asked(very, A, IN_TIME, 10, start=24.0)
    assert very.drag(A, 37.0) < 0.5


def test_whoever_was_dropped_before_very_late_says_nothing_of_it() -> None:
    health = Health()
    for _ in range(5):
        health.expect(A, 0.0, 1.0).dropped = 2.0
    assert health.lateness(A, 10.0) > 0.0
    assert health.drag(A, 10.0) == 0.0


def test_lateness_counts_for_thirty_seconds() -> None:
    health = Health()
    health.expect(A, 0.0, 1.0)
    assert health.lateness(A, 30.9) > 0.0
    assert health.drag(A, 30.9) > 0.0
    assert (health.lateness(A, 31.0), health.drag(A, 31.0)) == (0.0, 0.0)


# --- What the provider says ---


@pytest.mark.parametrize(
    "code", [code for code, rule in RULES.items() if rule.action is not Action.FAILOVER]
)
def test_what_is_not_the_provider_s_fault_changes_nothing(code: ErrorCode) -> None:
    health = Health()
    for _ in range(20):
        health.failed(A, make(code, "the caller's own", retry_after_ms=60_000), 0.0)
    assert health.standing(A, 0.0) == Standing(State.CLOSED)


@pytest.mark.parametrize(
    "code",
    [
        code
        for code, rule in RULES.items()
        if rule.action is Action.FAILOVER
        and code
        not in {ErrorCode.RATE_LIMIT_PROVIDER, ErrorCode.AUTH_PROVIDER, ErrorCode.QUOTA_PROVIDER}
    ],
)
def test_what_is_the_provider_s_fault_opens_the_breaker(code: ErrorCode) -> None:
    health = Health()
    for _ in range(10):
        health.failed(A, make(code, "broken"), 0.0)
    assert state(health, A, 0.0) is State.OPEN


def test_a_refused_key_disables_the_provider_until_it_changes() -> None:
    health = Health()
    health.failed(A, REFUSED, 0.0)
    for target in (A, Target(A.provider, "other")):
        standing = health.standing(target, 1e9)
        assert standing == Standing(State.DISABLED, None, ErrorCode.AUTH_PROVIDER)
        assert not standing.usable(1e9)
    health.key_changed(A.provider)
    assert state(health, A, 1e9) is State.CLOSED
    health.key_changed("never heard of")


def test_a_spent_quota_pauses_for_ten_minutes() -> None:
    health = Health()
    health.failed(A, SPENT, 5.0)
    assert health.standing(A, 604.9) == Standing(State.DISABLED, 605.0, ErrorCode.QUOTA_PROVIDER)
    assert state(health, A, 605.0) is State.CLOSED


def test_a_spent_quota_is_tried_sooner_where_the_key_changes() -> None:
    health = Health()
    health.failed(A, SPENT, 0.0)
    health.key_changed(A.provider)
    assert state(health, A, 0.0) is State.CLOSED


def test_a_refused_key_is_not_tried_again_because_another_request_met_a_spent_quota() -> None:
    health = Health()
    health.failed(A, REFUSED, 0.0)
    health.failed(A, SPENT, 0.0)
    assert state(health, A, 1e9) is State.DISABLED


def test_a_quota_that_is_still_spent_pauses_again() -> None:
    health = Health()
    health.failed(A, SPENT, 0.0)
    health.failed(A, SPENT, 600.0)
    assert health.standing(A, 600.0).until == 1_200.0


def test_a_disabled_key_speaks_harder_than_all_else() -> None:
    health = Health()
    failures(health, A, 10)
    health.cool(A, 60.0, 0.0)
    health.failed(A, REFUSED, 0.0)
    assert state(health, A, 0.0) is State.DISABLED
    health.key_changed(A.provider)
    assert state(health, A, 0.0) is State.COOLING
    assert state(health, A, 60.0) is State.OPEN


def test_retry_after_is_honoured() -> None:
    health = Health()
    health.failed(A, make(ErrorCode.RATE_LIMIT_PROVIDER, "later", retry_after_ms=34_000), 1.0)
    standing = health.standing(A, 34.9)
    assert standing == Standing(State.COOLING, 35.0, ErrorCode.RATE_LIMIT_PROVIDER)
    assert not standing.usable(34.9)
    assert state(health, A, 35.0) is State.CLOSED


def test_retry_after_is_honoured_up_to_an_hour() -> None:
    health = Health()
    health.failed(A, make(ErrorCode.OVERLOADED, "later", retry_after_ms=90_000_000), 0.0)
    assert health.standing(A, 0.0).until == 3_600.0


def test_a_rate_limit_without_a_figure_cools_for_two_seconds() -> None:
    health = Health()
    health.failed(A, LIMITED, 0.0)
    assert health.standing(A, 1.9).until == 2.0
    assert state(health, A, 2.0) is State.CLOSED


def test_rate_limits_do_not_open_the_breaker() -> None:
    health = Health()
    for _ in range(50):
        health.failed(A, LIMITED, 0.0)
    assert state(health, A, 2.0) is State.CLOSED


def test_an_overloaded_provider_that_says_when_to_come_back_has_failed_too() -> None:
    health = Health()
    for _ in range(10):
        health.failed(A, make(ErrorCode.OVERLOADED, "later", retry_after_ms=1_000), 0.0)
    assert state(health, A, 0.9) is State.COOLING
    assert state(health, A, 1.0) is State.OPEN


def test_of_two_cool_downs_the_longer_one_holds() -> None:
    health = Health()
    health.cool(A, 10.0, 0.0)
    health.cool(A, 5.0, 0.0)
    assert health.standing(A, 0.0).until == 10.0
    health.cool(A, 5.0, 9.0)
    assert health.standing(A, 9.0).until == 14.0


EMPTY = Window(limit=100, remaining=0, reset=20.0)


@pytest.mark.parametrize(
    ("limits", "until"),
    [
        (RateLimits(requests=EMPTY), 20.0),
        (RateLimits(tokens=EMPTY), 20.0),
        (RateLimits(input_tokens=EMPTY), 20.0),
        (RateLimits(output_tokens=EMPTY), 20.0),
        (RateLimits(requests=EMPTY, tokens=Window(remaining=0, reset=30.0)), 30.0),
        (RateLimits(requests=EMPTY, tokens=Window(remaining=9, reset=30.0)), 20.0),
        (RateLimits(requests=Window(remaining=0, reset=86_400.0)), 3_600.0),
        (RateLimits(requests=EMPTY, retry_after=2.0), 2.0),
        (RateLimits(retry_after=7.0), 7.0),
    ],
)
def test_a_provider_with_nothing_left_is_left_alone_until_its_reset(
    limits: RateLimits, until: float
) -> None:
    health = Health()
    health.limits_said(A, limits, 0.0)
    assert health.standing(A, 0.0) == Standing(State.COOLING, until, ErrorCode.RATE_LIMIT_PROVIDER)


@pytest.mark.parametrize(
    "limits",
    [
        RateLimits(),
        RateLimits(requests=Window(limit=100, remaining=1, reset=20.0)),
        RateLimits(requests=Window(remaining=0)),
        RateLimits(tokens=Window(limit=0, reset=20.0)),
        RateLimits(requests=EMPTY, retry_after=0.0),
    ],
)
def test_a_provider_with_something_left_or_no_figure_is_asked(limits: RateLimits) -> None:
    health = Health()
    health.limits_said(A, limits, 0.0)
    assert health.standing(A, 0.0) == Standing(State.CLOSED)


# --- Whom to ask ---


def test_the_disabled_and_the_cooling_are_left_out() -> None:
    health = Health()
    health.failed(A, REFUSED, 0.0)
    health.cool(B, 10.0, 0.0)
    assert health.order([A, B, C], 0.0) == [2]
    assert health.order([A, B], 0.0) == []
    assert health.order([A, B, C], 10.0) == [1, 2]


def test_the_open_come_last_and_the_slow_before_them() -> None:
    health = slow(B)
    failures(health, A, 10, now=33.0)
    health.order([A, B, C], 33.0)  # tries the preferred one
    assert health.order([A, B, C], 33.1) == [2, 1, 0]


def test_of_the_slow_the_slowest_comes_last() -> None:
    health = slow(B, C)
    asked(health, B, VERY_LATE, 10, start=33.0)
    asked(health, C, LATE, 10, start=33.0)
    assert health.order([A, B, C], 46.0) == [0, 2, 1]


def test_an_open_target_is_left_at_once_but_for_three_percent() -> None:
    health = Health()
    firsts(health, [A, B], start=0.0, seconds=30.0)
    failures(health, A, 10, now=30.0)
    count = firsts(health, [A, B], start=30.0, seconds=100.0)
    assert count[A] == pytest.approx(0.03 * 2_000, abs=2)


def test_an_open_target_is_tried_once_in_five_seconds_where_requests_are_few() -> None:
    health = Health()
    failures(health, A, 10, now=0.0)
    count = firsts(health, [A, B], start=0.0, seconds=100.0, rate=2.0)
    assert count[A] == pytest.approx(100 / 5, abs=1)


def test_where_all_are_open_the_preferred_one_is_asked() -> None:
    health = Health()
    failures(health, A, 10)
    failures(health, B, 10)
    assert firsts(health, [A, B], start=0.0, seconds=10.0) == {A: 200}
    answers(health, A, 3, now=10.0)
    answers(health, B, 3, now=10.0)
    assert firsts(health, [A, B], start=10.0, seconds=1.0) == {A: 20}  # it had never left


def test_an_only_target_is_asked_whatever_is_known_of_it() -> None:
    health = Health()
    failures(health, A, 10)
    assert firsts(health, [A], start=0.0, seconds=10.0) == {A: 200}


def shares(
    health: Health, *, start: float, seconds: int, told: Callable[[float], object]
) -> list[float]:
    """A's share of the requests that prefer it, second by second."""
    found: list[float] = []
    for second in range(seconds):
        now = start + second
        told(now)
        found.append(firsts(health, [A, B], start=now, seconds=1.0, rate=100.0)[A] / 100)
    return found


def late(health: Health, target: Target) -> Callable[[float], None]:
    """Keeps a target as slow as it is."""

    def tell(now: float) -> None:
        health.expect(target, now - 3.0, 1.0).heard = now - 1.0

    return tell


def nothing(_now: float) -> None:
    """Nobody tells anything."""


def test_traffic_leaves_a_slow_target_by_five_percent_a_second() -> None:
    health = slow(A)
    firsts(health, [B, A], start=20.0, seconds=13.0)
    health.order([A, B], 33.0)
    left = shares(health, start=33.0, seconds=30, told=late(health, A))
    assert all(before - after <= 0.07 for before, after in pairwise(left))
    assert left[9] == pytest.approx(0.25, abs=0.04)  # the first request counts for 5 s
    assert left[-1] == pytest.approx(0.03, abs=0.011)


def test_traffic_returns_as_slowly() -> None:
    health = slow(A)
    shares(health, start=33.0, seconds=30, told=late(health, A))
    now = asked(health, A, IN_TIME, 20, start=63.0)
    assert state(health, A, now) is State.CLOSED
    back = shares(health, start=now, seconds=30, told=nothing)
    assert all(after - before <= 0.07 for before, after in pairwise(back))
    assert back[9] == pytest.approx(0.03 + 0.25 + 0.45, abs=0.05)
    assert back[-1] == 1.0


def test_traffic_returns_as_slowly_to_a_target_that_was_open() -> None:
    health = Health()
    failures(health, A, 10, now=0.0)
    firsts(health, [A, B], start=0.0, seconds=10.0)
    answers(health, A, 3, now=10.0)
    back = shares(health, start=10.0, seconds=25, told=nothing)
    assert back[0] < 0.1
    assert back[9] == pytest.approx(0.50, abs=0.05)
    assert back[-1] == 1.0


def test_traffic_returns_at_once_where_the_other_one_fails() -> None:
    health = Health()
    failures(health, A, 10, now=0.0)
    firsts(health, [A, B], start=0.0, seconds=10.0)
    answers(health, A, 3, now=10.0)
    failures(health, B, 10, now=10.0)
    assert firsts(health, [A, B], start=10.0, seconds=1.0) == {A: 20}


def test_traffic_stays_where_the_others_are_as_slow() -> None:
    health = slow(A, B)
    assert firsts(health, [A, B], start=33.0, seconds=5.0) == {A: 100}


def test_traffic_stays_where_the_others_are_hardly_better() -> None:
    health = slow(A, B)
    asked(health, A, VERY_LATE, 1, start=33.0)
    asked(health, B, LATE, 1, start=33.0)
    assert 0.0 < health.drag(A, 37.0) < 0.25
    assert health.drag(B, 37.0) == 0.0
    assert firsts(health, [A, B], start=37.0, seconds=5.0) == {A: 100}


def test_an_open_target_is_left_for_a_slow_one_too() -> None:
    health = slow(B)
    failures(health, A, 10, now=33.0)
    count = firsts(health, [A, B], start=33.0, seconds=10.0)
    assert count[A] == pytest.approx(0.03 * 200, abs=2)


def test_traffic_leaves_the_slower_of_two_slow_ones() -> None:
    health = slow(A, B)
    asked(health, A, VERY_LATE, 10, start=33.0)
    asked(health, B, LATE, 10, start=33.0)
    assert health.drag(A, 46.0) > health.drag(B, 46.0) + 0.25
    assert firsts(health, [A, B], start=46.0, seconds=5.0)[B] > 0


# --- What is forgotten ---


@pytest.mark.parametrize(
    ("took", "count", "said"), [(NEVER, 10, State.OPEN), (LATE, 30, State.SLOW)]
)
def test_what_nobody_asked_for_ten_minutes_counts_as_well_again(
    took: float | None, count: int, said: State
) -> None:
    health = Health()
    asked(health, A, took, count)
    assert state(health, A, 600.0) is said
    assert state(health, A, 640.0) is State.CLOSED
    health.expect(A, 640.0, 1.0)
    assert health.lateness(A, 641.0) == pytest.approx(0.07)


def test_a_breaker_that_nobody_tried_for_ten_minutes_is_closed() -> None:
    health = Health()
    failures(health, A, 10)
    assert state(health, A, 599.9) is State.OPEN
    assert state(health, A, 600.0) is State.CLOSED
    failures(health, A, 9, now=600.0)
    assert state(health, A, 600.0) is State.CLOSED


def test_what_is_tried_all_the_while_is_not_forgotten() -> None:
    health = Health()
    failures(health, A, 10)
    for minute in range(60):
        failures(health, A, 1, now=minute * 60.0)
    assert state(health, A, 3_600.0) is State.OPEN


def test_two_thousand_targets_are_remembered_the_least_recently_told_forgotten() -> None:
    health = Health()
    failures(health, A, 10)
    failures(health, B, 10)
    for number in range(MOST_TARGETS - 1):
        health.succeeded(Target("c", str(number)), 0.0)
        health.succeeded(A, 0.0)
    assert len(health._records) == MOST_TARGETS
    assert state(health, B, 0.0) is State.CLOSED
    assert Target("c", "0") in health._records
    health.succeeded(C, 0.0)
    assert len(health._records) == MOST_TARGETS
    assert Target("c", "0") not in health._records


def test_asking_for_a_standing_remembers_nobody() -> None:
    health = Health()
    for number in range(100):
        health.standing(Target("c", str(number)), 0.0)
        health.lateness(Target("c", str(number)), 0.0)
        health.drag(Target("c", str(number)), 0.0)
    assert health.targets() == []


def test_the_targets_are_those_of_which_something_was_told() -> None:
    health = Health()
    failures(health, A, 1)
    health.cool(B, 1.0, 0.0)
    health.succeeded(A, 0.0)
    assert health.targets() == [B, A]


def test_asking_for_a_standing_moves_no_traffic() -> None:
    calm, curious = slow(A), slow(A)
    failures(calm, C, 10, now=33.0)
    failures(curious, C, 10, now=33.0)
    for step in range(400):
        now = 33.0 + step / 10
        for _ in range(step % 4):
            for target in (A, B, C):
                curious.standing(target, now)
                curious.lateness(target, now)
                curious.drag(target, now)
        assert curious.order([A, B, C], now) == calm.order([A, B, C], now)


# --- Whatever happens ---

CODES = [ErrorCode.UPSTREAM_5XX, ErrorCode.RATE_LIMIT_PROVIDER, ErrorCode.INVALID_REQUEST]
CODES += [ErrorCode.AUTH_PROVIDER, ErrorCode.QUOTA_PROVIDER, ErrorCode.OVERLOADED]

ERRORS = st.builds(
    lambda code, wait: make(code, "x", retry_after_ms=wait),
    st.sampled_from(CODES),
    st.none() | st.integers(0, 10**8),
)
FACTS = st.lists(
    st.tuples(
        st.sampled_from((A, B, C)),
        st.sampled_from(("answered", "late", "silent", "dropped", "unsure", "changed")) | ERRORS,
        st.integers(1, 20),
        st.floats(0.0, 700.0),
    ),
    max_size=30,
)


def happen(health: Health, target: Target, fact: str | Error, now: float) -> None:
    if isinstance(fact, Error):
        health.failed(target, fact, now)
        return
    happening: dict[str, Callable[[], object]] = {
        "answered": lambda: health.succeeded(target, now),
        "late": lambda: _set(health.expect(target, now, 1.0), heard=now + 2.0),
        "silent": lambda: health.expect(target, now, 1.0),
        "dropped": lambda: _set(health.expect(target, now, 1.0), dropped=now + 0.5),
        "unsure": health.unsure,
        "changed": lambda: health.key_changed(target.provider),
    }
    happening[fact]()


def _set(expectation: Expectation, **fields: float) -> None:
    for name, value in fields.items():
        setattr(expectation, name, value)


@given(FACTS, st.lists(st.sampled_from((A, B, C)), max_size=6))
def test_whatever_happened_the_order_has_everybody_usable_once(
    facts: list[tuple[Target, str | Error, int, float]], targets: list[Target]
) -> None:
    health, now = Health(), 0.0
    for target, fact, count, pause in facts:
        for _ in range(count):
            happen(health, target, fact, now)
        now += pause
        left_out = {State.DISABLED, State.COOLING}
        expected = [i for i, t in enumerate(targets) if state(health, t, now) not in left_out]
        assert sorted(health.order(targets, now)) == expected
        for each in (A, B, C):
            assert 0.0 <= health.drag(each, now) <= 1.0
            assert 0.0 <= health.lateness(each, now) <= 1.0


@given(FACTS)
def test_whatever_happened_three_answers_and_ten_minutes_later_all_is_well(
    facts: list[tuple[Target, str | Error, int, float]],
) -> None:
    health, now = Health(), 0.0
    for target, fact, count, pause in facts:
        for _ in range(count):
            happen(health, target, fact, now)
        now += pause
    now += 3_601.0
    for target in (A, B, C):
        health.key_changed(target.provider)
        answers(health, target, 3, now=now)
    assert health.order([A, B, C], now + 601.0) == [0, 1, 2]
