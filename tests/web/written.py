"""Figures as the app writes them in English: what `service/web/src/shown/figures.ts` should make.

A browser rounds the shortest decimal that is the number, and of two equally near ones takes the one
further from zero (`Intl.NumberFormat`). Python's `round` and `format` take the binary number, and
of two equally near ones the even one, so a figure in a few hundred differs in its last digit.
"""

from decimal import ROUND_HALF_UP, Decimal

CENT = Decimal("0.01")


def tenths(figure: float) -> str:
    """A number with at most one decimal."""
    return f"{_rounded(_shortest(figure), 1):,}".removesuffix(".0")


def percent(share: float) -> str:
    """A share, 0 to 1."""
    return f"{tenths(float(_shortest(share) * 100))}%"


def money(usd: str | float) -> str:
    """US dollars; two digits that say something where it is less than a cent."""
    amount = _shortest(float(usd))
    sign, size = "-" if amount < 0 else "", abs(amount)
    if 0 < size < CENT:
        return f"{sign}${_rounded(size, 1 - size.adjusted()):f}".rstrip("0")
    whole, _, decimals = f"{_rounded(size, 4):,}".partition(".")
    return f"{sign}${whole}.{decimals.rstrip('0'):0<2}"


def _shortest(figure: float) -> Decimal:
    return Decimal(str(figure))


def _rounded(amount: Decimal, digits: int) -> Decimal:
    return amount.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)
