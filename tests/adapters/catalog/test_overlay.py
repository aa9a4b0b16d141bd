from datetime import date
from decimal import Decimal

from adapters.catalog import snapshot
from adapters.catalog.overlay import OVERLAY
from adapters.registry import FIFTEEN

READ = date(2026, 11, 23)
NOON = 1_795_348_800.0  # 2026-11-22T12:00Z


def test_every_row_has_a_source_and_a_date_and_costs_something() -> None:
    for price in OVERLAY.values():
        assert price.source
        assert price.dated is not None
        assert price.dated <= READ
        for rates in (price.base, *(tier.rates for tier in price.tiers)):
            assert Decimal(0) < rates.input <= rates.output
            assert rates.cached is None or Decimal(0) < rates.cached < rates.input


def test_every_row_belongs_to_a_provider_that_looks_there() -> None:
    names = {provider.prices or provider.name for provider in FIFTEEN.values()}
    assert {provider for provider, _ in OVERLAY} <= names


def test_no_row_repeats_what_the_list_has_of_its_own() -> None:
    """A newer list may have caught up; then the row is in nobody's way, and goes."""
    repeated = [
        row
        for row in OVERLAY
        if (listed := snapshot.look_up(*row, NOON)) and listed.own and listed.price
    ]
    assert repeated == []
