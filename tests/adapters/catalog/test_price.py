from decimal import Decimal

import pytest

from adapters.catalog.price import Price, Rates, Tier

SMALL = Rates(input=Decimal(1), output=Decimal(2))
LARGE = Rates(input=Decimal(3), output=Decimal(4))
HUGE = Rates(input=Decimal(5), output=Decimal(6))
PRICE = Price(
    base=SMALL,
    tiers=(Tier(100, LARGE), Tier(1000, HUGE)),
    search=Decimal(10),
    request=Decimal(5),
    source="a test",
)


@pytest.mark.parametrize(
    ("tokens", "rates"), [(0, SMALL), (100, SMALL), (101, LARGE), (1000, LARGE), (1001, HUGE)]
)
def test_the_highest_tier_that_a_request_exceeds_holds_for_it(tokens: int, rates: Rates) -> None:
    assert PRICE.rates(tokens) is rates


def test_searches_and_requests_are_priced_by_the_thousand() -> None:
    assert PRICE.per_request(0) == Decimal("0.005")
    assert PRICE.per_request(2) == Decimal("0.025")
    assert Price(base=SMALL, source="a test").per_request(3) == 0


def test_rates_that_are_not_stated_are_those_of_other_input() -> None:
    cost = SMALL.cost(input_tokens=1_000_000, cached=400_000, cache_write=500_000, output=0)
    assert cost == 1
