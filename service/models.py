"""`tailrace models`: every model that is known, what it can do and what it costs at this moment.

Known are the models listed here, as the configuration changes them, and what `tailrace catalog
refresh` found beyond them, of which nothing is known but the name, and sometimes a price. What is
unknown is a dash, never a zero.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

import msgspec

from adapters.catalog.price import Price, usd
from adapters.catalog.prices import Prices
from adapters.contract import Endpoint, Model, Provider
from service.discovery import Discovery, marked
from service.endpoints import Inactive

UNKNOWN: Final = "-"
RISES: Final = "+"
"""After a price that is higher for larger requests."""

Status = Literal["listed", "gone", "unlisted"]
UNLISTED: Final[Status] = "unlisted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A model at a provider."""

    provider: Provider
    active: bool
    """Whether the provider can be asked."""
    model: Model
    status: Status
    """Listed here; listed here but no longer by its provider; named by its provider only."""
    price: Price | None


def known(
    endpoints: Mapping[str, Endpoint | Inactive], discovery: Discovery, at: float
) -> list[Row]:
    """All models of these providers; `at` in Unix seconds is when the prices hold."""
    return list(_rows(endpoints, discovery, at))


def _rows(
    endpoints: Mapping[str, Endpoint | Inactive], discovery: Discovery, at: float
) -> Iterator[Row]:
    prices = Prices()
    for name, endpoint in endpoints.items():
        provider, active = marked(endpoint.provider, discovery), isinstance(endpoint, Endpoint)
        listed = ((model, _status(model)) for model in provider.models)
        new = ((Model(id=each), UNLISTED) for each in discovery.new(name))
        for model, status in (*listed, *new):
            price = prices.price(provider, model, at)
            yield Row(provider=provider, active=active, model=model, status=status, price=price)


def _status(model: Model) -> Status:
    return "gone" if model.gone else "listed"


# --- For a person ---------------------------------------------------------------------------

_HEAD: Final = (
    "PROVIDER",
    "ALIAS",
    "MODEL",
    "CONTEXT",
    "IMAGES",
    "TOOLS",
    "REASONING",
    "PREFILL",
    "CLASS",
    "INPUT",
    "CACHED",
    "OUTPUT",
    "PRICE FROM",
    "",
)
_NUMBERS: Final = frozenset({"CONTEXT", "CLASS", "INPUT", "CACHED", "OUTPUT"})


def lines(rows: Iterable[Row]) -> Iterator[str]:
    """A table; prices in US dollars per million tokens."""
    cells = [_HEAD, *map(_cells, rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        aligned = (
            cell.rjust(width) if head in _NUMBERS else cell.ljust(width)
            for head, cell, width in zip(_HEAD, row, widths, strict=True)
        )
        yield "  ".join(aligned).rstrip()


def _cells(row: Row) -> tuple[str, ...]:
    model, price = row.model, row.price
    rates: tuple[Decimal | None, ...] = (None, None, None)
    if price is not None:
        rates = (price.base.input, price.base.cached, price.base.output)
    rises = RISES if price is not None and price.tiers else ""
    return (
        row.provider.name,
        model.alias or UNKNOWN,
        model.id,
        *(_facts(model) if row.status != UNLISTED else (UNKNOWN,) * 6),
        *(_dollars(rate, rises) for rate in rates),
        price.source if price is not None else UNKNOWN,
        row.status if row.status != "listed" else "",
    )


def _facts(model: Model) -> tuple[str, ...]:
    return (
        UNKNOWN if model.context is None else f"{model.context:,}",
        _yes(model.images),
        _yes(model.tools),
        model.reasoning,
        _yes(model.prefill),
        str(model.quality),
    )


def _yes(claim: bool) -> str:  # noqa: FBT001 - what it prints
    return "yes" if claim else "no"


def _dollars(rate: Decimal | None, rises: str) -> str:
    return UNKNOWN if rate is None else f"{usd(rate)}{rises}"


# --- For a program --------------------------------------------------------------------------


def as_json(rows: Iterable[Row]) -> bytes:
    """The same as a JSON array; prices as decimal strings, what is unknown as null."""
    return msgspec.json.encode([_fields(row) for row in rows])


def _fields(row: Row) -> dict[str, object]:
    model = row.model
    facts = {
        "context": model.context,
        "max_output": model.max_output,
        "images": model.images,
        "tools": model.tools,
        "reasoning": model.reasoning,
        "prefill": model.prefill,
        "quality": model.quality,
        "family": model.family,
        "same_as": model.same_as,
        "open_weights": model.open_weights,
    }
    return {
        "provider": row.provider.name,
        "active": row.active,
        "alias": model.alias,
        "id": model.id,
        "status": row.status,
        **(facts if row.status != UNLISTED else dict.fromkeys(facts)),
        "price": _price(row.price) if row.price is not None else None,
    }


def _price(price: Price) -> dict[str, object]:
    return {
        **price.base.shown(),
        "tiers": [{"above": tier.above, **tier.rates.shown()} for tier in price.tiers],
        "search": usd(price.search),
        "request": usd(price.request),
        "source": price.source,
        "dated": price.dated,
    }
