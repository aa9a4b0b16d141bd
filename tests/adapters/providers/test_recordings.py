"""What providers really sent, read with each provider's own quirks; see tests/recordings.py."""

from typing import Final

import pytest

from adapters.contract import Call, Decoder, Dialect
from adapters.events import STATUS_OF_FINISH, Status, Usage
from adapters.registry import FIFTEEN
from adapters.request import ChatRequest
from tests import recordings
from tests.recordings import Exchange

HELLO: Final = ChatRequest.model_validate({"messages": [{"role": "user", "content": "Hello"}]})

# Streams of formats that their provider is not asked in: Sonar's ended, DeepSeek's is not used.
NOT_SPOKEN: Final = {("perplexity", "openai_chat"), ("deepseek", "openai_responses")}


def spoken(exchange: Exchange) -> Dialect | None:
    provider = FIFTEEN[exchange.provider]
    dialects = [dialect for dialect in (provider.dialect, provider.responses) if dialect]
    return next((dialect for dialect in dialects if dialect.name == exchange.dialect), None)


def read(exchange: Exchange) -> Decoder:
    provider, dialect = FIFTEEN[exchange.provider], spoken(exchange)
    assert dialect is not None
    decoder = dialect.decoder(Call(provider=provider, model=provider.model(None), request=HELLO))
    decoder.feed(exchange.body)
    decoder.close()
    return decoder


def usage_of(case: str) -> Usage:
    ending = read(recordings.one(case)).ending
    assert ending is not None
    assert ending.usage is not None
    return ending.usage


STREAMS: Final = [found for found in recordings.exchanges() if found.is_stream]


def test_every_recorded_stream_is_of_a_format_its_provider_is_asked_in() -> None:
    if not STREAMS:
        pytest.skip(recordings.MISSING)
    foreign = {(one.provider, one.dialect) for one in STREAMS if spoken(one) is None}
    assert foreign == NOT_SPOKEN


@recordings.each([one for one in STREAMS if spoken(one) is not None])
def test_a_recorded_stream_ends_and_its_tokens_add_up(exchange: Exchange) -> None:
    ending = read(exchange).ending
    assert ending is not None
    if STATUS_OF_FINISH[ending.finish] is Status.FAILED:
        assert ending.error is not None
        return
    usage = ending.usage
    assert usage is not None
    assert usage.input is not None
    assert usage.output is not None
    assert usage.total == usage.input + usage.output
    assert (usage.input_cached or 0) <= usage.input
    assert (usage.output_reasoning or 0) <= usage.output


def test_groks_reasoning_is_part_of_its_output_and_its_bill_is_read() -> None:
    usage = usage_of("grok/vercel-ai.xai-tool-call#0")
    assert (usage.output, usage.output_reasoning, usage.total) == (222, 196, 513)
    assert usage.cost_usd == "0.00013305"


def test_openrouters_bill_is_read() -> None:
    usage = usage_of("openrouter/pydantic-ai.test_openrouter_web_search_annotations_stream#0")
    assert usage.cost_usd == "0.0076509169000000005"


def test_perplexitys_bill_is_read_and_the_model_that_answered_a_preset() -> None:
    case = "perplexity/vercel-ai.agent-web-search#0"
    assert usage_of(case).cost_usd == "0.00105"
    assert read(recordings.one(case)).model == "openai/gpt-6-luna"
