"""What genai-prices lists, read into our own facts.

Only the data inside its wheel is read. Its updater, a thread that fetches a newer list every hour,
is never started, and its `calc_price` is not used: it takes 26 to 93 us a call and resolves the
same prices anew each time. Here a price is resolved once for the period in which it holds.

A list's price may depend on the date and on the time of day (DeepSeek's peak hours); it does not
know weekdays, so at weekends, which DeepSeek bills as off-peak, the peak price is an upper bound.

Source: genai_prices/types.py 0.2.3 (`ModelInfo.get_prices`, `TieredPrices`, the two constraints).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Final

import genai_prices
from genai_prices import types
from genai_prices.data import providers

from adapters.catalog.price import Price, Rates, Tier

SOURCE: Final = f"genai-prices {genai_prices.__version__}"

_BY_ID: Final[Mapping[str, types.Provider]] = {provider.id: provider for provider in providers}

# A day's hour in any time zone falls on one of these, seen from the UTC date.
_DAYS_AROUND: Final = tuple(timedelta(days=days) for days in range(-2, 3))

_ALWAYS: Final = (-float("inf"), float("inf"))


@dataclass(frozen=True, slots=True)
class Listed:
    """A model's price, and from when to when it is that, Unix seconds."""

    price: Price | None
    """None: listed, but without a price per token."""
    since: float
    until: float
    own: bool
    """Listed for this provider; else for the maker that the list falls back on."""


def look_up(provider: str, model: str, at: float) -> Listed | None:
    """What the list says of a model under a provider's name there; None: it does not know it.

    A hub's id may name the host behind it (`openai/gpt-oss-120b:novita`). Where the list has that
    host apart (`huggingface_novita`) its price is the one.
    """
    plain, colon, host = model.rpartition(":")
    if colon and (found := _find(f"{provider}_{host}", plain, at)):
        return found
    return _find(provider, model, at)


def _find(name: str, model: str, at: float) -> Listed | None:
    # By its exact name only: the list's own matching takes any name that holds `openai`.
    provider = _BY_ID.get(name)
    info = provider and provider.find_model(model, all_providers=providers)
    if not provider or not info:
        return None
    moment = datetime.fromtimestamp(at, UTC)
    since, until = period(info, moment)
    own = any(info is each for each in provider.models)
    return Listed(_price(info.get_prices(moment)), since, until, own)


# --- When -----------------------------------------------------------------------------------


def period(info: types.ModelInfo, moment: datetime) -> tuple[float, float]:
    """The widest span around `moment` in which no condition of the price turns."""
    at = moment.timestamp()
    turns = sorted(turn.timestamp() for turn in _turns(info, moment.date()))
    first, last = _ALWAYS
    return (
        max((turn for turn in turns if turn <= at), default=first),
        min((turn for turn in turns if turn > at), default=last),
    )


def _turns(info: types.ModelInfo, today: date) -> Iterator[datetime]:
    """The moments around a day at which another of the model's prices may begin to hold."""
    if isinstance(info.prices, types.ModelPrice):
        return
    for conditional in info.prices:
        condition = conditional.constraint
        if isinstance(condition, types.StartDateConstraint):
            yield datetime.combine(condition.start_date, time(), UTC)
        elif isinstance(condition, types.TimeOfDateConstraint):
            for days in _DAYS_AROUND:
                yield _clock(today + days, condition.start_time)
                yield _clock(today + days, condition.end_time)


def _clock(day: date, hour: time) -> datetime:
    return datetime.combine(day, hour, hour.tzinfo or UTC)


# --- How much -------------------------------------------------------------------------------


Amount = Decimal | types.TieredPrices


def _price(listed: types.ModelPrice) -> Price | None:
    fresh, output = listed.input_mtok, listed.output_mtok
    if fresh is None or output is None:
        return None

    def rates(input_tokens: int) -> Rates:
        return Rates(
            input=_amount(fresh, input_tokens),
            output=_amount(output, input_tokens),
            cached=_maybe(listed.cache_read_mtok, input_tokens),
            cache_write=_maybe(listed.cache_write_mtok, input_tokens),
        )

    starts = {tier.start for price in (fresh, output) for tier in _tiers(price)}
    return Price(
        base=rates(0),
        tiers=tuple(Tier(start, rates(start + 1)) for start in sorted(starts)),
        search=_maybe(listed.web_searches_kcount, 0),
        request=_maybe(listed.requests_kcount, 0),
        source=SOURCE,
    )


def _tiers(price: Amount) -> list[types.Tier]:
    return price.tiers if isinstance(price, types.TieredPrices) else []


def _amount(price: Amount, input_tokens: int) -> Decimal:
    if not isinstance(price, types.TieredPrices):
        return price
    reached = (tier.price for tier in reversed(price.tiers) if input_tokens > tier.start)
    return next(reached, price.base)


def _maybe(price: Amount | None, input_tokens: int) -> Decimal | None:
    return None if price is None else _amount(price, input_tokens)
