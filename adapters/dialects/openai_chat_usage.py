"""A chat-completions `usage` object -> Usage, in the schema's inclusive form.

The field names grew in several dialects at once; each count is looked up in the places where
providers put it, the first that holds a number counts. `prompt_tokens` and `completion_tokens` are
inclusive everywhere but at xAI, whose completion leaves reasoning out; the total gives it away
(xai-tool-call.json: 291 + 26 + 196 = 513), so it is believed before the provider's data are.

A part larger than its whole is capped at it: Kimi and OpenRouter report a reasoning token too many
(test_openrouter_stream_error.json: 11 of 10), Grok on Azure more cached tokens than the prompt had.
What the provider said stays in `raw`.
"""

from decimal import Decimal
from typing import Any

from adapters.dialects.openai_chat_quirks import ChatQuirks
from adapters.events import Usage, UsageSource

_Path = tuple[str, ...]

_CACHED: tuple[_Path, ...] = (
    ("prompt_tokens_details", "cached_tokens"),
    ("prompt_cache_hit_tokens",),  # DeepSeek
    ("cached_tokens",),  # Kimi
)
_CACHE_WRITE: tuple[_Path, ...] = (
    ("prompt_tokens_details", "cache_write_tokens"),  # OpenRouter
    ("prompt_tokens_details", "cache_creation_input_tokens"),  # Qwen
)
_REASONING: tuple[_Path, ...] = (
    ("completion_tokens_details", "reasoning_tokens"),
    ("reasoning_tokens",),
)
_INPUT_AUDIO: tuple[_Path, ...] = (("prompt_tokens_details", "audio_tokens"),)
_OUTPUT_AUDIO: tuple[_Path, ...] = (("completion_tokens_details", "audio_tokens"),)


def read(raw: dict[str, Any], quirks: ChatQuirks) -> Usage | None:
    """One report; None where it holds no count and no cost."""
    given, output = _count(raw, ("prompt_tokens",)), _count(raw, ("completion_tokens",))
    total = _count(raw, ("total_tokens",))
    reasoning = _count(raw, *_REASONING)
    cost = _cost(_at(raw, quirks.cost_path), quirks.cost_unit)
    if given is None and output is None and total is None and cost is None:
        return None
    if output is not None and reasoning and _outside(given, output, reasoning, total, quirks):
        output += reasoning
    if total is None and given is not None and output is not None:
        total = given + output
    return Usage(
        input=given,
        input_cached=_part(_count(raw, *_CACHED), given),
        input_cache_write=_part(_count(raw, *_CACHE_WRITE), given),
        input_audio=_part(_count(raw, *_INPUT_AUDIO), given),
        output=output,
        output_reasoning=_part(reasoning, output),
        output_audio=_part(_count(raw, *_OUTPUT_AUDIO), output),
        total=total,
        requests=1,
        cost_usd=cost,
        source=UsageSource.PROVIDER,
        raw=raw,
    )


def _outside(
    given: int | None, output: int, reasoning: int, total: int | None, quirks: ChatQuirks
) -> bool:
    """Whether `completion_tokens` leaves reasoning out."""
    if given is None or total is None:
        return quirks.reasoning_outside_completion
    return total == given + output + reasoning


def _count(raw: dict[str, Any], *paths: _Path) -> int | None:
    for path in paths:
        value = _at(raw, path)
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return value
    return None


def _at(value: object, path: _Path) -> object:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _part(part: int | None, whole: int | None) -> int | None:
    return part if part is None or whole is None else min(part, whole)


def _cost(stated: object, unit: Decimal) -> str | None:
    """Dollars as a decimal string; without a path `stated` is the whole object, and no number."""
    if isinstance(stated, bool) or not isinstance(stated, (int, float)):
        return None
    # Through str: a float's shortest form is the decimal the provider wrote.
    usd = Decimal(str(stated)) * unit
    return f"{usd.normalize():f}" if usd.is_finite() and usd >= 0 else None
