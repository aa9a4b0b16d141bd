"""The banks and the burst, counted by hand."""

from math import exp

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.hedging.budget import Bank, Budget, BudgetSettings, Burst
from service.hedging.exclusions import Denied

QUIET = BudgetSettings(hedge_burst_share=1.0, burst_floor=1_000)
"""Where a case is about the banks alone."""


# --- Bank ---


def test_a_bank_opens_with_what_it_is_given_and_saves_as_much_however_little_comes_in() -> None:
    bank = Bank(opening=5.0, window=600.0)
    bank.deposit(0.05, 0.0)
    assert bank.balance == 5.0
    bank.withdraw(3.0)
    bank.deposit(0.05, 1.0)
    assert bank.balance == 2.05


def test_a_bank_holds_what_the_window_brings_in() -> None:
    bank = Bank(opening=5.0, window=600.0)
    for tick in range(200_000):
        bank.deposit(0.05, tick / 20)
    assert bank.balance == pytest.approx(0.05 / (1 - exp(-1 / 12_000)))  # 600 of them


def test_a_bank_that_stays_idle_keeps_its_balance_until_the_next_deposit() -> None:
    bank = Bank(opening=5.0, window=600.0)
    for tick in range(20_000):
        bank.deposit(0.05, tick / 20)
    bank.deposit(0.05, 1e6)
    assert bank.balance == 5.0


def test_rounding_denies_nobody() -> None:
    bank = Bank(opening=0.0, window=600.0)
    bank.deposit(1.0, 0.0)
    bank.withdraw(1.0)
    for _ in range(10):
        bank.deposit(0.1, 0.0)
    assert bank.balance < 1.0
    assert bank.holds(1.0)
    assert not bank.holds(1.01)


# --- Burst ---


def test_a_window_allows_its_share_of_the_requests_within_it() -> None:
    burst = Burst(window=10.0, floor=0)
    for tick in range(20):
        burst.request(tick / 10)
    for _ in range(5):
        assert burst.allows(2.0, 0.25)
        burst.repeat(2.0)
    assert not burst.allows(2.0, 0.25)
    # At 12 s the extra ones have left the window, and so have the requests.
    assert not burst.allows(12.0, 0.25)
    burst.request(12.0)
    assert burst.allows(12.0, 1.0)


def test_a_few_are_allowed_however_few_the_requests_are() -> None:
    burst = Burst(window=10.0, floor=2)
    burst.request(0.0)
    assert burst.allows(0.0, 0.25)
    burst.repeat(0.0)
    burst.repeat(0.0)
    assert not burst.allows(0.0, 0.25)
    assert burst.allows(10.0, 0.25)


# --- Budget ---


def test_five_hedges_are_in_the_bank_at_the_start() -> None:
    budget = Budget(QUIET)
    budget.request(0.01, 0.05, 0.0)
    assert [budget.hedge(0.01, 0.0) for _ in range(6)] == [None] * 5 + [Denied.REQUEST_BUDGET]


def test_twenty_requests_pay_for_one_hedge() -> None:
    budget = Budget(QUIET)
    for _ in range(5):
        budget.hedge(None, 0.0)
    denials = []
    for _ in range(40):
        budget.request(None, 0.05, 0.0)
        denials.append(budget.hedge(None, 0.0))
    assert [place for place, denied in enumerate(denials) if denied is None] == [19, 39]


def test_the_cost_bank_opens_with_five_of_the_first_request() -> None:
    budget = Budget(QUIET)
    budget.request(0.01, 0.05, 0.0)
    assert budget.hedge(0.049, 0.0) is None
    assert budget.hedge(0.002, 0.0) is Denied.COST_BUDGET
    # A hedge that is denied for its cost takes no request out of the other bank.
    assert [budget.hedge(None, 0.0) for _ in range(5)] == [None] * 4 + [Denied.REQUEST_BUDGET]


def test_a_loser_that_cost_less_than_expected_gives_back() -> None:
    budget = Budget(QUIET)
    budget.request(0.01, 0.05, 0.0)
    budget.hedge(0.05, 0.0)
    budget.settle(0.05, 0.01)
    assert budget.hedge(0.041, 0.0) is Denied.COST_BUDGET
    assert budget.hedge(0.040, 0.0) is None


def test_where_no_price_is_known_the_requests_alone_are_counted() -> None:
    budget = Budget(QUIET)
    budget.request(None, 0.05, 0.0)
    assert budget.hedge(None, 0.0) is None
    assert budget.hedge(0.5, 0.0) is None
    budget.settle(0.5, 0.1)


def test_many_at_once_are_denied_however_full_the_banks_are() -> None:
    budget = Budget()
    for tick in range(2_000):
        budget.request(None, 0.05, tick / 20)
    outcomes = [budget.hedge(None, 99.99) for _ in range(60)]
    assert outcomes == [None] * 40 + [Denied.BURST] * 20


def test_requests_that_have_waited_long_may_still_start_one_and_use_up_the_hedges_room() -> None:
    budget = Budget()
    for tick in range(2_000):
        budget.request(None, 0.05, tick / 20)
    assert [budget.failover(99.99) for _ in range(50)] == [True] * 48 + [False] * 2
    assert budget.hedge(None, 99.99) is Denied.BURST


@given(
    gaps=st.lists(st.floats(0.0, 5.0), min_size=1, max_size=200),
    cost=st.floats(1e-6, 1.0),
)
def test_hedging_whenever_allowed_never_exceeds_its_shares(gaps: list[float], cost: float) -> None:
    budget, now, hedges = Budget(), 0.0, 0
    for gap in gaps:
        now += gap
        budget.request(cost, 0.05, now)
        hedges += budget.hedge(cost, now) is None
    assert hedges <= 5 + 0.05 * len(gaps)
