"""What is said of a provider is what its attempts of the last quarter of an hour were."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.events import ErrorCode, Outcome, Role, UsageSource
from adapters.tokens import UNKNOWN
from service.telemetry.attempts import AttemptFacts
from service.telemetry.stats import MINUTES, MOST_KEYS, Contests, Figures, Stats
from tests.service.telemetry.facts import USAGE, completed, failed, overtaken

NOW = 1_002.0


def counted(*attempts: AttemptFacts) -> Stats:
    stats = Stats()
    for facts in attempts:
        stats.attempt_over(facts)
    return stats


def figures(*attempts: AttemptFacts, now: float = NOW) -> Figures:
    return counted(*attempts).of("openai", now).total


def test_nothing_is_known_of_a_provider_nobody_has_asked() -> None:
    known = counted(completed()).of("claude", NOW)
    assert known.models == ()
    nothing = known.total
    assert (nothing.attempts, nothing.outcomes, nothing.errors) == (0, {}, {})
    assert (nothing.first_token, nothing.per_output_token) == (None, None)
    assert (nothing.input_tokens, nothing.output_tokens, nothing.cost_usd) == (None, None, None)
    assert (nothing.unknown_cost, nothing.estimated_share) == (0, None)
    assert nothing.hedges == nothing.races == nothing.challenged == Contests(won=0, lost=0)


def test_attempts_are_counted_by_outcome_and_errors_by_code() -> None:
    known = figures(completed(), failed(), failed(ErrorCode.RATE_LIMIT_PROVIDER), failed())
    assert known.attempts == 4
    assert known.outcomes == {Outcome.COMPLETED: 1, Outcome.FAILED: 3}
    assert known.errors == {ErrorCode.OVERLOADED: 2, ErrorCode.RATE_LIMIT_PROVIDER: 1}


def test_the_total_is_the_sum_of_the_models_which_come_by_name() -> None:
    stats = counted(
        completed(model="b"), completed(model="a"), completed(model="b"), completed(provider="groq")
    )
    known = stats.of("openai", NOW)
    assert [(entry.model, entry.figures.attempts) for entry in known.models] == [("a", 1), ("b", 2)]
    assert (known.provider, known.total.attempts, known.total.input_tokens) == ("openai", 3, 300)


@given(st.lists(st.floats(0.001, 500), min_size=1))
def test_percentiles_are_right_to_two_and_a_half_percent(times: list[float]) -> None:
    known = figures(*(completed(ttft=seconds) for seconds in times)).first_token
    assert known is not None
    ordered = sorted(times)
    for share, found in ((0.50, known.p50), (0.90, known.p90), (0.99, known.p99)):
        rank = next(n for n in range(1, len(times) + 1) if n >= share * len(times))
        assert found == pytest.approx(ordered[rank - 1], rel=0.0251)
    assert known.count == len(times)


@pytest.mark.parametrize(("seconds", "said"), [(0.0, 1e-4), (1e9, 3_600.0)])
def test_a_time_beyond_the_buckets_counts_as_the_nearest(seconds: float, said: float) -> None:
    known = figures(completed(ttft=seconds)).first_token
    assert known is not None
    assert known.p50 == pytest.approx(said, rel=0.05)


def test_an_attempt_without_a_first_token_says_nothing_of_its_time() -> None:
    known = figures(completed(), overtaken(), failed())
    assert known.first_token is not None
    assert (known.first_token.count, known.attempts) == (1, 3)


def test_the_time_per_output_token_is_the_mean_after_the_first_one() -> None:
    known = figures(completed(ttft=0.5, duration=1.5)).per_output_token
    assert known is not None
    assert known.p50 == pytest.approx(0.1, rel=0.025)


@pytest.mark.parametrize(
    "usage",
    [
        UNKNOWN,
        msgspec.structs.replace(USAGE, output=1),
        msgspec.structs.replace(USAGE, output=0),
        msgspec.structs.replace(USAGE, source=UsageSource.ESTIMATED),
    ],
)
def test_no_time_per_output_token_is_made_up(usage: object) -> None:
    assert figures(completed(usage=usage)).per_output_token is None


@pytest.mark.parametrize(
    ("role", "kind"),
    [
        (Role.HEDGE, "hedges"),
        (Role.RACE, "races"),
        (Role.PRIMARY, "challenged"),
        (Role.FALLBACK, "challenged"),
    ],
)
def test_a_contest_is_counted_by_what_the_attempt_was_in_it(role: Role, kind: str) -> None:
    known = figures(
        completed(role=role, hedged=True),
        overtaken(role=role),
        overtaken(role=role),
        failed(role=role, hedged=True),
        completed(role=role),
    )
    assert getattr(known, kind) == Contests(won=1, lost=2)
    others = {"hedges", "races", "challenged"} - {kind}
    assert {getattr(known, other) for other in others} == {Contests(won=0, lost=0)}


def test_an_answer_that_broke_later_has_still_won() -> None:
    broken = failed(role=Role.HEDGE, hedged=True, committed=True)
    assert figures(broken).hedges == Contests(won=1, lost=0)


def test_what_nobody_said_is_unknown_and_what_somebody_said_is_added_up() -> None:
    priced = msgspec.structs.replace(USAGE, cost_usd="0.25")
    free = msgspec.structs.replace(USAGE, cost_usd="0")
    known = figures(completed(usage=priced), completed(usage=priced), completed(usage=free))
    assert (known.cost_usd, known.unknown_cost) == (0.5, 0)
    mixed = figures(completed(usage=free), completed())
    assert (mixed.cost_usd, mixed.unknown_cost) == (0.0, 1)
    assert (mixed.input_tokens, mixed.output_tokens) == (200, 22)
    silent = figures(overtaken())
    assert (silent.cost_usd, silent.unknown_cost, silent.input_tokens) == (None, 1, None)


def test_an_attempt_that_was_refused_has_no_cost_that_could_be_unknown() -> None:
    assert figures(failed(), failed(charged=True)).unknown_cost == 1


def test_the_estimated_share_is_of_the_attempts_whose_usage_is_known_at_all() -> None:
    guessed = msgspec.structs.replace(USAGE, source=UsageSource.ESTIMATED)
    known = figures(completed(), completed(), completed(), overtaken(usage=guessed), failed())
    assert known.estimated_share == 0.25


def test_what_is_older_than_the_window_is_forgotten() -> None:
    stats = counted(completed(started=0.0, duration=59.0), completed(started=60.0, duration=0.0))
    window = MINUTES * 60
    assert stats.of("openai", window - 1).total.attempts == 2
    assert stats.of("openai", window).total.attempts == 1
    gone = stats.of("openai", window + 60)
    assert (gone.total.attempts, gone.models) == (0, ())
    assert gone.window_s == window


def test_an_attempt_counts_in_the_minute_of_its_end() -> None:
    stats = counted(completed(started=0.0, duration=61.0))
    assert stats.of("openai", MINUTES * 60).total.attempts == 1


def test_an_attempt_told_late_is_counted_all_the_same() -> None:
    assert figures(completed(started=960.0), completed(started=900.0)).attempts == 2


def test_of_too_many_models_the_least_recently_used_is_forgotten() -> None:
    stats = counted(*(completed(model=f"m{number:04}") for number in range(MOST_KEYS)))
    stats.attempt_over(completed(model="m0000"))
    stats.attempt_over(completed(model="new"))
    known = [entry.model for entry in stats.of("openai", NOW).models]
    assert len(known) == MOST_KEYS
    assert known[:2] == ["m0000", "m0002"]


def test_extra_attempts_are_told_per_request_by_role() -> None:
    stats = counted(
        *(completed() for _ in range(4)), completed(role=Role.HEDGE), completed(role=Role.FALLBACK)
    )
    assert stats.extra_ratios(NOW) == {
        Role.HEDGE: 0.25,
        Role.RACE: 0.0,
        Role.FALLBACK: 0.25,
        Role.CONTINUATION: 0.0,
    }


def test_without_requests_there_is_no_ratio() -> None:
    assert Stats().extra_ratios(NOW) == {}
    assert counted(completed()).extra_ratios(NOW + MINUTES * 60) == {}
