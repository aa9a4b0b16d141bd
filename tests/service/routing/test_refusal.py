"""What is said where nobody can answer."""

import pytest

from adapters.errors import RequestError, make
from adapters.events import Error, ErrorCode
from service.routing.health import Target
from tests.service.routing.market import Moment, market, model, planned, provider, table

DEAR = provider("dear", model("gold"))
CHEAP = provider("cheap", model("tin"))
PRICES = {"gold": 0.9, "tin": 0.01}


def refused(moment: Moment, *, prefer: str = "dear", **inactive: str) -> Error:
    known = market(DEAR, CHEAP, **inactive)
    with pytest.raises(RequestError) as refusal:
        planned(known, table(known, conversation={"prefer": [prefer]}), moment)
    return refusal.value.error


def test_waiting_helps_where_anybody_under_the_cap_comes_back() -> None:
    error = refused(Moment(prices=PRICES, waits={"cheap": 4.0}))
    assert (error.code, error.http) == (ErrorCode.NO_CANDIDATES, 503)
    assert error.retry_after_ms == 4_000
    assert error.message == (
        "nobody can answer at the moment: dear/gold: estimated $0.9, standard allows $0.05; "
        "cheap: its rate limit here is reached"
    )


def test_waiting_helps_where_a_provider_s_cheap_model_comes_back_and_its_default_is_too_dear() -> (
    None
):
    both = provider("both", model("gold", 3), model("tin"), default="gold")
    known = market(both)
    moment = Moment(prices=PRICES)
    moment.health.cool(Target("both", "tin"), 7.0, 0.0)
    with pytest.raises(RequestError) as refusal:
        planned(known, table(known, conversation={"prefer": ["both"]}), moment)
    error = refusal.value.error
    assert (error.code, error.http) == (ErrorCode.NO_CANDIDATES, 503)
    assert error.retry_after_ms == 7_000


def test_the_cap_is_to_blame_where_the_others_lack_a_key() -> None:
    error = refused(Moment(prices=PRICES), cheap="no_key")
    assert (error.code, error.http, error.param) == (ErrorCode.OVER_BUDGET, 422, "budget_tier")
    assert "the cheapest that could answer, dear/gold, is estimated at $0.9" in error.message


def test_a_refused_key_is_not_for_the_moment() -> None:
    moment = Moment()
    for name, model_id in (("dear", "gold"), ("cheap", "tin")):
        failure = make(ErrorCode.AUTH_PROVIDER, "no")
        moment.health.failed(Target(name, model_id), failure, 0.0)
    error = refused(moment)
    assert (error.http, error.retry_after_ms) == (422, None)
    assert (
        error.message == "nobody can answer: dear: its key was refused; cheap: its key was refused"
    )


def test_a_request_too_large_for_everybody_s_limit_is_no_matter_of_waiting() -> None:
    error = refused(Moment(waits={"cheap": float("inf")}), dear="no_key")
    assert (error.code, error.http) == (ErrorCode.NO_CANDIDATES, 422)
    assert (error.retryable, error.retry_after_ms) == (False, None)
    assert error.message == (
        "nobody can answer: dear has no key; "
        "cheap: needs about 105 tokens, more than its limit allows in a minute"
    )


def test_where_there_is_nobody_at_all_that_is_what_it_says() -> None:
    with pytest.raises(RequestError, match="no provider is configured"):
        planned({})
