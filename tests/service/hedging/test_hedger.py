"""One request's view of what all have in common: dialogues with exact times.

Only how the parts are joined: each part's own rules are its own test's.
"""

from collections import Counter
from dataclasses import replace

import pytest

from adapters.errors import make
from adapters.events import ErrorCode, Role
from adapters.request import Strategy
from service.hedging.delay import Key, bucket_of
from service.hedging.exclusions import Denied, RequestFacts
from service.hedging.hedger import Contender, Hedger, HedgeSettings, Watch, Watched
from service.hedging.loser_cost import Price
from service.hedging.race import Cancel, Commit, Options, Race, Start
from service.routing.health import Health, State, Target

LIMITED = make(ErrorCode.RATE_LIMIT_PROVIDER, "slow down", retry_after_ms=2_000)
DOWN = make(ErrorCode.UPSTREAM_5XX, "down")


def contender(name: str, *, size: int = 0) -> Contender:
    return Contender(
        target=Target(name, "m"),
        key=Key(name, "m", size, reasoning=False),
        domain=name,
        price=Price(1e-6, 1e-5),
        billing="stops",
    )


A, B, C = (contender(name) for name in "abc")
PLAIN = Watched(facts=RequestFacts(input_tokens=500), expected_output=350)


def hedger(settings: HedgeSettings | None = None) -> Hedger:
    return Hedger(Health(), settings)


def taught(of: Hedger, candidate: Contender, seconds: float, *, now: float = 0.0) -> None:
    """Sixty answers after so many seconds each, told as requests that only listen."""
    for _ in range(60):
        watch = of.watch(replace(PLAIN, hedged=False), [candidate], now)
        watch.started(1, 0, Role.PRIMARY, now)
        watch.content(1, now + seconds)


def waiting(of: Hedger, now: float, request: Watched = PLAIN, count: int = 2) -> Watch:
    """A request whose first attempt is on its way."""
    watch = of.watch(request, [A, B, C][:count], now)
    watch.started(1, 0, Role.PRIMARY, now)
    return watch


# --- How long ---


def test_the_delay_is_the_cold_one_until_something_is_known() -> None:
    of = hedger()
    assert waiting(of, 0.0).delay(0, 0.0) == 2.0
    taught(of, A, 0.5)
    assert waiting(of, 10.0).delay(0, 10.0) == pytest.approx(0.5, rel=0.05)
    assert waiting(of, 10.0).delay(1, 10.0) == 2.0


def test_the_callers_own_delay_is_taken_as_it_is() -> None:
    of = hedger()
    taught(of, A, 0.5)
    assert waiting(of, 10.0, replace(PLAIN, delay=0.05)).delay(0, 10.0) == 0.05


def test_a_request_that_only_listens_is_not_hedged_and_pays_nothing_in() -> None:
    of = hedger()
    for _ in range(200):
        watch = of.watch(replace(PLAIN, hedged=False), [A, B], 0.0)
    assert watch.delay(0, 0.0) is None
    assert [of.budget("").hedge(None, 0.0) for _ in range(6)][-1] is not None


def test_a_request_that_is_excluded_is_not_hedged_and_says_why() -> None:
    of = hedger()
    request = replace(PLAIN, facts=RequestFacts(uploads=True))
    assert waiting(of, 0.0, request).delay(0, 0.0) is None
    assert of.denials == {Denied.UPLOADS: 1}


def test_three_attempts_fit_into_the_limit_for_the_first_content() -> None:
    of = hedger()
    assert of.failover_after(0, 60.0) == 8.0
    assert of.failover_after(0, 15.0) == 5.0
    assert of.failover_after(3, 60.0) == 20.0
    assert of.failover_after(3, 180.0) == 32.0


# --- Whom ---


def test_a_hedge_goes_to_the_one_that_is_least_often_silent_for_so_long() -> None:
    of = hedger()
    taught(of, B, 3.0)
    taught(of, C, 0.4)
    assert waiting(of, 10.0, count=3).hedge([1, 2], 11.0) == 2


def test_equals_are_asked_in_the_plans_order() -> None:
    assert waiting(hedger(), 0.0, count=3).hedge([1, 2], 1.0) == 1


def test_the_callers_own_order_outranks_what_is_known() -> None:
    of = hedger()
    taught(of, B, 3.0)
    taught(of, C, 0.4)
    assert waiting(of, 10.0, replace(PLAIN, ordered=True), count=3).hedge([1, 2], 11.0) == 1


def test_a_slow_one_comes_after_those_that_are_not() -> None:
    of = hedger()
    taught(of, B, 0.3)
    taught(of, C, 3.0)
    for _ in range(40):
        expectation = of.health.expect(B.target, 10.0, 0.1)
        expectation.heard = 10.3
        of.health.succeeded(B.target, 10.3)
    assert of.health.standing(B.target, 10.2).state is State.SLOW
    assert waiting(of, 10.0, count=3).hedge([1, 2], 10.2) == 2


def test_the_same_failure_domain_is_not_asked_again() -> None:
    of = hedger()
    watch = of.watch(PLAIN, [A, replace(B, domain="a")], 0.0)
    watch.started(1, 0, Role.PRIMARY, 0.0)
    assert watch.hedge([1], 1.0) is None
    assert of.denials == {Denied.SAME_DOMAIN: 1}


def test_one_that_is_cooling_down_is_not_asked() -> None:
    of = hedger()
    of.health.failed(B.target, LIMITED, 0.0)
    watch = waiting(of, 0.0)
    assert watch.hedge([1], 1.9) is None
    assert of.denials == {Denied.UNHEALTHY: 1}
    assert watch.hedge([1], 2.0) == 1


def test_one_that_has_hardly_any_of_its_limit_left_is_not_asked() -> None:
    of = Hedger(Health(), headroom=lambda target, _now: 0.05 if target == B.target else 1.0)
    assert waiting(of, 0.0, count=3).hedge([1, 2], 1.0) == 2


def test_one_that_would_be_too_late_is_not_asked() -> None:
    of = hedger()
    taught(of, B, 3.0)
    request = replace(PLAIN, deadline=20.0)
    assert waiting(of, 10.0, request).hedge([1], 18.0) is None
    assert of.denials == {Denied.DEADLINE_NEAR: 1}


def test_a_cache_that_only_the_first_one_has_keeps_the_request_there() -> None:
    of = hedger()
    watch = of.watch(PLAIN, [replace(A, cached=0.8), B], 0.0)
    watch.started(1, 0, Role.PRIMARY, 0.0)
    assert watch.hedge([1], 1.0) is None
    assert of.denials == {Denied.CACHE_LOST: 1}


def test_nobody_left_is_a_reason_too() -> None:
    of = hedger()
    assert waiting(of, 0.0).hedge([], 1.0) is None
    assert of.denials == {Denied.NO_CANDIDATE: 1}


# --- Whether ---


def test_overload_stops_every_hedge() -> None:
    of = hedger()
    of.lag(0.2, 1.0)
    assert waiting(of, 0.5).hedge([1], 1.5) is None
    assert of.denials == {Denied.LOOP_LAG: 1}


def test_a_spent_budget_denies_and_another_routes_does_not() -> None:
    of = hedger()
    watches = [waiting(of, float(second * 10)) for second in range(6)]
    chosen = [watch.hedge([1], second * 10 + 2.0) for second, watch in enumerate(watches)]
    assert chosen == [1, 1, 1, 1, 1, None]
    assert of.denials == {Denied.REQUEST_BUDGET: 1}
    assert waiting(of, 100.0, replace(PLAIN, route="other")).hedge([1], 101.0) == 1


def test_the_dearer_of_those_who_might_lose_is_reserved_and_what_is_left_given_back() -> None:
    of = hedger()
    # Opens with five whole requests: 5 x 0.0040 = 0.02 dollars.
    dear = replace(B, price=Price(30e-6, 30e-6))
    for number, winner in enumerate((2, 2, 1, 1)):
        watch = of.watch(PLAIN, [A, dear], number * 10.0)
        watch.started(1, 0, Role.PRIMARY, number * 10.0)
        # 500 tokens at 30e-6 are 0.015; the loser A costs 0.0005.
        expected = 1 if number < 3 else None
        assert watch.hedge([1], number * 10.0 + 1) == expected
        if expected:
            watch.started(2, 1, Role.HEDGE, number * 10.0 + 1)
        watch.content(winner, number * 10.0 + 2)
    assert of.denials == {Denied.COST_BUDGET: 1}


def test_an_unknown_price_leaves_the_count_of_requests() -> None:
    of = hedger()
    watch = of.watch(PLAIN, [replace(A, price=None), B], 0.0)
    watch.started(1, 0, Role.PRIMARY, 0.0)
    assert watch.hedge([1], 1.0) == 1


# --- Failing over ---


def test_when_all_are_silent_anybody_is_asked_but_rather_somebody_else() -> None:
    of = hedger()
    watch = of.watch(PLAIN, [A, B, A, C], 0.0)
    watch.started(1, 0, Role.PRIMARY, 0.0)
    watch.started(2, 1, Role.HEDGE, 1.0)
    assert watch.failover([2, 3], 9.0) == 3
    assert watch.failover([2], 9.0) == 2


def test_when_all_are_silent_one_that_fails_is_asked_last() -> None:
    of = hedger()
    of.health.failed(B.target, make(ErrorCode.AUTH_PROVIDER, "bad key"), 0.0)
    watch = of.watch(PLAIN, [A, B, A], 0.0)
    watch.started(1, 0, Role.PRIMARY, 0.0)
    assert watch.failover([1, 2], 8.0) == 2
    ordered = of.watch(replace(PLAIN, ordered=True), [A, B, A], 0.0)
    ordered.started(1, 0, Role.PRIMARY, 0.0)
    assert ordered.failover([1, 2], 8.0) == 1


def test_many_failovers_at_once_are_put_off() -> None:
    of = hedger()
    watches = [waiting(of, 0.0) for _ in range(6)]
    assert [watch.failover([1], 8.0) for watch in watches] == [1, 1, 1, 1, 1, None]


# --- What is learned ---


def test_a_winners_time_is_its_own_and_a_losers_is_longer_than_it_had() -> None:
    of = hedger()
    watch = waiting(of, 0.0)
    watch.started(2, 1, Role.HEDGE, 1.0)
    watch.content(2, 1.4)
    assert told(of, B) == ({bucket_of(0.4)}, set())
    assert told(of, A) == (set(), {bucket_of(1.4)})


def told(of: Hedger, candidate: Contender) -> tuple[set[int], set[int]]:
    """The buckets of what was answered, and of what was given up."""
    waits = of.delays._waits.get(candidate.key)
    if waits is None:
        return set(), set()
    counts = (waits._answered, waits._given_up)
    answered, given_up = ({b for b, n in enumerate(count) if n} for count in counts)
    return answered, given_up


def test_a_failed_attempt_and_a_stopped_request_are_given_up() -> None:
    of = hedger()
    failed, stopped = waiting(of, 0.0), waiting(of, 0.0)
    failed.ended(1, DOWN, 0.5)
    failed.stopped(5.0)
    stopped.stopped(3.0)
    assert told(of, A) == (set(), {bucket_of(0.5), bucket_of(3.0)})


def test_a_break_after_the_content_is_a_failure_but_no_wait() -> None:
    of = hedger()
    for _ in range(10):
        watch = waiting(of, 0.0)
        watch.content(1, 0.5)
        watch.ended(1, DOWN, 0.6)
    assert told(of, A) == ({bucket_of(0.5)}, set())
    assert of.health.standing(A.target, 0.6).state is State.OPEN


def test_a_clean_end_says_nothing_against_anybody() -> None:
    of = hedger()
    for _ in range(20):
        watch = waiting(of, 0.0)
        watch.content(1, 0.5)
        watch.ended(1, None, 0.6)
    assert of.health.standing(A.target, 0.6).state is State.CLOSED


def test_times_measured_while_this_process_was_late_are_nobodys() -> None:
    of = hedger()
    watch, other = waiting(of, 0.0), waiting(of, 0.0)
    of.lag(0.3, 1.0)
    watch.content(1, 1.1)
    other.stopped(1.2)
    assert told(of, A) == (set(), set())
    assert of.health.lateness(A.target, 100.0) == 0.0


def test_a_small_lag_changes_nothing() -> None:
    of = hedger()
    waiting(of, 0.0)
    of.lag(0.01, 1.0)
    assert of.health.lateness(A.target, 20.0) > 0.0


def test_refusals_for_the_rate_stop_hedging() -> None:
    of = hedger()
    for _ in range(2):
        waiting(of, 0.0).ended(1, LIMITED, 0.5)
    assert waiting(of, 1.0).hedge([1], 2.0) is None
    assert of.denials == {Denied.RATE_LIMITED: 1}


def test_hedges_that_keep_losing_are_suspended() -> None:
    of = hedger()
    for number in range(20):
        watch = waiting(of, float(number))
        watch.started(2, 1, Role.HEDGE, number + 0.5)
        watch.content(1, number + 0.6)
    assert waiting(of, 30.0).hedge([1], 31.0) is None
    assert of.denials == {Denied.HEDGES_LOSE: 1}


# --- Together with a race ---


def test_a_stalled_first_attempt_is_hedged_after_the_learned_delay() -> None:
    of = hedger()
    taught(of, A, 0.5)
    watch = of.watch(PLAIN, [A, B], 10.0)
    options = Options(providers=("a", "b"), strategy=Strategy.HEDGE, failover_after=8.0)
    race = Race(options, watch)
    assert race.begin(10.0) == [Start(1, 0, Role.PRIMARY)]
    watch.started(1, 0, Role.PRIMARY, 10.0)
    due = race.next_timer()
    assert due == pytest.approx(10.5, rel=0.01)
    assert race.timer(due or 0.0) == [Start(2, 1, Role.HEDGE)]
    watch.started(2, 1, Role.HEDGE, 10.5)
    assert race.content(2) == [Commit(2, "first_content"), Cancel(1, None)]
    watch.content(2, 11.0)
    assert of.denials == {}


# --- Getting to know the others ---


def test_one_of_200_hedged_requests_goes_first_to_each_candidate_nobody_knows() -> None:
    of = hedger()
    taught(of, A, 0.4)
    keys = [A.key, B.key, C.key]
    firsts = Counter(of.first(keys, 60.0) for _ in range(2_000))
    assert firsts[1] == pytest.approx(10, abs=1)
    assert firsts[2] == pytest.approx(10, abs=1)
    assert firsts[0] == 2_000 - firsts[1] - firsts[2]


def test_who_is_known_is_left_where_the_plan_has_them() -> None:
    of = hedger()
    taught(of, B, 0.4)
    assert {of.first([A.key, B.key], 60.0) for _ in range(1_000)} == {0}


def test_an_answer_without_content_is_an_answer() -> None:
    of = hedger()
    for _ in range(60):
        waiting(of, 0.0).ended(1, None, 0.5)
    estimate = of.delays.estimate(A.key, 60.0)
    assert estimate.quantile(0.5) == pytest.approx(0.5, rel=0.05)


# --- Once each ---


def test_an_answer_that_breaks_counts_against_its_target_once() -> None:
    of = hedger()
    for number in range(10):
        assert of.health.standing(A.target, 0.6).state is State.CLOSED, number
        watch = waiting(of, 0.0)
        watch.content(1, 0.5)
        watch.ended(1, DOWN, 0.6)
    assert of.health.standing(A.target, 0.6).state is State.OPEN


def test_answers_that_break_open_the_breaker_among_others_that_do_not() -> None:
    of = hedger()
    for number in range(12):
        watch = waiting(of, 0.0)
        watch.content(1, 0.5)
        watch.ended(1, None if number % 6 == 0 else DOWN, 0.6)
    assert of.health.standing(A.target, 0.6).state is State.OPEN


def test_an_answer_that_its_reader_cuts_short_was_answered() -> None:
    of = hedger()
    for _ in range(20):
        watch = waiting(of, 0.0)
        watch.content(1, 0.5)
        watch.stopped(0.6)
    assert of.health.standing(A.target, 0.6).state is State.CLOSED
    for _ in range(10):
        waiting(of, 0.6).ended(1, DOWN, 0.7)
    assert of.health.standing(A.target, 0.7).state is State.CLOSED  # ten of thirty
