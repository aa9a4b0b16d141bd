"""What a request is expected to cost, and what tokens cost at whom.

Whose word counts: the operator's own for a model, then the packaged list's for exactly this
provider, then our additions to it (`overlay`), last what the list says of the model at its maker,
for a provider that the list knows to sell at the maker's price. Where nobody says anything the
price is None: unknown, never 0. What an attempt did cost is made of it by `service.usage.cost`,
where what a provider states beats every price.

A price is resolved once per model and kept for the period in which it holds, which ends where a
condition of it turns (a start date, a peak hour). That nobody knows a model is kept as well:
not to find it takes the list 0.5 to 0.7 ms. One instance serves a process. It is not bound to the
settings: what the operator states comes with the `Model`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from math import inf
from typing import Final

from adapters.catalog import snapshot
from adapters.catalog.overlay import OVERLAY
from adapters.catalog.price import MILLION, Price, Rates, Tier
from adapters.contract import Model, Provider

STATED: Final = "stated"
"""`Price.source` of a price that the operator, or a provider's own file, states."""

MOST_MODELS: Final = 2_000
"""Models remembered, the one resolved first forgotten: clients may name any model. By use it would
be kinder to those that are asked for, and dearer for each estimate than to resolve them again after
two thousand strangers."""


class Prices:
    """The catalog's prices; implements `service.routing.view.Prices`."""

    def __init__(self) -> None:
        """Nothing is resolved yet."""
        self._periods: dict[tuple[str, str], _Period] = {}

    def price(self, provider: Provider, model: Model, at: float) -> Price | None:
        """What the model costs there at that moment, Unix seconds; None where nobody says."""
        if model.price_input is not None and model.price_output is not None:
            return _stated(model.price_input, model.price_output)
        return self._period(provider, model, at).price

    def estimate(
        self, provider: Provider, model: Model, input_tokens: int, output_tokens: int, at: float
    ) -> float | None:
        """US dollars for so many tokens, none of them cached; None where no price is known.

        Routing asks it for each of its candidates: 0.4 us where the price is resolved.
        """
        if model.price_input is not None and model.price_output is not None:
            dollars = input_tokens * model.price_input + output_tokens * model.price_output
            return float(dollars) / MILLION
        for step in self._period(provider, model, at).steps:
            if input_tokens > step.above:
                return input_tokens * step.input + output_tokens * step.output + step.beside
        return None

    def _period(self, provider: Provider, model: Model, at: float) -> "_Period":
        key = (provider.name, model.id)
        period = self._periods.get(key)
        if period is None or not period.since <= at < period.until:
            if period is None and len(self._periods) >= MOST_MODELS:
                del self._periods[next(iter(self._periods))]
            period = self._periods[key] = _resolve(provider, model.id, at)
        return period


def _stated(fresh: Decimal, output: Decimal) -> Price:
    return Price(base=Rates(input=fresh, output=output), source=STATED)


# --- Resolving ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Step:
    """Rates as floats, US dollars per token, for an estimate of a request beyond `above`."""

    above: int
    input: float
    output: float
    beside: float
    """What the request costs beside its tokens."""


@dataclass(frozen=True, slots=True)
class _Period:
    """A price, or that there is none, and how long that holds."""

    since: float
    until: float
    price: Price | None
    steps: tuple[_Step, ...]
    """The largest first; none where there is no price."""


def _resolve(provider: Provider, model: str, at: float) -> _Period:
    name = provider.prices or provider.name
    listed = snapshot.look_up(name, model, at)
    ours = OVERLAY.get((name, model))
    if listed is None or (ours is not None and not listed.own):
        return _Period(-inf, inf, ours, tuple(_steps(ours, provider.searches)))
    steps = tuple(_steps(listed.price, provider.searches))
    return _Period(listed.since, listed.until, listed.price, steps)


def _steps(price: Price | None, searches: int) -> Iterator[_Step]:
    if price is None:
        return
    beside = float(price.per_request(searches))
    for tier in (*reversed(price.tiers), Tier(-1, price.base)):
        fresh, output = float(tier.rates.input), float(tier.rates.output)
        yield _Step(tier.above, fresh / MILLION, output / MILLION, beside)
