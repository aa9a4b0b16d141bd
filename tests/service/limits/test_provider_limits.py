"""Limits walked through by hand, and by hypothesis what must hold whatever happens."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.ratelimits import RateLimits, Window
from service.limits.provider_limits import (
    BUSY,
    LEASE,
    LONGEST_WORD,
    MINUTE,
    SLICE,
    Limits,
    ProviderLimits,
    Reservation,
    Together,
)
from service.settings import ProviderSettings


def limited(**limits: int | None) -> Limits:
    made = Limits()
    made.configure("groq", ProviderLimits(**limits))
    return made


def reserved(limits: Limits, tokens: int, now: float, **more: float) -> Reservation:
    reservation = limits.reserve("groq", tokens, now, **more)
    assert reservation is not None
    return reservation


# --- No limit ---


def test_nobody_is_limited_unless_configured() -> None:
    limits = Limits()
    assert limits.wait("groq", 10**9, 0.0) == 0.0
    assert limits.headroom("groq", 0.0) == 1.0
    for _ in range(1_000):
        reserved(limits, 10**6, 0.0)
    assert limits.wait("groq", 10**9, 0.0) == 0.0
    assert limits.headroom("groq", 0.0) == 1.0


def test_a_limit_that_is_set_later_counts_what_was_used_before() -> None:
    limits = Limits()
    for _ in range(3):
        reserved(limits, 10, 100.0)
    limits.configure("groq", ProviderLimits(requests_per_minute=3))
    assert limits.reserve("groq", 10, 101.0) is None
    limits.configure("groq", ProviderLimits(requests_per_minute=4))
    assert limits.reserve("groq", 10, 101.0) is not None


def test_the_settings_limit_those_they_name_and_nobody_else() -> None:
    limits = Limits()
    limits.configure("openai", ProviderLimits(requests_per_minute=1))
    limits.follow(
        {"groq": ProviderSettings(requests_per_minute=1, tokens_per_minute=2, concurrent_streams=3)}
    )
    standing = limits.left("groq", 0.0)
    assert [standing.requests.limit, standing.tokens.limit, standing.streams.limit] == [1, 2, 3]
    assert limits.left("openai", 0.0).requests.limit is None


# --- Requests and tokens a minute ---


def test_what_is_beyond_the_requests_of_a_minute_waits_until_the_first_one_has_left_it() -> None:
    limits = limited(requests_per_minute=2)
    reserved(limits, 0, 100.0)
    reserved(limits, 0, 130.0)
    assert limits.reserve("groq", 0, 131.0) is None
    assert limits.wait("groq", 0, 131.0) == 100.0 + MINUTE + SLICE - 131.0
    assert limits.reserve("groq", 0, 160.24) is None
    assert limits.reserve("groq", 0, 160.25) is not None


def test_a_request_takes_its_tokens_from_the_minute() -> None:
    limits = limited(tokens_per_minute=100)
    reserved(limits, 60, 0.0)
    assert limits.wait("groq", 40, 1.0) == 0.0
    assert limits.wait("groq", 41, 1.0) == MINUTE + SLICE - 1.0


def test_it_waits_for_as_many_as_it_takes() -> None:
    limits = limited(tokens_per_minute=100)
    for start in (0.0, 10.0, 20.0):
        reserved(limits, 30, start)
    assert limits.wait("groq", 10, 30.0) == 0.0
    assert limits.wait("groq", 40, 30.0) == 30.25
    assert limits.wait("groq", 70, 30.0) == 40.25
    assert limits.wait("groq", 100, 30.0) == 50.25


def test_more_than_a_minutes_tokens_are_never_possible() -> None:
    assert limited(tokens_per_minute=100).wait("groq", 101, 0.0) == inf


def test_a_limit_that_is_reached_takes_nothing_of_the_others() -> None:
    limits = limited(requests_per_minute=10, tokens_per_minute=100)
    assert limits.reserve("groq", 101, 0.0) is None
    standing = limits.left("groq", 0.0)
    assert (standing.requests.used, standing.tokens.used, standing.streams.used) == (0, 0, 0)


def test_providers_have_limits_of_their_own() -> None:
    limits = limited(requests_per_minute=1)
    reserved(limits, 0, 0.0)
    assert limits.wait("openai", 0, 0.0) == 0.0


# --- Streams at once ---


def test_a_stream_is_free_again_when_one_is_settled() -> None:
    limits = limited(concurrent_streams=1)
    running = reserved(limits, 0, 0.0)
    assert limits.reserve("groq", 0, 1.0) is None
    assert limits.wait("groq", 0, 1.0) == BUSY
    limits.settle(running, None, 2.0)
    assert limits.reserve("groq", 0, 2.0) is not None


def test_settling_twice_frees_one_stream() -> None:
    limits = limited(concurrent_streams=2)
    first = reserved(limits, 0, 0.0)
    reserved(limits, 0, 0.0)
    limits.settle(first, None, 1.0)
    limits.settle(first, None, 1.0)
    limits.release(first, 1.0)
    assert limits.left("groq", 1.0).streams.used == 1


def test_a_reservation_that_nobody_settles_is_held_for_its_lease() -> None:
    limits = limited(concurrent_streams=2)
    reserved(limits, 0, 0.0, lease=10.0)
    reserved(limits, 0, 0.0)
    assert limits.reserve("groq", 0, 9.9) is None
    reserved(limits, 0, 10.0, lease=LEASE)
    assert limits.wait("groq", 0, LEASE - 1) == BUSY
    assert limits.wait("groq", 0, LEASE) == 0.0


def test_settling_after_the_lease_changes_nothing() -> None:
    limits = limited(concurrent_streams=1, tokens_per_minute=100)
    late = reserved(limits, 50, 0.0, lease=10.0)
    limits.settle(late, 100, 11.0)
    standing = limits.left("groq", 11.0)
    assert (standing.streams.used, standing.tokens.used) == (0, 50)


# --- Settling ---


def test_what_was_reserved_and_not_used_is_free_at_once() -> None:
    limits = limited(tokens_per_minute=1_000)
    running = reserved(limits, 1_000, 0.0)
    limits.settle(running, 100, 5.0)
    assert limits.left("groq", 5.0).tokens.left == 900


def test_what_nobody_knows_stays_as_reserved() -> None:
    limits = limited(tokens_per_minute=1_000)
    limits.settle(reserved(limits, 600, 0.0), None, 5.0)
    assert limits.left("groq", 5.0).tokens.left == 400


def test_what_was_used_beyond_the_reservation_counts_from_then_on() -> None:
    limits = limited(tokens_per_minute=100)
    running = reserved(limits, 50, 0.0)
    limits.settle(running, 150, 50.0)
    assert limits.left("groq", 50.0).tokens.left == 0
    assert limits.wait("groq", 1, 50.0) == 50.0 + MINUTE + SLICE - 50.0
    assert limits.left("groq", 61.0).tokens.used == 100


def test_what_is_settled_after_its_minute_gives_nothing_back_twice() -> None:
    limits = limited(tokens_per_minute=100)
    running = reserved(limits, 100, 0.0)
    assert limits.left("groq", 61.0).tokens.left == 100
    limits.settle(running, 1, 62.0)
    assert limits.left("groq", 62.0).tokens.left == 100


def test_an_attempt_that_was_not_sent_gives_its_request_back() -> None:
    limits = limited(requests_per_minute=1, tokens_per_minute=10, concurrent_streams=1)
    limits.release(reserved(limits, 10, 0.0), 1.0)
    assert limits.wait("groq", 10, 1.0) == 0.0


# --- What is left ---


def test_headroom_is_the_least_share_left() -> None:
    limits = limited(requests_per_minute=10, tokens_per_minute=100, concurrent_streams=2)
    reserved(limits, 25, 0.0)
    assert limits.headroom("groq", 0.0) == 0.5  # one of two streams
    limits.settle(reserved(limits, 60, 0.0), None, 1.0)
    assert limits.headroom("groq", 1.0) == pytest.approx(0.15)  # 85 of 100 tokens


def test_headroom_is_never_below_none() -> None:
    limits = limited(tokens_per_minute=100)
    limits.settle(reserved(limits, 100, 0.0), 500, 0.0)
    assert limits.headroom("groq", 0.0) == 0.0


def test_it_says_when_a_limit_is_full_again() -> None:
    limits = limited(requests_per_minute=10)
    assert limits.left("groq", 0.0).requests.full_in == 0.0
    running = reserved(limits, 5, 1.0)
    standing = limits.left("groq", 11.0)
    assert standing.requests.full_in == 1.0 + MINUTE + SLICE - 11.0
    assert standing.tokens.left is None
    assert standing.streams.full_in is None
    limits.settle(running, None, 12.0)
    assert limits.left("groq", 12.0).streams.full_in == 0.0


# --- The provider's word ---


def said(**accounts: Window) -> RateLimits:
    return RateLimits(**accounts)


def test_none_left_means_to_wait_until_the_reset() -> None:
    limits = Limits()
    word = said(requests=Window(limit=100, remaining=0, reset=20.0))
    limits.observe("groq", word, 100.0, model="one")
    assert limits.wait("groq", 0, 105.0, model="one") == 15.0
    assert limits.wait("groq", 0, 105.0, model="two") == 0.0
    assert limits.wait("groq", 0, 105.0) == 0.0
    assert limits.reserve("groq", 0, 105.0, model="one") is None
    assert limits.wait("groq", 0, 120.0, model="one") == 0.0


def test_fewer_tokens_left_than_a_request_needs_means_to_wait() -> None:
    limits = Limits()
    limits.observe("groq", said(tokens=Window(limit=100, remaining=30, reset=20.0)), 0.0)
    assert limits.wait("groq", 30, 5.0, model="one") == 0.0
    assert limits.wait("groq", 31, 5.0, model="one") == 15.0


@pytest.mark.parametrize("account", ["input_tokens", "output_tokens"])
def test_of_input_and_output_apart_only_none_left_counts(account: str) -> None:
    limits = Limits()
    limits.observe("groq", said(**{account: Window(limit=100, remaining=1, reset=20.0)}), 0.0)
    assert limits.wait("groq", 1_000, 0.0) == 0.0
    limits.observe("groq", said(**{account: Window(limit=100, remaining=0, reset=20.0)}), 0.0)
    assert limits.wait("groq", 0, 0.0) == 20.0


def test_none_left_without_a_reset_denies_hedges_for_a_minute_and_nothing_else() -> None:
    limits = Limits()
    limits.observe("groq", said(tokens=Window(limit=100, remaining=0)), 0.0)
    assert limits.wait("groq", 10, 59.0) == 0.0
    assert limits.headroom("groq", 59.0) == 0.0
    assert limits.headroom("groq", 60.0) == 1.0


def test_a_far_reset_is_not_waited_for_longer_than_an_hour() -> None:
    limits = Limits()
    limits.observe("groq", said(requests=Window(limit=100, remaining=0, reset=80_000.0)), 10.0)
    assert limits.wait("groq", 0, 10.0) == LONGEST_WORD
    assert limits.wait("groq", 0, 10.0 + LONGEST_WORD) == 0.0


def test_the_stated_share_bounds_the_headroom_until_its_own_reset() -> None:
    limits = limited(requests_per_minute=10)
    word = said(
        requests=Window(limit=100, remaining=5, reset=0.5),
        tokens=Window(limit=1_000, remaining=800, reset=12.0),
    )
    limits.observe("groq", word, 0.0, model="one")
    assert limits.headroom("groq", 0.4, model="one") == 0.05
    assert limits.headroom("groq", 0.4, model="two") == 1.0
    assert limits.headroom("groq", 0.5, model="one") == 0.8
    assert limits.headroom("groq", 12.0, model="one") == 1.0


def test_what_is_left_of_an_unknown_limit_bounds_nothing() -> None:
    limits = Limits()
    limits.observe("groq", said(requests=Window(remaining=5, reset=10.0)), 0.0)
    assert limits.headroom("groq", 0.0) == 1.0
    limits.observe("groq", said(requests=Window(limit=5, remaining=9, reset=10.0)), 0.0)
    assert limits.headroom("groq", 0.0) == 1.0


def test_a_response_that_says_nothing_takes_nothing_back() -> None:
    limits = Limits()
    limits.observe("groq", said(requests=Window(limit=9, remaining=0, reset=20.0)), 0.0)
    limits.observe("groq", said(requests=Window(limit=9)), 1.0)
    limits.observe("groq", RateLimits(), 1.0)
    assert limits.wait("groq", 0, 1.0) == 19.0


def test_the_latest_word_on_a_model_counts_and_it_is_told_as_of_now() -> None:
    limits = Limits()
    for remaining in (0, 7):
        word = said(requests=Window(limit=9, remaining=remaining, reset=20.0))
        limits.observe("groq", word, 0.0, model="one")
    limits.observe("groq", said(tokens=Window(remaining=3)), 0.0, model="two")
    assert limits.left("groq", 5.0).said == {
        "one": {"requests": Window(limit=9, remaining=7, reset=15.0)},
        "two": {"tokens": Window(remaining=3)},
    }
    assert limits.left("groq", 30.0).said == {"two": {"tokens": Window(remaining=3)}}
    assert limits.wait("groq", 0, 5.0) == 0.0


def test_words_out_of_date_are_forgotten_when_a_new_one_comes() -> None:
    limits = Limits()
    for number in range(1_000):
        word = said(requests=Window(limit=9, remaining=1, reset=1.0))
        limits.observe("groq", word, number * 0.5, model=f"model-{number}")
    assert len(limits._providers["groq"]._said) == 2


# --- Whatever happens ---

GAPS = st.one_of(st.floats(0.0, 2.0), st.floats(0.0, 70.0), st.sampled_from([0.0, 0.25, 60.0]))
STEPS = st.lists(
    st.tuples(
        GAPS,
        st.integers(0, 50),  # tokens asked for
        st.integers(0, 3),  # which running one to settle, if there are so many
        st.floats(0.0, 1.0),  # how much of its reservation it really used
    ),
    max_size=60,
)


@given(
    st.integers(1, 5),
    st.integers(1, 100),
    st.integers(1, 3),
    STEPS,
    st.floats(0.0, 1e6),
)
def test_no_minute_and_no_moment_has_more_than_its_limit(
    requests: int, tokens: int, streams: int, steps: list[tuple[float, int, int, float]], now: float
) -> None:
    limits = limited(
        requests_per_minute=requests, tokens_per_minute=tokens, concurrent_streams=streams
    )
    sent: list[tuple[float, Reservation]] = []
    used: dict[Reservation, int] = {}
    running: list[Reservation] = []
    for gap, asked, which, share in steps:
        now += gap
        free = limits.wait("groq", asked, now) == 0
        reservation = limits.reserve("groq", asked, now)
        assert free == (reservation is not None)
        if reservation is not None:
            sent.append((now, reservation))
            used[reservation] = asked
            running.append(reservation)
        assert len(running) <= streams
        if which < len(running):
            done = running.pop(which)
            used[done] = int(share * done.tokens)
            limits.settle(done, used[done], now)
        minute = [reservation for at, reservation in sent if now - at < MINUTE]
        assert len(minute) <= requests
        assert sum(used[reservation] for reservation in minute) <= tokens


@given(steps=STEPS, release=st.booleans())
def test_when_all_is_settled_and_a_minute_has_passed_everything_is_free(
    *, steps: list[tuple[float, int, int, float]], release: bool
) -> None:
    limits = limited(requests_per_minute=100, tokens_per_minute=10_000, concurrent_streams=100)
    now, running = 0.0, []
    for gap, asked, _, share in steps:
        now += gap
        reservation = limits.reserve("groq", asked, now)
        if reservation is not None:
            running.append((reservation, int(2 * share * asked)))
    for reservation, tokens in running:
        if release:
            limits.release(reservation, now)
        else:
            limits.settle(reservation, tokens, now)
    assert limits.left("groq", now).streams.used == 0
    now += 0.0 if release else MINUTE + SLICE
    standing = limits.left("groq", now)
    assert (standing.requests.used, standing.tokens.used) == (0, 0)
    assert (standing.requests.full_in, standing.tokens.full_in) == (0.0, 0.0)
    assert limits.headroom("groq", now) == 1.0


@given(STEPS, st.integers(0, 100), st.floats(0.0, 1e6))
def test_what_has_waited_as_long_as_it_was_told_may_be_sent(
    steps: list[tuple[float, int, int, float]], tokens: int, now: float
) -> None:
    limits = limited(requests_per_minute=5, tokens_per_minute=100)
    for gap, asked, _, share in steps:
        now += gap
        reservation = limits.reserve("groq", asked, now)
        if reservation is not None:
            limits.settle(reservation, int(2 * share * asked), now)
    # A microsecond for the rounding of sums of seconds.
    assert limits.wait("groq", tokens, now + limits.wait("groq", tokens, now) + 1e-6) == 0.0


# --- All processes --------------------------------------------------------------------------


def test_what_all_processes_use_drains_steadily_and_says_when_there_is_room() -> None:
    limits = limited(requests_per_minute=60, tokens_per_minute=600)
    limits.told("groq", Together(requests=60, tokens=300, streams=7, at=100.0))
    assert limits.wait("groq", 10, 100.0) == 1.0
    assert limits.wait("groq", 10, 100.5) == 0.5
    assert limits.wait("groq", 10, 101.0) == 0.0
    assert limits.wait("groq", 400, 101.0) == 9.0
    assert limits.wait("groq", 601, 101.0) == inf
    standing = limits.left("groq", 130.0)
    assert standing.shared
    assert (standing.requests.used, standing.requests.left) == (30, 30)
    assert standing.requests.full_in == 30.0
    assert (standing.tokens.used, standing.tokens.full_in) == (0, 0.0)
    assert limits.headroom("groq", 130.0) == 0.5


def test_what_has_no_limit_is_counted_here_whatever_the_others_use() -> None:
    limits = limited(requests_per_minute=60)
    limits.take("groq", 500, 100.0)
    limits.told("groq", Together(requests=20, tokens=0, streams=0, at=100.0))
    standing = limits.left("groq", 100.0)
    assert (standing.requests.used, standing.tokens.used, standing.streams.used) == (20, 500, 1)
    assert limits.wait("groq", 10**9, 100.0) == 0.0


def test_that_all_streams_run_is_believed_for_a_moment_only() -> None:
    limits = limited(concurrent_streams=4)
    limits.told("groq", Together(requests=0, tokens=0, streams=4, at=100.0))
    assert limits.wait("groq", 0, 100.0) == BUSY
    assert limits.left("groq", 100.0).streams.left == 0
    assert limits.wait("groq", 0, 100.0 + BUSY) == 0.0
    limits.told("groq", Together(requests=0, tokens=0, streams=3, at=200.0))
    assert limits.wait("groq", 0, 200.0) == 0.0


def test_what_is_granted_elsewhere_is_noted_for_the_day_on_which_it_counts() -> None:
    limits = limited(requests_per_minute=10, concurrent_streams=10)
    limits.told("groq", Together(requests=0, tokens=0, streams=0, at=100.0))
    held = [limits.take("groq", 0, 100.0) for _ in range(4)]
    assert limits.wait("groq", 0, 100.0) == 0.0
    limits.divide(2)
    assert not limits.left("groq", 101.0).shared
    reserved(limits, 0, 101.0)
    assert limits.reserve("groq", 0, 101.0) is None
    limits.release(held[0], 101.0)
    reserved(limits, 0, 101.0)


@pytest.mark.parametrize(("processes", "part"), [(1, 10), (2, 5), (3, 3), (10, 1), (50, 1)])
def test_one_of_so_many_is_held_to_its_part_and_at_least_to_1(processes: int, part: int) -> None:
    limits = limited(requests_per_minute=10, tokens_per_minute=10, concurrent_streams=10)
    limits.divide(processes)
    standing = limits.left("groq", 0.0)
    assert {standing.requests.limit, standing.tokens.limit, standing.streams.limit} == {part}
    limits.divide(1)
    assert limits.left("groq", 0.0).requests.limit == 10


def test_a_limit_that_is_set_while_divided_is_divided_too() -> None:
    limits = Limits()
    limits.divide(2)
    limits.configure("groq", ProviderLimits(requests_per_minute=10))
    assert limits.left("groq", 0.0).requests.limit == 5
    assert limits.limited("groq") == ProviderLimits(requests_per_minute=10)


def test_who_is_limited_is_known() -> None:
    limits = limited(requests_per_minute=1)
    limits.configure("openai", ProviderLimits())
    assert limits.everybody_limited() == ["groq"]
    assert limits.limited("openai") is None
    assert limits.limited("mistral") is None


def test_what_was_told_of_the_others_goes_with_the_limit() -> None:
    limits = limited(requests_per_minute=1)
    told = Together(requests=1, tokens=0, streams=0, at=100.0)
    limits.told("groq", told)
    limits.configure("groq", ProviderLimits())
    assert not limits.left("groq", 100.0).shared
    limits.told("groq", told)  # asked before, answered now
    assert not limits.left("groq", 100.0).shared


def test_what_the_provider_says_can_be_asked_for_alone() -> None:
    limits = limited(requests_per_minute=1)
    reserved(limits, 0, 100.0)
    assert limits.wait_as_said("groq", 0, 100.0) == 0.0
    said = RateLimits(requests=Window(limit=5, remaining=0, reset=30.0))
    limits.observe("groq", said, 100.0, model="m")
    assert limits.wait_as_said("groq", 0, 100.0) == 0.0
    assert limits.wait_as_said("groq", 0, 100.0, model="m") == 30.0
    assert limits.wait_as_said("mistral", 0, 100.0) == 0.0
