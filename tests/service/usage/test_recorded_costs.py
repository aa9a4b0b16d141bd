"""What every recorded answer cost, against a second calculation that shares nothing with the first.

The first is ours: the decoders' counts, the catalog's prices, `service.usage.cost`. The second is
written out here: each format's own field names, read off the recorded JSON; unit prices as
genai-prices itself resolves them for that provider, model and moment; fractions instead of
decimals, rounded once per part. Both must agree to the nano-USD, part by part.

No request is recorded, so the model that is priced is the one that the answer names. Searches that
a provider does by itself are no part of any usage object and are priced by neither (two streams:
a web search of OpenAI's, a grounded answer of Gemini's); nothing here asks those providers for one.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any, Final

import genai_prices
import orjson
import pytest
from genai_prices.types import TieredPrices

from adapters import tokens
from adapters.catalog.overlay import OVERLAY
from adapters.catalog.prices import Prices
from adapters.contract import Call, Decoder, Dialect, Model
from adapters.dialects.openai_chat import OpenAIChat
from adapters.dialects.openai_chat_quirks import ChatQuirks
from adapters.dialects.openai_responses import OpenAIResponses
from adapters.dialects.openai_responses_quirks import ResponsesQuirks
from adapters.registry import FIFTEEN
from adapters.request import ChatRequest
from service.usage.cost import Cost, CostParts, CostSource, cost_of
from tests import recordings
from tests.recordings import Exchange

MOMENTS: Final = {
    "at noon": datetime(2026, 11, 23, 12, tzinfo=UTC),
    # DeepSeek's prices are doubled.
    "in DeepSeek's peak": datetime(2026, 11, 23, 2, tzinfo=UTC),
    # Lists change with the date: some of these models had another price then.
    "a year before": datetime(2025, 11, 23, 12, tzinfo=UTC),
}

HELLO: Final = ChatRequest.model_validate({"messages": [{"role": "user", "content": "Hello"}]})

# Recorded formats that their provider is not asked in: DeepSeek's second, and Perplexity's first,
# which has ended.
UNASKED: Final[Mapping[tuple[str, str], Dialect]] = {
    ("deepseek", "openai_responses"): OpenAIResponses(quirks=ResponsesQuirks()),
    ("perplexity", "openai_chat"): OpenAIChat(quirks=ChatQuirks(cost_path=("cost", "total_cost"))),
}

STREAMS: Final = [found for found in recordings.exchanges() if found.is_stream]


# --- Ours -----------------------------------------------------------------------------------


def read(exchange: Exchange) -> Decoder:
    provider = FIFTEEN[exchange.provider]
    dialect = next(
        (
            dialect
            for dialect in (provider.dialect, provider.responses)
            if dialect is not None and dialect.name == exchange.dialect
        ),
        None,
    )
    spoken = dialect or UNASKED[exchange.provider, exchange.dialect]
    decoder = spoken.decoder(Call(provider=provider, model=provider.model(None), request=HELLO))
    decoder.feed(exchange.body)
    decoder.close()
    return decoder


def ours(exchange: Exchange, at: datetime) -> Cost:
    provider, decoder = FIFTEEN[exchange.provider], read(exchange)
    assert decoder.ending is not None
    assert decoder.model is not None
    return cost_of(
        decoder.ending.usage or tokens.UNKNOWN,
        Prices().price(provider, Model(id=decoder.model), at.timestamp()),
        target=f"{provider.name}/{decoder.model}",
        searches=provider.searches,
    )


# --- The second calculation: counts ---------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What the recording says, in whole tokens; None: it does not say."""

    input: int
    """Cache reads and writes included."""
    cache_read: int | None
    cache_write: int | None
    output: int


def chunks(exchange: Exchange) -> Iterator[dict[str, Any]]:
    for line in exchange.body.split(b"\n"):
        data = line.removeprefix(b"data:").strip()
        if line.startswith(b"data:") and data.startswith(b"{"):
            yield orjson.loads(data)


def chat_usage(exchange: Exchange) -> dict[str, Any] | None:
    found = [chunk["usage"] for chunk in chunks(exchange) if chunk.get("usage")]
    return found[-1] if found else None


def chat(exchange: Exchange) -> Counts | None:
    usage = chat_usage(exchange)
    if usage is None:
        return None
    prompt, completion = usage["prompt_tokens"], usage["completion_tokens"]
    details = usage.get("prompt_tokens_details") or {}
    read = details.get("cached_tokens")
    reasoning = (usage.get("completion_tokens_details") or {}).get("reasoning_tokens") or 0
    # Only xAI leaves reasoning out of the completion; its total tells.
    outside = usage["total_tokens"] == prompt + completion + reasoning
    return Counts(
        input=prompt,
        # Grok on Azure says that 161 of 7 tokens were cached: no more can have been than there are.
        cache_read=None if read is None else min(read, prompt),
        cache_write=details.get("cache_write_tokens"),
        output=completion + (reasoning if outside else 0),
    )


def deepseek(exchange: Exchange) -> Counts | None:
    """By the two counts that only DeepSeek's chat completions have."""
    usage = chat_usage(exchange)
    assert usage is not None
    return Counts(
        input=usage["prompt_cache_hit_tokens"] + usage["prompt_cache_miss_tokens"],
        cache_read=usage["prompt_cache_hit_tokens"],
        cache_write=None,
        output=usage["completion_tokens"],
    )


def groq(exchange: Exchange) -> Counts | None:
    """By the copy in Groq's own object; it tells nothing of its cache."""
    found = [chunk["x_groq"]["usage"] for chunk in chunks(exchange) if _of_groq(chunk)]
    if not found:
        return None
    usage = found[-1]
    return Counts(
        input=usage["prompt_tokens"],
        cache_read=None,
        cache_write=None,
        output=usage["completion_tokens"],
    )


def _of_groq(chunk: dict[str, Any]) -> bool:
    return "usage" in (chunk.get("x_groq") or {})


def responses_usage(exchange: Exchange) -> dict[str, Any] | None:
    """Of the first answer: one recording is four of them in a row."""
    whole = [
        chunk["response"]["usage"]
        for chunk in chunks(exchange)
        if chunk.get("type") in ("response.completed", "response.incomplete")
    ]
    return whole[0] if whole else None


def responses(exchange: Exchange) -> Counts | None:
    usage = responses_usage(exchange)
    if usage is None:
        return None
    return Counts(
        input=usage["input_tokens"],
        cache_read=usage["input_tokens_details"]["cached_tokens"],
        cache_write=usage["input_tokens_details"].get("cache_creation_input_tokens"),
        output=usage["output_tokens"],
    )


def anthropic(exchange: Exchange) -> Counts | None:
    """Its input leaves both caches out, and a later count replaces an earlier one."""
    opened: dict[str, Any] = {}
    closed: dict[str, Any] = {}
    for chunk in chunks(exchange):
        if chunk["type"] == "message_start":
            opened = chunk["message"]["usage"]
        elif chunk["type"] == "message_delta":
            closed = chunk["usage"]
    usage = {**opened, **closed}
    read, written = (
        usage.get(name) for name in ("cache_read_input_tokens", "cache_creation_input_tokens")
    )
    return Counts(
        input=usage["input_tokens"] + (read or 0) + (written or 0),
        cache_read=read,
        cache_write=written,
        output=closed["output_tokens"],
    )


def gemini(exchange: Exchange) -> Counts | None:
    """Thoughts are beside the candidates, what its own tools read beside the prompt."""
    usage = [chunk["usageMetadata"] for chunk in chunks(exchange) if "usageMetadata" in chunk][-1]
    return Counts(
        input=usage["promptTokenCount"] + usage.get("toolUsePromptTokenCount", 0),
        cache_read=usage.get("cachedContentTokenCount"),
        cache_write=None,
        output=usage["candidatesTokenCount"] + usage.get("thoughtsTokenCount", 0),
    )


COUNTED: Final = {
    "openai_chat": chat,
    "mistral_chat": chat,
    "openai_responses": responses,
    "anthropic_messages": anthropic,
    "gemini": gemini,
}
COUNTED_OWN_WAY: Final = {
    ("deepseek", "openai_chat"): deepseek,
    ("groq", "openai_chat"): groq,
}


def counts(exchange: Exchange) -> Counts | None:
    own = COUNTED_OWN_WAY.get((exchange.provider, exchange.dialect))
    return (own or COUNTED[exchange.dialect])(exchange)


def stated(exchange: Exchange) -> Fraction | None:
    """US dollars, where the provider says itself what the answer cost."""
    read = responses_usage if exchange.dialect == "openai_responses" else chat_usage
    usage = (
        read(exchange) if exchange.provider in ("grok", "openrouter", "perplexity") else {}
    ) or {}
    match exchange.provider:
        case "openrouter":
            return Fraction(str(usage["cost"]))
        case "grok":
            return Fraction(usage["cost_in_usd_ticks"], 10**10)
        case "perplexity" if "cost" in usage:
            return Fraction(str(usage["cost"]["total_cost"]))
    return None


def model(exchange: Exchange) -> str:
    """Who answered, in the answer's last word on it."""
    named = ""
    for chunk in chunks(exchange):
        inner = chunk.get("response") or chunk.get("message") or chunk
        named = inner.get("model") or inner.get("modelVersion") or named
        # Claude's own fallback: the counts at the end are the successor's alone. What the refused
        # one had read is in neither calculation; nothing here asks for that fallback.
        heir = (chunk.get("content_block") or {}).get("to")
        if heir is not None:
            named = heir["model"]
        if chunk.get("type") == "response.completed":
            break
    return named


# --- The second calculation: prices ---------------------------------------------------------

LISTED: Final = {
    "claude": "anthropic",
    "copilot": "azure",
    "deepseek": "deepseek",
    "gemini": "google",
    "glm": "zai",
    "groq": "groq",
    "kimi": "moonshotai",
    "mistral": "mistral",
    "openai": "openai",
    "perplexity": "perplexity",
}
"""Whose prices genai-prices has; neither it nor our own table knows the recorded models of others.
Those of who states the bill are not asked for."""


def nano(dollars: Fraction) -> int:
    """`round` of a fraction is half to even."""
    return round(dollars * 10**9)


def unit(price: Any, input_tokens: int) -> Fraction | None:  # noqa: ANN401 - the library's own union
    """US dollars per million; all tokens of a large request are in its tier."""
    if isinstance(price, TieredPrices):
        reached = [tier.price for tier in price.tiers if input_tokens > tier.start]
        return Fraction([price.base, *reached][-1])
    return None if price is None else Fraction(price)


def by_hand(counted: Counts, prices: Any, searches: int) -> CostParts:  # noqa: ANN401 - no public type
    fresh, read, write, output = (
        unit(price, counted.input)
        for price in (
            prices.input_mtok,
            prices.cache_read_mtok,
            prices.cache_write_mtok,
            prices.output_mtok,
        )
    )
    assert fresh is not None
    assert output is not None

    def cost(count: int, each: Fraction) -> int:
        return nano(count * each / 10**6)

    def cached(count: int | None, each: Fraction | None) -> int | None:
        return None if count is None else cost(count, fresh if each is None else each)

    beside = Fraction(prices.requests_kcount or 0) + searches * Fraction(
        prices.web_searches_kcount or 0
    )
    return CostParts(
        input=cost(counted.input - (counted.cache_read or 0) - (counted.cache_write or 0), fresh),
        cache_read=cached(counted.cache_read, read),
        cache_write=cached(counted.cache_write, write),
        output=cost(counted.output, output),
        request=nano(beside / 1_000),
    )


def independent(
    exchange: Exchange, at: datetime
) -> tuple[CostSource, int | None, CostParts | None]:
    bill = stated(exchange)
    if bill is not None:
        return CostSource.PROVIDER, nano(bill), None
    counted, listed = counts(exchange), LISTED.get(exchange.provider)
    if counted is None or listed is None:
        return CostSource.UNKNOWN, None, None
    try:
        found = genai_prices.calc_price(
            genai_prices.Usage(
                input_tokens=counted.input,
                cache_read_tokens=counted.cache_read,
                cache_write_tokens=counted.cache_write,
                output_tokens=counted.output,
            ),
            model(exchange),
            provider_id=listed,
            genai_request_timestamp=at,
        )
    except LookupError:
        return CostSource.UNKNOWN, None, None
    parts = by_hand(counted, found.model_price, FIFTEEN[exchange.provider].searches)
    # Its own arithmetic is a third one, which counts neither requests nor searches as tokens.
    theirs = Fraction(found.input_price + found.output_price) * 10**9
    assert abs(theirs - (parts.total() - parts.request)) <= 2
    return CostSource.PRICE_BOOK, parts.total(), parts


# --- Both -----------------------------------------------------------------------------------


@pytest.mark.parametrize("at", MOMENTS.values(), ids=MOMENTS)
@recordings.each(STREAMS)
def test_a_recorded_answer_costs_what_a_second_calculation_comes_to(
    exchange: Exchange, at: datetime
) -> None:
    cost = ours(exchange, at)
    assert (cost.source, cost.nano_usd, cost.parts) == independent(exchange, at)


@recordings.each(STREAMS)
def test_the_model_that_is_priced_is_the_one_that_the_recording_names(exchange: Exchange) -> None:
    assert read(exchange).model == model(exchange)


def test_every_kind_of_cost_is_among_the_recorded_ones_and_an_unknown_one_is_null() -> None:
    if not STREAMS:
        pytest.skip(recordings.MISSING)
    costs = {one.case: ours(one, MOMENTS["at noon"]) for one in STREAMS}
    kinds = Counter(cost.source for cost in costs.values())
    print(f"{len(costs)} streams:", ", ".join(f"{kind} {n}" for kind, n in kinds.items()))  # noqa: T201 - with -s
    assert set(kinds) == {CostSource.PRICE_BOOK, CostSource.PROVIDER, CostSource.UNKNOWN}
    assert {cost.nano_usd for cost in costs.values() if cost.source is CostSource.UNKNOWN} == {None}


def test_our_own_table_of_prices_has_no_say_in_the_recorded_ones() -> None:
    if not STREAMS:
        pytest.skip(recordings.MISSING)
    asked = {(LISTED.get(one.provider, one.provider), model(one)) for one in STREAMS}
    billed = {
        (LISTED.get(one.provider, one.provider), model(one)) for one in STREAMS if stated(one)
    }
    assert not (asked - billed) & set(OVERLAY)
