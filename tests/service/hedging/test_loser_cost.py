"""What a cancelled attempt costs, in figures."""

import pytest

from adapters.contract import CancelBilling
from adapters.registry import PROVIDERS
from service.hedging.loser_cost import Price, attempt_cost, loser_cost

PRICE = Price(input=2.5e-6, output=10e-6)


def test_a_whole_answer_costs_its_input_and_its_output() -> None:
    assert attempt_cost(PRICE, input_tokens=500, output_tokens=350) == pytest.approx(0.00475)


@pytest.mark.parametrize(
    ("billing", "expected"), [("stops", 0.00125), ("full", 0.00475), ("unknown", 0.00475)]
)
def test_a_loser_costs_what_its_provider_charges_for_a_cancelled_answer(
    billing: CancelBilling, expected: float
) -> None:
    lost = loser_cost(PRICE, billing, input_tokens=500, expected_output=350)
    assert lost == pytest.approx(expected)


def test_an_unknown_price_is_no_price_of_nothing() -> None:
    assert loser_cost(None, "stops", input_tokens=500, expected_output=350) is None
    assert attempt_cost(None, input_tokens=0, output_tokens=0) is None


def test_every_provider_says_what_it_charges_or_that_nobody_knows() -> None:
    told = {name: provider.cancel_billing for name, provider in PROVIDERS.items()}
    assert {name for name, billing in told.items() if billing == "unknown"} == {
        "kimi",
        "glm",
        "openrouter",
        "github",
    }
