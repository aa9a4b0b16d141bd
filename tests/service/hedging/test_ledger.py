"""Sums over a request's attempts, in figures."""

import msgspec
import pytest

from adapters.errors import make
from adapters.events import Ending, ErrorCode, Finish, Outcome, Usage, UsageSource
from adapters.tokens import UNKNOWN
from service.hedging.ledger import finish_of, outcome_of, plain, timing, total_of


def used(output: int, cost: str | None) -> Usage:
    return msgspec.structs.replace(
        UNKNOWN,
        input=10,
        output=output,
        total=10 + output,
        source=UsageSource.PROVIDER,
        cost_usd=cost,
        raw={"completion_tokens": output},
    )


def broken(code: ErrorCode, finish: Finish = Finish.ERROR) -> Ending:
    return Ending(finish=finish, error=make(code, "broken"))


@pytest.mark.parametrize(
    ("ending", "outcome"),
    [
        (Ending(finish=Finish.STOP), Outcome.COMPLETED),
        (Ending(finish=Finish.CANCELLED), Outcome.LOST_RACE),
        (broken(ErrorCode.CANCELLED), Outcome.CANCELLED),
        (broken(ErrorCode.DRAINING), Outcome.CANCELLED),
        (broken(ErrorCode.TIMEOUT_IDLE), Outcome.TIMEOUT),
        (broken(ErrorCode.UPSTREAM_5XX), Outcome.FAILED),
    ],
)
def test_an_attempt_comes_to_one_thing(ending: Ending, outcome: Outcome) -> None:
    assert outcome_of(ending) is outcome


@pytest.mark.parametrize(
    ("ending", "code", "finish"),
    [
        (Ending(finish=Finish.LENGTH), None, Finish.LENGTH),
        (None, None, Finish.OTHER),
        (None, ErrorCode.CANCELLED, Finish.CANCELLED),
        (None, ErrorCode.DRAINING, Finish.INTERRUPTED),
        (None, ErrorCode.ALL_ATTEMPTS_FAILED, Finish.ERROR),
        (
            broken(ErrorCode.STREAM_INTERRUPTED, Finish.INTERRUPTED),
            ErrorCode.FAILOVER_IMPOSSIBLE,
            Finish.INTERRUPTED,
        ),
    ],
)
def test_the_requests_own_end_outranks_the_attempts(
    ending: Ending | None, code: ErrorCode | None, finish: Finish
) -> None:
    assert finish_of(ending, None if code is None else make(code, "broken")) is finish


def test_a_total_costs_what_all_cost_that_may_be_charged() -> None:
    whole = total_of([(used(5, "0.001"), "taken"), (used(7, "0.02"), "taken")])
    assert (whole.output, whole.requests, whole.cost_usd) == (12, 2, "0.021")
    assert whole.raw is None


def test_one_unknown_cost_makes_the_total_unknown() -> None:
    assert total_of([(used(5, "0.001"), "taken"), (used(7, None), "taken")]).cost_usd is None


def test_what_nobody_took_costs_nothing() -> None:
    assert total_of([(used(5, "0.001"), "taken"), (UNKNOWN, "refused")]).cost_usd == "0.001"
    assert total_of([(UNKNOWN, "unsent")]).cost_usd is None


def test_the_providers_own_object_is_in_the_attempts_end_only() -> None:
    assert plain(used(5, None)).raw is None


def test_a_speed_is_that_of_the_attempt_that_ended_the_answer() -> None:
    told = timing(arrived=1.0, queued_ms=2, first_content=1.5, answering=9.0, output=100, now=11.0)
    assert (told.queued_ms, told.ttft_ms, told.total_ms) == (2, 500, 10_000)
    assert told.tokens_per_s == 50.0


def test_without_content_there_is_no_speed_and_no_first_token() -> None:
    told = timing(
        arrived=1.0, queued_ms=0, first_content=None, answering=None, output=None, now=2.0
    )
    assert (told.ttft_ms, told.tokens_per_s) == (None, None)
