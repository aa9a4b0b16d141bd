"""Anthropic's SDK for Node over /v1/messages: streams, its helper, tools, thoughts, breaks."""

from collections.abc import AsyncIterator
from typing import Any, Literal

import pytest
import pytest_asyncio

from tests.clients.nodes import program
from tests.clients.programs import Program
from tests.double.answer import Citation, reasoning, text, tool_call
from tests.double.errors import RETRY_AFTER, Kind
from tests.double.script import http_error, reply
from tests.double.steps import Cut, Gate, Wait
from tests.e2e.stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="module")

SAID = [{"role": "user", "content": "Say hello."}]
WEATHER = {
    "name": "weather",
    "description": "The weather somewhere.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}
PROOF = "c2lnbmVk"
"""What a provider signs with."""

SONNET, FLASH, GPT, GROQ = "claude/sonnet", "gemini/flash", "openai/auto", "groq/auto"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node() -> AsyncIterator[Program]:
    async with program("anthropic") as running:
        yield running


def ask(model: str = GPT, **fields: object) -> dict[str, object]:
    return {"model": model, "max_tokens": 4096, "messages": SAID, **fields}


def said(told: dict[str, Any], name: str) -> list[str]:
    """What a helper told under a name."""
    return [words for each, words in told["events"] if each == name]


async def test_a_streamed_answer_is_the_same_as_a_whole_one(service: Stack, sdk: Program) -> None:
    service.double.script(reply("Hel", "lo."), reply("Hel", "lo."))
    whole = (await sdk.do("whole", ask=ask(SONNET)))["message"]
    told = await sdk.do("helper", ask=ask(SONNET))
    assert said(told, "text") == ["Hel", "lo."]
    assert [block["text"] for block in told["message"]["content"]] == ["Hello."]
    assert [block["text"] for block in whole["content"]] == ["Hello."]
    assert told["message"]["stop_reason"] == whole["stop_reason"] == "end_turn"
    assert told["message"]["usage"] == whole["usage"]
    assert (whole["usage"]["input_tokens"], whole["usage"]["output_tokens"]) == (8, 9)


async def test_a_plain_stream_is_the_events_of_the_api(service: Stack, sdk: Program) -> None:
    service.double.script(reply("Hel", "lo."))
    streamed = await sdk.do("stream", ask=ask())
    assert streamed["raised"] is None
    assert [event["type"] for event in streamed["read"]] == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]


@pytest.mark.parametrize("model", [GPT, GROQ, SONNET, FLASH])
@pytest.mark.parametrize("streams", [True, False], ids=["streamed", "whole"])
async def test_the_sdks_own_loop_calls_tools_and_answers_them(
    service: Stack, sdk: Program, model: str, *, streams: bool
) -> None:
    calls = [tool_call("weather", '{"city":', f'"{city}"}}') for city in ("Oslo", "Rome")]
    service.double.script(reply("Let me look.", *calls), reply("It rains."))
    told = await sdk.do("tools", ask=ask(model, stream=streams))
    assert sorted(told["asked"]) == ["Oslo", "Rome"]
    assert [block["text"] for block in told["message"]["content"]] == ["It rains."]
    assert [each["role"] for each in told["messages"]] == ["user", "assistant", "user", "assistant"]
    assert len(service.double.requests) == 2
    for words in (b"Let me look.", b"rain in Oslo", b"no weather in Rome"):
        assert words in service.sent()


@pytest.mark.parametrize("model", [SONNET, FLASH])
async def test_thinking_and_its_signature_come_back_to_who_made_them(
    service: Stack, sdk: Program, model: str
) -> None:
    call = tool_call("weather", '{"city":', '"Oslo"}', signature=PROOF)
    service.double.script(reply(reasoning("Hm", "m.", signature=PROOF), call), reply("Cold."))
    thinking = {"type": "enabled", "budget_tokens": 2048}
    told = await sdk.do("helper", ask=ask(model, tools=[WEATHER], thinking=thinking))
    content = told["message"]["content"]
    assert said(told, "thinking") == ["Hm", "m."]
    assert "".join(b["thinking"] for b in content if b["type"] == "thinking") == "Hmm."
    assert len(said(told, "signature")) == sum(block["type"] == "thinking" for block in content)
    [made] = [block for block in content if block["type"] == "tool_use"]
    assert made["input"] == {"city": "Oslo"}
    result = {"type": "tool_result", "tool_use_id": made["id"], "content": "-3 C"}
    turns = [
        *SAID,
        {"role": "assistant", "content": content},
        {"role": "user", "content": [result]},
    ]
    await sdk.do("helper", ask=ask(model, messages=turns, tools=[WEATHER], thinking=thinking))
    assert PROOF.encode() in service.sent()
    assert b"tailrace" not in service.sent()


async def test_sources_are_citations(service: Stack, sdk: Program) -> None:
    service.double.script(reply(text("Cold.", citations=(Citation("https://a.test", "A", 0, 5),))))
    told = await sdk.do("helper", ask=ask(SONNET))
    [block] = told["message"]["content"]
    assert block["citations"] == said(told, "citation")
    assert [each["url"] for each in block["citations"]] == ["https://a.test"]


async def test_a_structured_answer_is_parsed(service: Stack, sdk: Program) -> None:
    service.double.script(reply('{"city":', '"Oslo"}'))
    assert (await sdk.do("parsed", ask=ask()))["parsed"] == {"city": "Oslo"}
    assert b"json_schema" in service.sent()


async def test_tokens_are_counted_before_they_are_sent(service: Stack, sdk: Program) -> None:
    counted = {"model": "auto", "messages": SAID, "tools": [WEATHER]}
    assert (await sdk.do("count", ask=counted))["input_tokens"] > 20
    assert service.double.requests == []


@pytest.mark.parametrize("how", ["fin", "rst"])
async def test_an_answer_that_breaks_raises_after_what_came(
    service: Stack, sdk: Program, how: Literal["fin", "rst"]
) -> None:
    service.double.script(reply("Hel", Cut(how)), http_error(Kind.OVERLOADED))
    told = await sdk.do("helper", ask=ask())
    assert said(told, "text") == ["Hel"]
    assert (told["raised"]["name"], told["raised"]["type"]) == ("APIError", "api_error")


async def test_a_plain_stream_that_breaks_raises_too(service: Stack, sdk: Program) -> None:
    service.double.script(reply("Hel", Cut()))
    streamed = await sdk.do("stream", ask=ask())
    assert [event["delta"]["text"] for event in streamed["read"] if "delta" in event] == ["Hel"]
    assert streamed["raised"]["type"] == "api_error"


@pytest.mark.parametrize("by", ["stream", "helper"])
async def test_an_abort_closes_the_upstream(service: Stack, sdk: Program, by: str) -> None:
    service.double.script(reply("Hel", Wait(Gate()), "lo."))
    assert (await sdk.do("start", ask=ask(), by=by))["text"] == "Hel"
    ended = await sdk.do("abort")
    assert ended["read"] == []
    assert (ended["raised"] or {}).get("name") == {"helper": "APIUserAbortError"}.get(by)
    await service.double.requests[0].left()


@pytest.mark.parametrize("command", ["whole", "helper"])
async def test_a_failure_before_any_content_is_the_sdks_own_error(
    service: Stack, sdk: Program, command: str
) -> None:
    service.double.script(http_error(Kind.RATE_LIMIT))
    failure = (await sdk.do(command, ask=ask()))["raised"]
    assert (failure["name"], failure["status"]) == ("RateLimitError", 429)
    assert failure["type"] == "rate_limit_error"


async def test_a_bad_request_names_its_field(sdk: Program) -> None:
    failure = (await sdk.do("whole", ask=ask(max_tokens=0)))["raised"]
    assert failure["name"] == "BadRequestError"
    assert "max_tokens: 0 is not allowed" in failure["message"]
    failure = (await sdk.do("count", ask={"model": "auto", "messages": []}))["raised"]
    assert failure["name"] == "BadRequestError"


async def test_what_may_pass_is_tried_again_when_it_is_time(service: Stack, sdk: Program) -> None:
    await sdk.do("connect", url=service.url, retries=2)
    service.double.script(http_error(Kind.RATE_LIMIT), reply("Hello."))
    assert said(await sdk.do("helper", ask=ask()), "text") == ["Hello."]
    [waited] = (await sdk.do("waited"))["waits"]
    assert RETRY_AFTER - 1 < waited / 1000 <= RETRY_AFTER


async def test_what_would_fail_again_is_not_tried_again(service: Stack, sdk: Program) -> None:
    await sdk.do("connect", url=service.url, retries=2)
    service.double.script(http_error(Kind.AUTH))
    failure = (await sdk.do("whole", ask=ask()))["raised"]
    assert (failure["name"], failure["type"]) == ("InternalServerError", "api_error")
    assert (await sdk.do("waited"))["waits"] == []
    assert len(service.double.requests) == 1
