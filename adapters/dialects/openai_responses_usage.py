"""A Responses `usage` object -> Usage, in the schema's inclusive form.

`input_tokens` and `output_tokens` are inclusive at everybody who speaks the format: cached tokens
are part of the one, reasoning of the other, also where the same provider's chat completions leave
them out (xAI). What the provider said stays in `raw`.
"""

from decimal import Decimal
from typing import Any

from adapters.dialects.openai_responses_quirks import ResponsesQuirks
from adapters.events import Usage, UsageSource


def read(raw: dict[str, Any], quirks: ResponsesQuirks) -> Usage:
    """One report; what it does not say is None."""
    written = _count(raw, "input_tokens_details", "cache_write_tokens")
    if written is None:  # Perplexity's name for it
        written = _count(raw, "input_tokens_details", "cache_creation_input_tokens")
    return Usage(
        input=_count(raw, "input_tokens"),
        input_cached=_count(raw, "input_tokens_details", "cached_tokens"),
        input_cache_write=written,
        output=_count(raw, "output_tokens"),
        output_reasoning=_count(raw, "output_tokens_details", "reasoning_tokens"),
        total=_count(raw, "total_tokens"),
        requests=1,
        cost_usd=_cost(_at(raw, *quirks.cost_path), quirks.cost_unit),
        source=UsageSource.PROVIDER,
        raw=raw,
    )


def _at(value: object, *path: str) -> object:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _count(raw: dict[str, Any], *path: str) -> int | None:
    value = _at(raw, *path)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _cost(stated: object, unit: Decimal) -> str | None:
    """Dollars as a decimal string; without a path `stated` is the whole object, and no number."""
    if isinstance(stated, bool) or not isinstance(stated, (int, float)):
        return None
    # Through str: a float's shortest form is the decimal that the provider wrote.
    usd = Decimal(str(stated)) * unit
    return f"{usd.normalize():f}" if usd.is_finite() and usd >= 0 else None
