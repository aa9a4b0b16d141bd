"""What an attempt cost, as whole nano-USD, and who says so.

A nano-USD is 1e-9 US dollars: the price of one token of the cheapest models is a few of them, and
2**63 are nine billion dollars. Tokens are multiplied by exact prices and rounded once per part,
half to even; the total is the sum of the rounded parts, so that a bill by part adds up. At most
half a nano-USD per part is lost, whatever the numbers.

Unknown is None, never 0: where nobody knows a price, or the provider did not count, there is no
cost. Who states the cost beats every price; then there are no parts, because nobody stated those.

Deciding only. What somebody should be billed is the business of who reads the events.
"""

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum
from typing import Final

import msgspec

from adapters.catalog.price import Price, Rates
from adapters.catalog.prices import STATED
from adapters.events import Usage

NANO: Final = 1_000_000_000


class CostSource(StrEnum):
    """Whose word a cost is."""

    PROVIDER = "provider"
    PRICE_BOOK = "price_book"
    OVERRIDE = "override"
    UNKNOWN = "unknown"


class CostParts(msgspec.Struct, frozen=True, kw_only=True):
    """What a cost is the sum of, nano-USD.

    A cache's part is None where its tokens were not told from others: they are in `input` then.
    """

    input: int
    """Of tokens that were in no cache."""
    cache_read: int | None
    cache_write: int | None
    output: int
    """Reasoning included."""
    request: int
    """Of the request itself and of its web searches."""

    def total(self) -> int:
        """All of them."""
        return (
            self.input
            + (self.cache_read or 0)
            + (self.cache_write or 0)
            + self.output
            + self.request
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one attempt cost."""

    nano_usd: int | None
    parts: CostParts | None
    source: CostSource
    price_ref: str | None
    """Which price, of which list and day; None where no price is known or none was needed."""


UNKNOWN: Final = Cost(nano_usd=None, parts=None, source=CostSource.UNKNOWN, price_ref=None)
"""Nobody knows."""


def cost_of(usage: Usage, price: Price | None, *, target: str, searches: int = 0) -> Cost:
    """What an attempt cost that used so much.

    Args:
        usage: With `cost_usd` only where the provider itself states it.
        price: What held when the attempt was sent; None where nobody says.
        target: `<provider>/<model>`, for the reference to the price.
        searches: Paid web searches that the provider did.
    """
    if usage.cost_usd is not None:
        stated = nano(Decimal(usage.cost_usd))
        return Cost(nano_usd=stated, parts=None, source=CostSource.PROVIDER, price_ref=None)
    if price is None:
        return UNKNOWN
    parts = _parts(usage, price, searches)
    if parts is None:
        return Cost(
            nano_usd=None, parts=None, source=CostSource.UNKNOWN, price_ref=_ref(price, target)
        )
    return Cost(
        nano_usd=parts.total(),
        parts=parts,
        source=CostSource.OVERRIDE if price.source == STATED else CostSource.PRICE_BOOK,
        price_ref=_ref(price, target),
    )


def nano(dollars: Decimal) -> int:
    """US dollars in nano-USD, half to even."""
    return int((dollars * NANO).to_integral_value(ROUND_HALF_EVEN))


def usd(nano_usd: int | None) -> str | None:
    """US dollars as a decimal string, exact and without an exponent."""
    if nano_usd is None:
        return None
    whole, rest = divmod(abs(nano_usd), NANO)
    sign = "-" if nano_usd < 0 else ""
    return f"{sign}{whole}.{rest:09}".rstrip("0").rstrip(".")


def _parts(usage: Usage, price: Price, searches: int) -> CostParts | None:
    if usage.input is None or usage.output is None:
        return None
    rates = price.rates(usage.input)
    read, written = usage.input_cached, usage.input_cache_write
    return CostParts(
        input=_tokens(rates, fresh=max(0, usage.input - (read or 0) - (written or 0))),
        cache_read=None if read is None else _tokens(rates, read=read),
        cache_write=None if written is None else _tokens(rates, written=written),
        output=_tokens(rates, output=usage.output),
        request=nano(price.per_request(searches)),
    )


def _tokens(
    rates: Rates, *, fresh: int = 0, read: int = 0, written: int = 0, output: int = 0
) -> int:
    dollars = rates.cost(
        input_tokens=fresh + read + written, cached=read, cache_write=written, output=output
    )
    return nano(dollars)


def _ref(price: Price, target: str) -> str:
    """`genai-prices@0.2.3#groq/llama-3.3-70b`, with the day it was read where one is told."""
    dated = "" if price.dated is None else f"@{price.dated.isoformat()}"
    return f"{price.source.replace(' ', '@', 1)}#{target}{dated}"
