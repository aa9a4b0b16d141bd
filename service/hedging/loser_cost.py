"""What an attempt costs that does not answer: the price of hedging.

The input is charged once the request was sent, as providers do. The output depends on what the
provider makes of a closed connection: some stop and charge what was generated so far, some generate
on and charge it all. Which one is a fact about the provider, told as data; where nobody knows, the
dearer is assumed. A price that is not known makes a cost that is not known, never 0.

US dollars as floats: these are estimates that a budget is kept with. What was really spent is the
accounts' business. docs/hedging.md, what a loser costs.
"""

from dataclasses import dataclass

from adapters.contract import CancelBilling


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per token."""

    input: float
    output: float


def attempt_cost(price: Price | None, *, input_tokens: float, output_tokens: float) -> float | None:
    """What a whole answer costs; None where the price is unknown."""
    if price is None:
        return None
    return price.input * input_tokens + price.output * output_tokens


def loser_cost(
    price: Price | None,
    billing: CancelBilling,
    *,
    input_tokens: float,
    expected_output: float,
) -> float | None:
    """What an attempt costs that was sent and then cancelled; None where the price is unknown.

    Args:
        price: The attempt's model.
        billing: The attempt's provider.
        input_tokens: Of the prompt.
        expected_output: What a whole answer has on average. What had come when it was cancelled is
            hardly ever anything.
    """
    output = 0.0 if billing == "stops" else expected_output
    return attempt_cost(price, input_tokens=input_tokens, output_tokens=output)
