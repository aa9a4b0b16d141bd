"""What became of made-up requests: told in the service's own words, and priced by its own rules."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import cache
from itertools import groupby
from random import Random

import pytest

from adapters.catalog.prices import Prices
from adapters.events import Role, Usage, UsageSource
from adapters.registry import PROVIDERS
from adapters.request import UseCase
from service.demo.attempts import told
from service.demo.traffic import CLIENTS, DAY, Ask, asks
from service.routing import table
from service.settings import Settings
from service.usage import tally
from service.usage.cost import CostSource, cost_of
from service.usage.record import Billable, UsageEvent, Verdict, encode

END = datetime(2026, 11, 23, 8, 15, tzinfo=UTC).timestamp()
START = END - 7 * DAY


def made(seed: int) -> list[UsageEvent]:
    luck = Random(seed)  # noqa: S311 - made up, no secret
    return told(luck, asks(luck, since=START, until=END), since=START, until=END)


@cache
def week() -> Sequence[UsageEvent]:
    return tuple(made(0))


def of_requests(events: Iterable[UsageEvent]) -> list[list[UsageEvent]]:
    """The attempts of each request, the first one first."""
    key = lambda event: (event.data.request_id, event.data.attempt)  # noqa: E731 - used twice here
    return [
        list(group)
        for _, group in groupby(sorted(events, key=key), lambda event: event.data.request_id)
    ]


def imitated(event: UsageEvent) -> tuple[str, str]:
    """The provider and the model that an event's model name says."""
    provider, _, model = event.data.model.removesuffix(" (demo)").partition("/")
    return provider, model


def test_the_same_luck_tells_the_same_and_another_one_something_else() -> None:
    assert made(0) == list(week())
    assert made(1) != list(week())


def test_every_event_says_that_it_is_a_demo() -> None:
    for event in week():
        assert event.data.provider == "demo"
        assert event.source == "tailrace/demo"
        assert event.data.model.endswith(" (demo)")
        assert event.data.tags == {"demo": "true"}
        assert event.data.price_ref is None or " (demo)" in event.data.price_ref
        assert event.data.client_key is not None
        assert event.data.client_key.startswith("demo-")
        assert event.subject == event.data.client_key


def test_every_event_is_one_that_can_be_counted_and_none_is_told_twice() -> None:
    counted = [tally.read(encode(event)) for event in week()]
    assert len({event.id for event in counted}) == len(week())
    assert min(event.ended for event in counted) >= START
    assert max(event.ended for event in counted) <= END


def test_they_are_told_in_the_order_in_which_they_ended() -> None:
    ends = [event.data.t_close_ns for event in week()]
    assert ends == sorted(ends)


def test_everybody_is_asked_for_what_the_table_prefers_them_for() -> None:
    rows = table.build(Settings(), {}).use_cases
    first = {
        (e.data.use_case, e.data.tier, imitated(e)[0])
        for e in week()
        if e.data.role is Role.PRIMARY
    }
    assert len(first) == len({(use_case, tier) for use_case, tier, _ in first})
    for use_case, tier, provider in first:
        preferred = {one.provider for one in rows[UseCase(use_case)].prefer[tier]}  # type: ignore[index] # a word of the enum
        assert provider in preferred


def test_every_client_is_answered_for_all_that_it_may_ask() -> None:
    combinations = [
        Ask(at=START + 60 * n, client=client.name, use_case=use_case, tier=tier, hedged=False)
        for client in CLIENTS
        for n, (use_case, tier) in enumerate((u, t) for u in client.use_cases for t in client.tiers)
    ]
    luck = Random(3)  # noqa: S311 - made up, no secret
    events = told(luck, combinations, since=START, until=END)
    assert {(e.data.use_case, e.data.tier) for e in events} == {
        (ask.use_case, ask.tier) for ask in combinations
    }


def test_a_cost_is_what_the_imitated_models_price_makes_of_the_tokens() -> None:
    prices, priced = Prices(), 0
    for event in week():
        data = event.data
        provider = PROVIDERS[imitated(event)[0]]
        price = prices.price(provider, provider.model(imitated(event)[1]), data.t_open_ns / 1e9)
        usage = Usage(
            input=data.usage.input_tokens,
            input_cached=data.usage.cache_read_tokens,
            input_cache_write=None,
            output=data.usage.output_tokens,
            output_reasoning=None,
            total=None,
            requests=1,
            source=UsageSource.PROVIDER,
        )
        cost = cost_of(usage, price, target="anybody", searches=provider.searches)
        assert (data.cost_nano_usd, data.cost_parts) == (cost.nano_usd, cost.parts)
        priced += data.cost_source is CostSource.PRICE_BOOK
    assert priced > 0.95 * len(week())


def test_a_week_has_every_way_to_end() -> None:
    ends = Counter(event.data.outcome for event in week())
    assert set(ends) == set(Verdict)
    assert ends[Verdict.WINNER] > 0.9 * len(week())
    roles = Counter(event.data.role for event in week())
    assert set(roles) == {Role.PRIMARY, Role.HEDGE, Role.FALLBACK, Role.CONTINUATION}
    assert {event.data.error_type for event in week()} >= {"timeout_first_token", "overloaded"}


def test_every_request_is_answered_or_given_up_and_its_attempts_are_numbered() -> None:
    for attempts in of_requests(week()):
        assert [event.data.attempt for event in attempts] == list(range(1, len(attempts) + 1))
        ends = Counter(event.data.outcome for event in attempts)
        assert ends[Verdict.WINNER] + ends[Verdict.CANCELLED] + ends[Verdict.INTERRUPTED] == 1
        first, *others = attempts
        assert first.data.parent_attempt is None
        assert {event.data.parent_attempt for event in others} <= {first.id}


def test_hedges_are_won_and_lost_and_only_who_wins_has_saved_time() -> None:
    hedged = [attempts for attempts in of_requests(week()) if attempts[0].data.hedged]
    won = [one for one in hedged if one[0].data.outcome is Verdict.LOSER]
    assert 0 < len(won) < len(hedged) < 0.05 * len(of_requests(week()))
    for first, hedge in hedged:
        assert hedge.data.role is Role.HEDGE
        assert hedge.data.t_open_ns > first.data.t_open_ns
        assert {first.data.outcome, hedge.data.outcome} == {Verdict.WINNER, Verdict.LOSER}
        assert (hedge.data.saved_ms is not None) == (hedge.data.outcome is Verdict.WINNER)
        assert first.data.saved_ms is None
    assert sum(event.data.saved_ms or 0 for event in week()) > 0


def test_what_was_refused_costs_nothing_that_anybody_knows() -> None:
    refused = [e for e in week() if e.data.http_status not in (200, None)]
    assert refused
    for event in refused:
        assert event.data.outcome is Verdict.FAILED
        assert event.data.billable is Billable.NO
        assert event.data.cost_nano_usd is None
        assert not event.data.committed


@pytest.mark.parametrize("field", ["t_open_ns", "t_first_token_ns"])
def test_times_follow_one_another(field: str) -> None:
    for event in week():
        at = getattr(event.data, field)
        assert at is None or event.data.t_open_ns <= at <= event.data.t_close_ns


def test_what_is_not_over_yet_is_not_told() -> None:
    """Of a request all or nothing: half of one would never get its other half."""
    luck = Random(0)  # noqa: S311 - made up, no secret
    late = [
        Ask(
            at=END - 0.01, client="demo-web", use_case=UseCase.CONVERSATION, tier=tier, hedged=False
        )
        for client in CLIENTS
        for tier in client.tiers
    ]
    assert told(luck, late, since=START, until=END) == []
