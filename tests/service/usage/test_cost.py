"""What an attempt cost: to the nano-USD, and nothing where nobody knows."""

from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from adapters.catalog.price import Price, Rates, Tier
from adapters.catalog.prices import Prices
from adapters.contract import Model
from adapters.events import Usage, UsageSource
from adapters.registry import PROVIDERS
from adapters.tokens import UNKNOWN
from service.usage import cost
from service.usage.cost import Cost, CostParts, CostSource, cost_of

USAGE = msgspec.structs.replace(UNKNOWN, input=100, output=10, source=UsageSource.PROVIDER)
RATES = Rates(input=Decimal("0.15"), output=Decimal("0.6"))
PRICE = Price(base=RATES, source="list 1.2.3")
THEN = datetime(2026, 11, 22, tzinfo=UTC).timestamp()


def used(**counts: object) -> Usage:
    return msgspec.structs.replace(USAGE, **counts)


# --- By a price ---


def test_tokens_are_priced_and_the_price_is_named() -> None:
    assert cost_of(USAGE, PRICE, target="groq/m") == Cost(
        nano_usd=21_000,
        parts=CostParts(input=15_000, cache_read=None, cache_write=None, output=6_000, request=0),
        source=CostSource.PRICE_BOOK,
        price_ref="list@1.2.3#groq/m",
    )


def test_a_cache_s_tokens_cost_what_they_cost_there_and_are_not_charged_twice() -> None:
    rates = Rates(
        input=Decimal(3), output=Decimal(15), cached=Decimal("0.3"), cache_write=Decimal("3.75")
    )
    usage = used(input=1_000, input_cached=600, input_cache_write=300, output=0)
    found = cost_of(usage, Price(base=rates, source="s"), target="t")
    assert found.parts == CostParts(
        input=300_000, cache_read=180_000, cache_write=1_125_000, output=0, request=0
    )
    assert found.nano_usd == 1_605_000


def test_a_cache_that_holds_more_than_was_asked_makes_no_negative_part() -> None:
    parts = cost_of(used(input=10, input_cached=20), PRICE, target="t").parts
    assert parts is not None
    assert parts.input == 0


def test_each_part_is_rounded_half_to_even() -> None:
    half = Price(base=Rates(input=Decimal("0.0005"), output=Decimal("0.0015")), source="s")
    found = cost_of(used(input=1, output=1), half, target="t")
    assert found.parts is not None
    assert (found.parts.input, found.parts.output, found.nano_usd) == (0, 2, 2)


def test_a_request_and_its_searches_are_a_part_of_their_own() -> None:
    price = Price(base=RATES, search=Decimal(5), request=Decimal(1), source="s")
    parts = cost_of(USAGE, price, target="t", searches=2).parts
    assert parts is not None
    assert parts.request == 11_000_000


def test_beyond_a_tier_every_token_costs_the_tier_s_price() -> None:
    tiers = (Tier(100, Rates(input=Decimal(1), output=Decimal(2))),)
    price = Price(base=RATES, tiers=tiers, source="s")
    assert cost_of(used(input=100), price, target="t").nano_usd == 21_000
    assert cost_of(used(input=101), price, target="t").nano_usd == 101_000 + 20_000


def test_the_operator_s_own_price_is_called_an_override() -> None:
    model = Model(id="m", price_input=Decimal(1), price_output=Decimal(2))
    own = Prices().price(PROVIDERS["groq"], model, THEN)
    found = cost_of(USAGE, own, target="groq/m")
    assert (found.source, found.price_ref) == (CostSource.OVERRIDE, "stated#groq/m")


def test_a_price_says_the_day_it_was_read() -> None:
    price = Price(base=RATES, source="a page", dated=date(2026, 11, 20))
    assert cost_of(USAGE, price, target="qwen/m").price_ref == "a@page#qwen/m@2026-11-20"


@pytest.mark.parametrize("name", ["claude", "openai", "groq", "mistral", "perplexity"])
def test_the_parts_of_a_catalog_price_are_what_the_catalog_says_it_costs(name: str) -> None:
    provider, prices = PROVIDERS[name], Prices()
    usage = used(input=4_740, input_cached=5, input_cache_write=4_700, output=255)
    for model in provider.models:
        price = prices.price(provider, model, THEN)
        found = cost_of(usage, price, target=f"{name}/{model.id}", searches=provider.searches)
        if price is None:
            assert found == cost.UNKNOWN
        else:
            tokens = price.rates(4_740).cost(
                input_tokens=4_740, cached=5, cache_write=4_700, output=255
            )
            said = tokens + price.per_request(provider.searches)
            assert found.nano_usd is not None
            assert abs(found.nano_usd - Fraction(said) * 10**9) <= Fraction(5, 2)


# --- By the provider's word ---


@pytest.mark.parametrize(
    ("stated", "nano"),
    [
        ("0", 0),
        ("0.00012345", 123_450),
        ("0.0000000005", 0),
        ("0.0000000015", 2),
        ("12.5", 125 * 10**8),
    ],
)
def test_what_the_provider_states_beats_every_price_and_has_no_parts(
    stated: str, nano: int
) -> None:
    found = cost_of(used(cost_usd=stated), PRICE, target="t")
    assert found == Cost(nano_usd=nano, parts=None, source=CostSource.PROVIDER, price_ref=None)


# --- Unknown ---


def test_without_a_price_there_is_no_cost() -> None:
    assert cost_of(USAGE, None, target="t") == Cost(
        nano_usd=None, parts=None, source=CostSource.UNKNOWN, price_ref=None
    )


@pytest.mark.parametrize("count", ["input", "output"])
def test_without_a_count_there_is_no_cost_though_the_price_is_known(count: str) -> None:
    found = cost_of(used(**{count: None}), PRICE, target="t")
    assert (found.nano_usd, found.parts, found.source) == (None, None, CostSource.UNKNOWN)
    assert found.price_ref == "list@1.2.3#t"


# --- Against exact fractions ---

RATE = st.decimals(min_value=0, max_value=100_000, places=9)
COUNT = st.integers(min_value=0, max_value=50_000_000)
SHARE = st.none() | COUNT


def exact(rate: Decimal | None, otherwise: Decimal, tokens: int) -> Fraction:
    """Nano-USD: US dollars per million tokens are 1,000 of them per token."""
    return Fraction(otherwise if rate is None else rate) * 1_000 * tokens


@given(RATE, RATE, st.none() | RATE, st.none() | RATE, COUNT, SHARE, SHARE, COUNT)
@example(*[Decimal("0.0005")] * 4, 1, 0, 0, 1)
def test_every_part_is_within_half_a_nano_of_the_exact_one_and_the_total_is_their_sum(  # noqa: PLR0913, PLR0917 - one for each
    fresh: Decimal,
    output: Decimal,
    cached: Decimal | None,
    written: Decimal | None,
    more: int,
    read: int | None,
    wrote: int | None,
    said: int,
) -> None:
    rates = Rates(input=fresh, output=output, cached=cached, cache_write=written)
    total = more + (read or 0) + (wrote or 0)
    usage = used(input=total, input_cached=read, input_cache_write=wrote, output=said)
    found = cost_of(usage, Price(base=rates, source="s"), target="t")
    parts = found.parts
    assert parts is not None
    pairs = [(parts.input, exact(None, fresh, more)), (parts.output, exact(None, output, said))]
    for part, tokens, rate in (
        (parts.cache_read, read, cached),
        (parts.cache_write, wrote, written),
    ):
        assert (part is None) == (tokens is None)
        pairs.append((part or 0, exact(rate, fresh, tokens or 0)))
    assert all(abs(part - right) <= Fraction(1, 2) for part, right in pairs)
    assert [part for part, _ in pairs] == [round(right) for _, right in pairs]
    assert found.nano_usd == sum(part for part, _ in pairs) + parts.request
