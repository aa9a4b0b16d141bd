from decimal import Decimal

import pytest

from adapters.catalog.price import Price, Rates, Tier, usd

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


@pytest.mark.parametrize(
    ("amount", "written"),
    [
        (None, None),
        (0.0, "0"),
        (1.0, "1"),
        (10.0, "10"),
        (0.05, "0.05"),
        (1e-7, "0.0000001"),
        (0.1 + 0.2, "0.3"),
        (Decimal(0), "0"),
        (Decimal(10), "10"),
        (Decimal("1E+1"), "10"),
        (Decimal("8.0"), "8"),
        (Decimal("0.0000000001230"), "0.000000000123"),
        (Decimal("123456789012345678901234567890.10"), "123456789012345678901234567890.1"),
    ],
)
def test_dollars_are_written_without_an_exponent_or_trailing_zeros(
    amount: Decimal | float | None, written: str | None
) -> None:
    assert usd(amount) == written
