"""One offer at a time: can it serve, and if not why not."""

from collections.abc import Iterable
from math import inf

from adapters.contract import Model, Provider
from adapters.errors import make
from adapters.events import ErrorCode
from service.routing.health import State, Target
from service.routing.plan import Reason, Skipped
from service.routing.roster import Roster
from service.routing.sieve import Able, Sieve, needs
from tests.service.routing.market import AT, Moment, market, model, provider, request

P = provider("p", model("one"), model("two"))


def sieve(moment: Moment, **fields: object) -> Sieve:
    asked = request(**fields)
    return Sieve(asked, needs(asked, 100, 0.05), moment.view, moment.now, AT)


def sift(
    moment: Moment, entry: Provider = P, *, waits: bool = False, **fields: object
) -> tuple[Able | None, Iterable[Skipped]]:
    sifter = sieve(moment, **fields)
    able = sifter.first(Roster(market(entry)).fitting("p", 2), waits=waits)
    return able, list(sifter.skipped.values())


class Asked(Moment):
    """Remembers for which models it was asked as reasoning ones."""

    def usual(
        self, target: Target, input_tokens: int, now: float, *, reasoning: bool
    ) -> float | None:
        self.speeds = {**self.speeds, target.model: float(reasoning)}
        return super().usual(target, input_tokens, now, reasoning=reasoning)


def test_an_able_offer_comes_with_cost_speed_and_standing() -> None:
    able, skipped = sift(Moment(prices={"one": 0.01}, speeds={"one": 0.3}))
    assert able is not None
    assert (able.cost, able.ttft, able.standing.state) == (0.01, 0.3, State.CLOSED)
    assert (able.offer.target, able.open, skipped) == (("p", "one"), False, [])


def test_only_the_first_that_cannot_is_noted_of_a_provider() -> None:
    able, skipped = sift(Moment(prices={"one": 1.0, "two": 2.0}))
    assert able is None
    assert [(skip.model, skip.reason) for skip in skipped] == [("one", Reason.OVER_CAP)]


def test_where_none_can_serve_those_that_come_back_are_noted_beside_the_first() -> None:
    three = provider("p", model("one"), model("two"), model("three"))
    able, skipped = sift(Moment(prices={"one": 1.0, "three": 2.0}, waits={"p/two": 3.0}), three)
    assert able is None
    assert [(skip.model, skip.reason) for skip in skipped] == [
        ("one", Reason.OVER_CAP),
        ("two", Reason.LIMIT_REACHED),
    ]


def test_one_that_cannot_for_the_moment_is_waited_for_only_when_asked_to() -> None:
    moment = Moment(waits={"p/one": 3.0})
    able, _ = sift(moment)
    assert able is not None
    assert able.offer.model.id == "two"
    able, skipped = sift(moment, waits=True)
    assert able is None
    assert skipped == [Skipped("p", "one", Reason.LIMIT_REACHED, retry_after_s=3.0)]


def test_a_model_that_its_provider_no_longer_lists_is_for_those_who_name_it() -> None:
    entry = provider("p", model("one", gone=True), model("two"))
    able, skipped = sift(Moment(), entry)
    assert able is not None
    assert able.offer.model.id == "two"
    assert [(skip.model, skip.reason) for skip in skipped] == [("one", Reason.RETIRED)]
    named = sieve(Moment()).first(Roster(market(entry)).fitting("p", 2), named=True)
    assert named is not None
    assert named.offer.model.id == "one"


def test_a_provider_that_is_barred_is_asked_for_no_other_model() -> None:
    able, skipped = sift(Moment(waits={"p": 3.0}))
    assert able is None
    assert skipped == [Skipped("p", None, Reason.LIMIT_REACHED, retry_after_s=3.0)]


def test_a_spent_quota_says_when_it_is_tried_again() -> None:
    moment = Moment()
    moment.health.failed(Target("p", "two"), make(ErrorCode.QUOTA_PROVIDER, "no"), 0.0)
    moment.now = 100.0
    _, skipped = sift(moment)
    assert skipped == [Skipped("p", None, Reason.QUOTA_SPENT, retry_after_s=500.0)]


def test_whether_first_tokens_are_of_a_reasoning_model_depends_on_model_and_request() -> None:
    def reasons(kind: str, **fields: object) -> bool:
        moment = Asked()
        entry = provider("p", Model(id="one", reasoning=kind))  # type: ignore[arg-type]
        sift(moment, entry, **fields)
        return bool(moment.speeds["one"])

    assert reasons("always")
    assert not reasons("optional")
    assert reasons("optional", reasoning={"effort": "low"})
    assert not reasons("optional", reasoning={"effort": "none"})
    assert not reasons("none", reasoning={"effort": "low"})


def test_the_reason_against_an_offer_is_its_own_or_its_provider_s() -> None:
    roster = Roster(market(P))
    offer = roster.offer("p", "one")
    sifter = sieve(Moment(waits={"p": 3.0}))
    assert sifter.why(offer) is None
    sifter.first([offer])
    assert sifter.why(offer) == Skipped("p", None, Reason.LIMIT_REACHED, retry_after_s=3.0)


def test_a_request_that_no_minute_has_room_for_is_over_the_limit_and_not_told_to_wait() -> None:
    able, skipped = sift(Moment(waits={"p": inf}))
    assert able is None
    assert [(skip.model, skip.reason, skip.retry_after_s) for skip in skipped] == [
        (None, Reason.OVER_LIMIT, None)
    ]
