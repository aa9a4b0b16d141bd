"""A price as a fact: what a provider asks for a model's tokens, and what a request costs by it.

All rates are US dollars per million tokens, as Decimals, so that sums of thousands of attempts stay
exact. A tier is the "cliff" that all providers here have: a request whose input is larger pays the
tier's rates for every token, not only for those beyond it.

Left out: audio and image tokens, which nothing here sends; discounts for batches, flex or priority,
which nothing here asks for; writing to a cache for an hour, which a usage does not tell from five
minutes.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final, overload

MILLION: Final = 1_000_000
THOUSAND: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """US dollars per million tokens."""

    input: Decimal
    """Of input that is in no cache."""
    output: Decimal
    """Reasoning included."""
    cached: Decimal | None = None
    """Of input read from a cache; None: none stated, so it costs what other input does."""
    cache_write: Decimal | None = None
    """Of input written to a cache; None: none stated, so it costs what other input does."""

    def cost(self, *, input_tokens: int, cached: int, cache_write: int, output: int) -> Decimal:
        """US dollars. `input_tokens` includes the cached and the cache-written ones."""
        fresh = max(0, input_tokens - cached - cache_write)
        return (
            fresh * self.input
            + cached * _or(self.cached, self.input)
            + cache_write * _or(self.cache_write, self.input)
            + output * self.output
        ) / MILLION

    def shown(self) -> dict[str, str | None]:
        """By name, as decimal strings; what is not stated as None."""
        return {
            "input": usd(self.input),
            "output": usd(self.output),
            "cached": usd(self.cached),
            "cache_write": usd(self.cache_write),
        }


@dataclass(frozen=True, slots=True)
class Tier:
    """What holds for all tokens of a request with more than `above` input tokens."""

    above: int
    rates: Rates


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What one model costs at one provider."""

    base: Rates
    """Below the first tier."""
    tiers: tuple[Tier, ...] = ()
    """Ascending."""
    search: Decimal | None = None
    """US dollars per 1,000 web searches that the provider does itself."""
    request: Decimal | None = None
    """US dollars per 1,000 requests, beside the tokens."""
    source: str
    """Who says so: a list with its version, a page, `stated` for the operator's own word."""
    dated: date | None = None
    """When that was read; None where the source's version says it."""

    def rates(self, input_tokens: int) -> Rates:
        """The rates for a request of that size."""
        larger = (tier.rates for tier in reversed(self.tiers) if input_tokens > tier.above)
        return next(larger, self.base)

    def per_request(self, searches: int) -> Decimal:
        """What a request with so many searches costs beside its tokens, US dollars."""
        return (_or(self.request, Decimal(0)) + searches * _or(self.search, Decimal(0))) / THOUSAND


@overload
def usd(amount: Decimal | float) -> str: ...
@overload
def usd(amount: None) -> None: ...
def usd(amount: Decimal | float | None) -> str | None:
    """US dollars as a decimal string, without an exponent or trailing zeros; None stays None.

    A float, which is an estimate, to the billionth; a Decimal to its last digit.
    """
    if amount is None:
        return None
    text = f"{amount:f}" if isinstance(amount, Decimal) else f"{amount:.9f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _or(rate: Decimal | None, otherwise: Decimal) -> Decimal:
    return otherwise if rate is None else rate
