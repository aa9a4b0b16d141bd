"""Each reason by itself, and that nothing speaks against what is plain."""

import pytest

from service.hedging.exclusions import (
    CandidateFacts,
    Denied,
    RequestFacts,
    of_candidate,
    of_request,
)


def test_nothing_speaks_against_a_plain_request() -> None:
    assert of_request(RequestFacts()) is None
    assert of_request(RequestFacts(input_tokens=32_000)) is None


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        (RequestFacts(budgeted=False), Denied.NOT_BUDGETED),
        (RequestFacts(input_tokens=32_001), Denied.INPUT_TOO_LONG),
        (RequestFacts(uploads=True), Denied.UPLOADS),
        (RequestFacts(candidates=1), Denied.NO_CANDIDATE),
        (RequestFacts(max_attempts=1), Denied.ATTEMPTS_SPENT),
    ],
)
def test_a_request_is_not_hedged_for_one_reason(facts: RequestFacts, reason: Denied) -> None:
    assert of_request(facts) is reason


def test_how_long_is_too_long_is_configured() -> None:
    facts = RequestFacts(input_tokens=8_001)
    assert of_request(facts, most_input=8_000) is Denied.INPUT_TOO_LONG


def test_nothing_speaks_against_a_plain_candidate() -> None:
    assert of_candidate(CandidateFacts()) is None
    assert of_candidate(CandidateFacts(headroom=0.10, cached_there=0.50)) is None
    assert of_candidate(CandidateFacts(cached_there=0.9, cached_here=0.1)) is None
    assert of_candidate(CandidateFacts(time_left=2.0, usual=2.0)) is None


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        (CandidateFacts(same_domain=True), Denied.SAME_DOMAIN),
        (CandidateFacts(healthy=False), Denied.UNHEALTHY),
        (CandidateFacts(headroom=0.09), Denied.LIMIT_NEAR),
        (CandidateFacts(cached_there=0.51), Denied.CACHE_LOST),
        (CandidateFacts(time_left=1.9, usual=2.0), Denied.DEADLINE_NEAR),
    ],
)
def test_a_candidate_is_passed_over_for_one_reason(facts: CandidateFacts, reason: Denied) -> None:
    assert of_candidate(facts) is reason
